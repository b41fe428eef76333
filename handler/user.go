package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/webhook"
)

// EventFunc is the callback for a user event. It returns the reply to the client,
// or nil to send none. If it returns an error, the event fails; see [Reject] for
// what is sent to the client.
type EventFunc func(ctx context.Context, e *UserEvent) (*EventResponse, error)

// UserEvent is an event that a client sent.
type UserEvent struct {
	Event
	// Message is the payload. The keys of its Metadata are in lower case. If an
	// MQTT client uses a content type other than those of the four data types, the
	// message is binary.
	Message webpubsub.Message
	// ContentType is the content type of the payload as it was received. An MQTT
	// client can use any.
	ContentType string
	// MQTT is set for MQTT clients.
	MQTT *MQTTPublish
}

// EventResponse is the response to a user event. The zero value, like nil, sends
// no reply and keeps the connection state.
type EventResponse struct {
	// Message is the reply to the client. The zero Message sends no reply. A
	// message without data is not sent either, unless it has metadata, because the
	// service treats an empty body as no reply. At most 16 MiB; metadata values
	// must not contain a comma.
	Message webpubsub.Message
	// State changes the state of the connection: each value is stored under its
	// key, encoded as JSON, and nil deletes the key. Other keys keep their values.
	// The event fails if a value cannot be encoded, or if the state would exceed
	// [MaxStateSize]. If events of one connection are handled concurrently, the
	// last response wins.
	State map[string]any
	// MQTT is sent to MQTT clients.
	MQTT *MQTTEventResponse
}

// JSONEvent returns an [EventFunc] that decodes the payload into a T and calls f.
// If the payload is not the JSON encoding of a T, it rejects the event with 400
// and does not call f. Text is decoded as well, because simple WebSocket clients
// can send JSON only as text.
func JSONEvent[T any](f func(ctx context.Context, e *UserEvent, v T) (*EventResponse, error)) EventFunc {
	return func(ctx context.Context, e *UserEvent) (*EventResponse, error) {
		var v T
		if e.Message.Type != webpubsub.DataTypeJSON && e.Message.Type != webpubsub.DataTypeText {
			return nil, Reject(http.StatusBadRequest, fmt.Sprintf("event %s requires JSON, not %s", e.Name, e.Message.Type))
		}
		if err := json.Unmarshal(e.Message.Data, &v); err != nil {
			return nil, &RejectError{
				Status: http.StatusBadRequest,
				Reason: fmt.Sprintf("event %s: invalid JSON payload", e.Name),
				Err:    err,
			}
		}
		return f(ctx, e, v)
	}
}

const (
	contentTypeText = "text/plain; charset=utf-8"
	contentTypeJSON = "application/json; charset=utf-8"
	maxReplyBytes   = 16 << 20
)

func (h *Handler) userEvent(ctx context.Context, hub *HubCallbacks, e *Event) (response, error) {
	f, _ := h.eventFunc(hub, e.Name)
	if f == nil {
		return rejectionResponse(reject(http.StatusNotFound, "no callback is registered for the event "+truncate(e.Name),
			`register one with OnEvent; the name "*" is for all events`)), nil
	}
	u := &UserEvent{Event: *e, ContentType: value(e.header, headerContentType)}
	mqtt := u.IsMQTT()
	var err error
	if u.Message, err = payload.FromHTTP(u.ContentType, e.body); err != nil {
		if !mqtt {
			return rejectionResponse(reject(http.StatusUnsupportedMediaType, "unsupported content type "+truncate(u.ContentType), err.Error())), nil
		}
		u.Message = webpubsub.Binary(e.body)
	}
	if mqtt {
		u.MQTT = &MQTTPublish{}
	}
	if e.more {
		u.Message.Metadata = names.MetadataFrom(e.header, false)
		if mqtt {
			u.MQTT.UserProperties = mqttProperties(e.header)
		}
	}

	var answer *EventResponse
	err = callSafely(func() (err error) {
		answer, err = f(ctx, u)
		return err
	})
	if err != nil {
		return failureResponse(err), err
	}
	res, err := answer.encode(u)
	if err != nil {
		return failureResponse(err), err
	}
	return res, nil
}

// encode returns the HTTP response. It returns an error for what the service
// would drop without reporting why.
func (r *EventResponse) encode(e *UserEvent) (response, error) {
	out := response{status: http.StatusNoContent}
	if r == nil {
		return out, nil
	}
	m := r.Message
	if err := payload.Check(m); err != nil {
		return response{}, fmt.Errorf("EventResponse.Message: %w", err)
	}
	if len(m.Data) > maxReplyBytes {
		return response{}, fmt.Errorf("EventResponse.Message has %d bytes: at most 16 MiB are allowed", len(m.Data))
	}
	if len(m.Data) > 0 {
		out = response{status: http.StatusOK, contentType: replyContentType(m.Type), body: m.Data}
	}
	if len(m.Metadata) > 0 {
		header, err := names.MetadataHeader(m.Metadata)
		if err != nil {
			return response{}, fmt.Errorf("EventResponse.Message: %w", err)
		}
		out.status = http.StatusOK
		for key, values := range header {
			// The service splits values at commas and takes the last part.
			if strings.Contains(values[0], ",") {
				return response{}, fmt.Errorf("EventResponse.Message: the value of metadata %q has a comma, which cannot be sent in a response header", key[len(names.MetadataPrefix):])
			}
			out.add(key, values[0])
		}
	}
	if err := out.addState(&e.state, r.State); err != nil {
		return response{}, fmt.Errorf("EventResponse.State: %w", err)
	}
	if e.MQTT == nil || r.MQTT == nil {
		return out, nil
	}
	if r.MQTT.ContentType != "" && len(m.Data) > 0 {
		if !isPrintableASCII(r.MQTT.ContentType) {
			return response{}, fmt.Errorf("MQTTEventResponse.ContentType %q is not printable ASCII", r.MQTT.ContentType)
		}
		out.contentType = r.MQTT.ContentType
	}
	for _, p := range r.MQTT.UserProperties {
		// The properties are sent in headers, as metadata is.
		if err := names.Metadata(map[string]string{p.Name: p.Value}); err != nil {
			return response{}, fmt.Errorf("MQTTEventResponse.UserProperties: %w", err)
		}
		out.add(http.CanonicalHeaderKey(webhook.MQTTPrefix+p.Name), p.Value)
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

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
