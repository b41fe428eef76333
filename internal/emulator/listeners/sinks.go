package listeners

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"example.com/webpubsub/internal/upstream"
)

// file appends events to a file, each as a line of JSON.
type file struct {
	path string

	mu sync.Mutex
	w  io.Writer // nil: not open
	f  *os.File  // w, if it is to be closed
}

// line is the AMQP message of an event, for people and for tools such as jq.
type line struct {
	MessageID    string            `json:"messageId"`
	PartitionKey string            `json:"partitionKey"`
	ContentType  string            `json:"contentType"`
	Properties   map[string]string `json:"applicationProperties"`
	Body         *string           `json:"body,omitempty"`
	BodyBase64   []byte            `json:"bodyBase64,omitempty"` // if it is not UTF-8
}

func (f *file) send(_ context.Context, messages []upstream.Message) (int, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for _, m := range messages {
		l := line{MessageID: m.ID, PartitionKey: m.ConnectionID, ContentType: m.ContentType, Properties: m.Properties}
		if utf8.Valid(m.Body) {
			text := string(m.Body)
			l.Body = &text
		} else {
			l.BodyBase64 = m.Body
		}
		if err := e.Encode(l); err != nil {
			return 0, permanent{err}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.w == nil {
		opened, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return 0, err
		}
		f.w, f.f = opened, opened
	}
	if _, err := f.w.Write(out.Bytes()); err != nil {
		f.release()
		return 0, err
	}
	return len(messages), nil
}

// release closes the file, which the next event opens again. The lock must be held.
func (f *file) release() {
	if f.f != nil {
		_ = f.f.Close()
		f.w, f.f = nil, nil
	}
}

func (f *file) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release()
}

// web posts each event to a URL, as a CloudEvent in binary mode: the attributes are
// headers that begin with ce-, and the metadata of the client's message has the same
// names as in requests to event handlers.
type web struct {
	url       string
	transport http.RoundTripper
}

func (w *web) send(ctx context.Context, messages []upstream.Message) (int, error) {
	for i, m := range messages {
		if err := w.post(ctx, m); err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

func (w *web) post(ctx context.Context, m upstream.Message) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Body))
	if err != nil {
		return permanent{errors.New("the URL cannot be parsed")} // the error shows all of it
	}
	r.Header.Set("Content-Type", m.ContentType)
	for name, value := range m.Properties {
		if attribute, ok := strings.CutPrefix(name, upstream.AttributePrefix); ok {
			name = "ce-" + attribute
		}
		r.Header.Set(name, value)
	}
	// Without an http.Client, which would follow a redirect.
	res, err := w.transport.RoundTrip(r)
	if err != nil {
		var shown *url.Error
		if errors.As(err, &shown) {
			err = shown.Err
		}
		if strings.Contains(err.Error(), "invalid header field") { // of net/http, before it connects
			return permanent{errors.New("a value of the event has a control character, which a header cannot contain")}
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	switch s := res.StatusCode; {
	case s/100 == 2:
		return nil
	case s/100 == 5, s == http.StatusRequestTimeout, s == http.StatusTooManyRequests:
		return fmt.Errorf("the response was %d", s)
	default:
		return permanent{fmt.Errorf("the response was %d: the event is not sent again", s)}
	}
}

func (w *web) close() {}
