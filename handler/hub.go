package handler

import (
	"context"
	"strings"

	"example.com/webpubsub/internal/names"
)

// Hub holds the callbacks of one hub; get one with [Handler.Hub]. What it does
// not register goes to the handler's own callbacks.
type Hub struct {
	connect      ConnectFunc
	connected    func(context.Context, *ConnectedEvent) error
	disconnected func(context.Context, *DisconnectedEvent) error
	joined, left func(context.Context, *GroupEvent) error
	events       map[string]EventFunc // by lower-case name
	sender       Sender
}

// anyEvent is the name that stands for every user event.
const anyEvent = "*"

// Hub returns the callbacks of one hub, for a handler that serves several with
// different ones. It panics for a name that no hub can have, or that is not
// among Options.Hubs.
func (h *Handler) Hub(name string) *Hub {
	if err := names.Hub(name); err != nil {
		panic("handler: " + err.Error())
	}
	if !h.serves(name) {
		panic("handler: hub " + name + " is not among Options.Hubs")
	}
	key := strings.ToLower(name)
	if h.hubs[key] == nil {
		h.hubs[key] = &Hub{}
	}
	return h.hubs[key]
}

// OnConnect registers the callback that decides about new connections. Without
// one every connection is accepted as its token has it.
//
// Registering an event twice panics, here and in the other On methods, as it
// does in [http.ServeMux].
func (h *Handler) OnConnect(f ConnectFunc) { h.all.OnConnect(f) }

// OnConnected registers a callback that is told of new connections. Its error
// is logged and answered with 500, upon which the service tells it again, up to
// three times; [Reject] with a 4xx status prevents that. The client notices
// nothing either way, which holds for the next three methods as well.
func (h *Handler) OnConnected(f func(context.Context, *ConnectedEvent) error) { h.all.OnConnected(f) }

// OnDisconnected registers a callback that is told of connections that ended.
func (h *Handler) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	h.all.OnDisconnected(f)
}

// OnGroupJoined registers a callback that is told when a connection joins a
// group. The service sends it where group presence is configured.
func (h *Handler) OnGroupJoined(f func(context.Context, *GroupEvent) error) { h.all.OnGroupJoined(f) }

// OnGroupLeft registers a callback that is told when a connection leaves a
// group. The service sends it where group presence is configured.
func (h *Handler) OnGroupLeft(f func(context.Context, *GroupEvent) error) { h.all.OnGroupLeft(f) }

// OnEvent registers the callback for a user event by name; names are compared
// without case. What a plain WebSocket client sends is the event "message". The
// name "*" stands for every event without a callback of its own; an event that
// no callback takes is answered with 404.
func (h *Handler) OnEvent(name string, f EventFunc) { h.all.OnEvent(name, f) }

// OnConnect is [Handler.OnConnect] for one hub.
func (h *Hub) OnConnect(f ConnectFunc) {
	register("connect", f == nil, h.connect != nil)
	h.connect = f
}

// OnConnected is [Handler.OnConnected] for one hub.
func (h *Hub) OnConnected(f func(context.Context, *ConnectedEvent) error) {
	register("connected", f == nil, h.connected != nil)
	h.connected = f
}

// OnDisconnected is [Handler.OnDisconnected] for one hub.
func (h *Hub) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	register("disconnected", f == nil, h.disconnected != nil)
	h.disconnected = f
}

// OnGroupJoined is [Handler.OnGroupJoined] for one hub.
func (h *Hub) OnGroupJoined(f func(context.Context, *GroupEvent) error) {
	register("joined", f == nil, h.joined != nil)
	h.joined = f
}

// OnGroupLeft is [Handler.OnGroupLeft] for one hub.
func (h *Hub) OnGroupLeft(f func(context.Context, *GroupEvent) error) {
	register("left", f == nil, h.left != nil)
	h.left = f
}

// OnEvent is [Handler.OnEvent] for one hub.
func (h *Hub) OnEvent(name string, f EventFunc) {
	if name == "" {
		panic(`handler: OnEvent needs a name, or "*" for every event`)
	}
	key := strings.ToLower(name)
	register(name, f == nil, h.events[key] != nil)
	if h.events == nil {
		h.events = make(map[string]EventFunc)
	}
	h.events[key] = f
}

// SetSender sets the service client of this hub, which a handler for several
// hubs needs: a client is bound to one. It is used instead of Options.Sender.
func (h *Hub) SetSender(s Sender) { h.sender = s }

func register(event string, isNil, twice bool) {
	if isNil {
		panic("handler: the callback for " + event + " is nil")
	}
	if twice {
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

func (h *Handler) connectFunc(hub *Hub) ConnectFunc {
	if hub != nil && hub.connect != nil {
		return hub.connect
	}
	return h.all.connect
}

func (h *Handler) eventFunc(hub *Hub, name string) EventFunc {
	name = strings.ToLower(name)
	for _, c := range [...]*Hub{hub, h.all} {
		if c == nil {
			continue
		}
		if f := c.events[name]; f != nil {
			return f
		}
		if f := c.events[anyEvent]; f != nil {
			return f
		}
	}
	return nil
}
