package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
)

// EventFunc handles a user event. The message that it returns is the reply to
// the client; the zero Message sends none. A reply of no bytes does not reach
// the client either, unless it has metadata: the service takes an empty body
// for "no reply".
//
// An error fails the event. What the client sees of it is told at [Reject].
type EventFunc func(ctx context.Context, e *UserEvent) (webpubsub.Message, error)

// UserEvent is an event that a client sent. The client may wait for the answer.
type UserEvent struct {
	Event
	// Message is the payload. Its Metadata is what the client sent along, with
	// keys in lower case. A content type of MQTT that is none of the service's
	// four data types makes it binary.
	Message webpubsub.Message
	// ContentType is the payload's content type as it came. For MQTT it may be
	// anything.
	ContentType string
	// MQTT is set for MQTT clients.
	MQTT *MQTTPublish
}

// JSON returns an [EventFunc] that decodes the payload into a T before it calls
// f. A payload that is no JSON, or not that of a T, is answered with 400 and f
// is not called. Text is decoded as well, since a plain WebSocket client has no
// other way to send JSON.
func JSON[T any](f func(ctx context.Context, e *UserEvent, v T) (webpubsub.Message, error)) EventFunc {
	return func(ctx context.Context, e *UserEvent) (webpubsub.Message, error) {
		var v T
		if e.Message.Type != webpubsub.DataTypeJSON && e.Message.Type != webpubsub.DataTypeText {
			return webpubsub.Message{}, Reject(http.StatusBadRequest, fmt.Sprintf("event %s takes JSON, not %s", e.Name, e.Message.Type))
		}
		if err := json.Unmarshal(e.Message.Data, &v); err != nil {
			return webpubsub.Message{}, &RejectError{
				Status: http.StatusBadRequest,
				Reason: fmt.Sprintf("event %s: the payload is not the JSON that is expected", e.Name),
				Err:    err,
			}
		}
		return f(ctx, e, v)
	}
}

const (
	contentTypeText  = "text/plain; charset=utf-8"
	contentTypeJSON  = "application/json; charset=utf-8"
	maxReplyBytes    = 16 << 20
	metadataReply    = "X-WebPubSub-Metadata-"
	mqttPropertyName = "mqtt-"
)

func (h *Handler) userEvent(ctx context.Context, hub *Hub, e *Event) (reply, error) {
	f := h.eventFunc(hub, e.Name)
	if f == nil {
		return refused(refuse(http.StatusNotFound, "no callback handles the event "+clip(e.Name),
			`register it with OnEvent, or OnEvent("*", …) for all`)), nil
	}
	u := &UserEvent{Event: *e, ContentType: value(e.header, headerContentType)}
	u.state.writable = true
	mqtt := u.IsMQTT()
	var err error
	if u.Message, err = payload.FromHTTP(u.ContentType, e.body); err != nil {
		if !mqtt {
			return refused(refuse(http.StatusUnsupportedMediaType, "the content type "+clip(u.ContentType)+" is none of the service's", err.Error())), nil
		}
		u.Message = webpubsub.Binary(e.body)
	}
	if mqtt {
		u.MQTT = &MQTTPublish{}
	}
	if e.more {
		u.Message.Metadata = metadata(e.header)
		if mqtt {
			u.MQTT.UserProperties = mqttProperties(e.header)
		}
	}

	var answer webpubsub.Message
	err = protect(func() (err error) {
		answer, err = f(ctx, u)
		return err
	})
	var out reply
	if err == nil {
		out, err = messageReply(answer, u.MQTT)
	}
	if err != nil {
		return rejected(err), err
	}
	out.addState(&u.state)
	return out, nil
}

// messageReply encodes a reply. It fails for what the service would refuse
// without telling why.
func messageReply(m webpubsub.Message, mqtt *MQTTPublish) (reply, error) {
	if err := payload.Check(m); err != nil {
		return reply{}, fmt.Errorf("the reply: %w", err)
	}
	if len(m.Data) > maxReplyBytes {
		return reply{}, fmt.Errorf("the reply has %d bytes: at most 16 MiB are allowed", len(m.Data))
	}
	out := reply{status: http.StatusNoContent}
	if len(m.Data) > 0 {
		out = reply{status: http.StatusOK, contentType: replyContentType(m.Type), body: m.Data}
	}
	if len(m.Metadata) > 0 {
		if err := names.Metadata(m.Metadata); err != nil {
			return reply{}, fmt.Errorf("the reply: %w", err)
		}
		out.status = http.StatusOK
		for k, v := range m.Metadata {
			// The service splits values at commas and takes the last part.
			if strings.Contains(v, ",") {
				return reply{}, fmt.Errorf("the reply: the value of metadata %q has a comma, which cannot travel in a response header", k)
			}
			out.add(http.CanonicalHeaderKey(metadataReply+k), v)
		}
	}
	if mqtt == nil {
		return out, nil
	}
	if mqtt.ReplyContentType != "" && len(m.Data) > 0 {
		if !isPrintableASCII(mqtt.ReplyContentType) {
			return reply{}, fmt.Errorf("MQTTPublish.ReplyContentType %q is not printable ASCII", mqtt.ReplyContentType)
		}
		out.contentType = mqtt.ReplyContentType
	}
	for _, p := range mqtt.ReplyProperties {
		if err := names.Metadata(map[string]string{p.Name: p.Value}); err != nil {
			return reply{}, fmt.Errorf("MQTTPublish.ReplyProperties: %w", err)
		}
		out.add(http.CanonicalHeaderKey(mqttPropertyName+p.Name), p.Value)
	}
	return out, nil
}

func replyContentType(t webpubsub.DataType) string {
	switch t {
	case webpubsub.DataTypeText:
		return contentTypeText
	case webpubsub.DataTypeJSON:
		return contentTypeJSON
	default:
		return payload.ContentType(t)
	}
}

// metadata collects what the client sent beside the payload.
func metadata(h http.Header) map[string]string {
	var out map[string]string
	for key, values := range h {
		name, ok := strings.CutPrefix(key, headerMetadata)
		if !ok || name == "" || len(values) == 0 {
			continue
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[strings.ToLower(name)] = values[len(values)-1]
	}
	return out
}

func validContentType(s string) bool {
	_, _, err := mime.ParseMediaType(s)
	return err == nil
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
