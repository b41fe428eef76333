package handler

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// ConnectedEvent is sent when a client has connected. Messages can be sent to it
// from now on. It is not sent again when a client recovers its connection.
type ConnectedEvent struct{ Event }

// DisconnectedEvent is sent when a connection has ended and cannot be recovered.
type DisconnectedEvent struct {
	Event
	// Reason is the close reason reported by the client or the service; often
	// empty.
	Reason string
	// MQTT is set for MQTT clients.
	MQTT *MQTTDisconnect
}

// GroupEvent is sent when a connection has joined or left a group. Event.Name is
// "joined" or "left".
type GroupEvent struct {
	Event
	// Group is the name of the group.
	Group string
}

// notification handles an event whose response is not read except for its status.
func (h *Handler) notification(ctx context.Context, hub *HubCallbacks, e *Event) (response, error) {
	var call func() error
	switch e.Type {
	case typeConnected:
		if f := pick(hub, h.all, func(h *HubCallbacks) func(context.Context, *ConnectedEvent) error { return h.connected }); f != nil {
			call = func() error { return f(ctx, &ConnectedEvent{*e}) }
		}
	case typeDisconnected:
		var body struct {
			Reason string          `json:"reason"`
			MQTT   *MQTTDisconnect `json:"mqtt"`
		}
		if err := unmarshal(e.body, &body); err != nil {
			return invalidBody(e.Type, err), nil
		}
		if f := pick(hub, h.all, func(h *HubCallbacks) func(context.Context, *DisconnectedEvent) error { return h.disconnected }); f != nil {
			call = func() error { return f(ctx, &DisconnectedEvent{*e, body.Reason, body.MQTT}) }
		}
	case typeGroupJoined, typeGroupLeft:
		var body struct {
			Group string `json:"group"`
		}
		if err := unmarshal(e.body, &body); err != nil {
			return invalidBody(e.Type, err), nil
		}
		if body.Group == "" {
			return invalidBody(e.Type, errors.New("the group is missing")), nil
		}
		f := pick(hub, h.all, func(h *HubCallbacks) func(context.Context, *GroupEvent) error {
			if e.Type == typeGroupJoined {
				return h.joined
			}
			return h.left
		})
		if f != nil {
			call = func() error { return f(ctx, &GroupEvent{*e, body.Group}) }
		}
	}
	if call != nil {
		if err := callSafely(call); err != nil {
			return failureResponse(err), err
		}
	}
	return response{status: http.StatusNoContent}, nil
}

// unmarshal decodes an empty body as an empty object.
func unmarshal(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	return json.Unmarshal(body, v)
}

func invalidBody(eventType string, err error) response {
	rej := reject(http.StatusBadRequest, "invalid body of "+strings.TrimPrefix(eventType, typePrefix), "the body must be the JSON of the event")
	rej.err = err
	return rejectionResponse(rej)
}
