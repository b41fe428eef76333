package listeners

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"example.com/webpubsub/internal/upstream"
)

// eventHub sends events by AMQP, as the service does.
type eventHub struct {
	endpoint   Endpoint
	credential azcore.TokenCredential
	trust      *tls.Config // nil: that of the system

	mu     sync.Mutex
	client *azeventhubs.ProducerClient // nil: none yet
}

// producer returns the client, which connects when it is used.
func (h *eventHub) producer() (*azeventhubs.ProducerClient, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, nil
	}
	// Retries are the pump's.
	o := &azeventhubs.ProducerClientOptions{RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1}, TLSConfig: h.trust}
	e := h.endpoint
	var err error
	switch {
	case e.ConnectionString != "":
		name := e.EventHub
		if p, _ := azeventhubs.ParseConnectionString(e.ConnectionString); p.EntityPath != nil {
			name = "" // it is there already
		}
		h.client, err = azeventhubs.NewProducerClientFromConnectionString(e.ConnectionString, name, o)
	case h.credential == nil:
		err = permanent{errors.New("there is no credential to sign in with: set the option of the emulator, or give a connection string")}
	default:
		h.client, err = azeventhubs.NewProducerClient(e.Namespace, e.EventHub, h.credential, o)
	}
	return h.client, err
}

// send sends messages of one connection in one batch, or in several if they are too
// large together.
func (h *eventHub) send(ctx context.Context, messages []upstream.Message) (sent int, err error) {
	p, err := h.producer()
	if err != nil {
		return 0, err
	}
	for sent < len(messages) {
		batch, err := p.NewEventDataBatch(ctx, &azeventhubs.EventDataBatchOptions{PartitionKey: &messages[sent].ConnectionID})
		if err != nil {
			return sent, explain(err)
		}
		n := 0
		for _, m := range messages[sent:] {
			err = batch.AddEventData(eventData(m), nil)
			if err != nil {
				break
			}
			n++
		}
		switch {
		case n == 0 && errors.Is(err, azeventhubs.ErrEventDataTooLarge):
			return sent, permanent{fmt.Errorf("the event is larger than the event hub takes: %w", err)}
		case n == 0:
			return sent, permanent{err}
		}
		if err := p.SendEventDataBatch(ctx, batch, nil); err != nil {
			return sent, explain(err)
		}
		sent += n
	}
	return sent, nil
}

func eventData(m upstream.Message) *azeventhubs.EventData {
	properties := make(map[string]any, len(m.Properties))
	for k, v := range m.Properties {
		properties[k] = v
	}
	return &azeventhubs.EventData{Body: m.Body, ContentType: &m.ContentType, MessageID: &m.ID, Properties: properties}
}

// explain adds what to do about an error.
func explain(err error) error {
	var e *azeventhubs.Error
	if errors.As(err, &e) && e.Code == azeventhubs.ErrorCodeUnauthorizedAccess {
		return fmt.Errorf("%w; the identity needs the role Azure Event Hubs Data Sender", err)
	}
	return err
}

func (h *eventHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.client.Close(ctx)
	}
}
