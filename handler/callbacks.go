package handler

import (
	"context"
	"strings"

	"example.com/webpubsub/internal/names"
)

// HubCallbacks are the callbacks of one hub, see [Handler.Hub]. Events for which
// it has no callback are passed to the callbacks of the [Handler].
type HubCallbacks struct {
	connect      ConnectFunc
	connected    func(context.Context, *ConnectedEvent) error
	disconnected func(context.Context, *DisconnectedEvent) error
	joined, left func(context.Context, *GroupEvent) error
	events       map[string]EventFunc // by lower-case name
	sender       Sender
}

// anyEvent is the name under which a callback for all user events is registered.
const anyEvent = "*"

// Hub returns the callbacks of one hub, for a handler that serves several hubs
// with different callbacks. It panics if the name is not a valid hub name, or is
// not in Options.Hubs.
func (h *Handler) Hub(name string) *HubCallbacks {
	if err := names.Hub(name); err != nil {
		panic("handler: " + err.Error())
	}
	if !h.serves(name) {
		panic("handler: hub " + name + " is not in Options.Hubs")
	}
	key := strings.ToLower(name)
	if h.hubs[key] == nil {
		h.hubs[key] = &HubCallbacks{}
	}
	return h.hubs[key]
}

// OnConnect registers the callback for the connect event. Without a callback,
// every connection is accepted with the values of its client access token.
//
// OnConnect panics if a callback is registered already, as do the other On
// methods and [http.ServeMux].
func (h *Handler) OnConnect(f ConnectFunc) { h.all.OnConnect(f) }

// OnConnected registers the callback for the connected event. If it returns an
// error, the error is logged and the response is 500, so that the service retries
// the event up to three times; return [Reject] with a 4xx status to prevent that.
// The error does not affect the client. The same applies to the next three
// methods.
func (h *Handler) OnConnected(f func(context.Context, *ConnectedEvent) error) { h.all.OnConnected(f) }

// OnDisconnected registers the callback for the disconnected event.
func (h *Handler) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	h.all.OnDisconnected(f)
}

// OnGroupJoined registers the callback for the joined event, which the service
// sends when a connection joins a group and group presence events are configured.
func (h *Handler) OnGroupJoined(f func(context.Context, *GroupEvent) error) { h.all.OnGroupJoined(f) }

// OnGroupLeft registers the callback for the left event, which the service sends
// when a connection leaves a group and group presence events are configured.
func (h *Handler) OnGroupLeft(f func(context.Context, *GroupEvent) error) { h.all.OnGroupLeft(f) }

// OnEvent registers the callback for the user event with the given name, which is
// not case-sensitive. Messages of simple WebSocket clients are the event
// "message". The callback for the name "*" is called for every event without another
// callback. The response to an event without a callback is 404.
func (h *Handler) OnEvent(name string, f EventFunc) { h.all.OnEvent(name, f) }

// OnConnect is [Handler.OnConnect] for one hub.
func (h *HubCallbacks) OnConnect(f ConnectFunc) {
	register("connect", f == nil, h.connect != nil)
	h.connect = f
}

// OnConnected is [Handler.OnConnected] for one hub.
func (h *HubCallbacks) OnConnected(f func(context.Context, *ConnectedEvent) error) {
	register("connected", f == nil, h.connected != nil)
	h.connected = f
}

// OnDisconnected is [Handler.OnDisconnected] for one hub.
func (h *HubCallbacks) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	register("disconnected", f == nil, h.disconnected != nil)
	h.disconnected = f
}

// OnGroupJoined is [Handler.OnGroupJoined] for one hub.
func (h *HubCallbacks) OnGroupJoined(f func(context.Context, *GroupEvent) error) {
	register("joined", f == nil, h.joined != nil)
	h.joined = f
}

// OnGroupLeft is [Handler.OnGroupLeft] for one hub.
func (h *HubCallbacks) OnGroupLeft(f func(context.Context, *GroupEvent) error) {
	register("left", f == nil, h.left != nil)
	h.left = f
}

// OnEvent is [Handler.OnEvent] for one hub.
func (h *HubCallbacks) OnEvent(name string, f EventFunc) {
	if name == "" {
		panic(`handler: OnEvent: the name is empty; use "*" for all events`)
	}
	key := strings.ToLower(name)
	register(name, f == nil, h.events[key] != nil)
	if h.events == nil {
		h.events = make(map[string]EventFunc)
	}
	h.events[key] = f
}

// SetSender sets the service client of the hub, which is used instead of
// Options.Sender. A handler for several hubs needs it, because a service client is
// bound to one hub.
func (h *HubCallbacks) SetSender(s Sender) { h.sender = s }

func register(event string, isNil, registered bool) {
	if isNil {
		panic("handler: the callback for " + event + " is nil")
	}
	if registered {
		panic("handler: a callback for " + event + " is registered already")
	}
}

func (h *Handler) serves(hub string) bool {
	if h.served == nil {
		return true
	}
	_, ok := h.served[strings.ToLower(hub)]
	return ok
}

func (h *Handler) connectFunc(hub *HubCallbacks) ConnectFunc {
	if hub != nil && hub.connect != nil {
		return hub.connect
	}
	return h.all.connect
}

// eventFunc returns the callback for a user event, or nil, and whether it is
// registered under the name of the event.
func (h *Handler) eventFunc(hub *HubCallbacks, name string) (f EventFunc, byName bool) {
	name = strings.ToLower(name)
	for _, c := range [...]*HubCallbacks{hub, h.all} {
		if c == nil {
			continue
		}
		if f := c.events[name]; f != nil {
			return f, true
		}
		if f := c.events[anyEvent]; f != nil {
			return f, false
		}
	}
	return nil, false
}

// pick returns the callback of the hub, or the one for all hubs.
func pick[F any](hub, all *HubCallbacks, field func(*HubCallbacks) func(context.Context, F) error) func(context.Context, F) error {
	if hub != nil {
		if f := field(hub); f != nil {
			return f
		}
	}
	return field(all)
}
