package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// ConnectedEvent tells that a client is connected. Messages reach it from now
// on. A client that recovers a lost connection is not told again.
type ConnectedEvent struct{ Event }

// DisconnectedEvent tells that a connection has ended for good.
type DisconnectedEvent struct {
	Event
	// Reason is why, in the words of the client or the service; often empty.
	Reason string
	// MQTT is set for MQTT clients.
	MQTT *MQTTDisconnect
}

// GroupEvent tells that a connection joined or left a group; Event.Name says
// which.
type GroupEvent struct {
	Event
	// Group is the name of the group.
	Group string
}

// notification handles an event whose answer the service does not read beyond
// its status.
func (h *Handler) notification(ctx context.Context, hub *Hub, e *Event) (reply, error) {
	var call func() error
	switch e.Type {
	case typeConnected:
		if f := pick(hub, h.all, func(h *Hub) func(context.Context, *ConnectedEvent) error { return h.connected }); f != nil {
			call = func() error { return f(ctx, &ConnectedEvent{*e}) }
		}
	case typeDisconnected:
		var body struct {
			Reason string          `json:"reason"`
			MQTT   *MQTTDisconnect `json:"mqtt"`
		}
		if err := unmarshal(e.body, &body); err != nil {
			return badBody(e.Type, err), nil
		}
		if f := pick(hub, h.all, func(h *Hub) func(context.Context, *DisconnectedEvent) error { return h.disconnected }); f != nil {
			call = func() error { return f(ctx, &DisconnectedEvent{*e, body.Reason, body.MQTT}) }
		}
	case typeGroupJoined, typeGroupLeft:
		var body struct {
			Group string `json:"group"`
		}
		if err := unmarshal(e.body, &body); err != nil {
			return badBody(e.Type, err), nil
		}
		if body.Group == "" {
			return badBody(e.Type, fmt.Errorf("it names no group")), nil
		}
		f := pick(hub, h.all, func(h *Hub) func(context.Context, *GroupEvent) error {
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
		if err := protect(call); err != nil {
			return rejected(err), err
		}
	}
	return reply{status: http.StatusNoContent}, nil
}

// pick returns the hub's own callback, or the one for all hubs.
func pick[F any](hub, all *Hub, field func(*Hub) func(context.Context, F) error) func(context.Context, F) error {
	if hub != nil {
		if f := field(hub); f != nil {
			return f
		}
	}
	return field(all)
}

// unmarshal accepts an empty body as an empty object.
func unmarshal(body []byte, v any) error {
	if len(body) == 0 {
		return nil
	}
	return json.Unmarshal(body, v)
}

func badBody(eventType string, err error) reply {
	r := refuse(http.StatusBadRequest, "the body of "+strings.TrimPrefix(eventType, typePrefix)+" is not what it should be", "the body is the JSON of the event")
	r.cause = err
	return refused(r)
}
