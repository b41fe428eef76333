package client

import (
	"context"
	"fmt"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// SendOptions are the options of [Client.SendToGroup].
type SendOptions struct {
	// NoEcho keeps the message from this client, where it is in the group.
	NoEcho bool
	// FireAndForget asks for no ack: the call returns when the message is ready
	// to be written, and a refusal or an interruption goes unnoticed.
	FireAndForget bool
	// TTL is how long the service tries to deliver: whole seconds, at most 300.
	// Default: for ever.
	TTL time.Duration
}

// EventOptions are the options of [Client.SendEvent].
type EventOptions struct {
	// FireAndForget asks for no ack. See SendOptions.
	FireAndForget bool
}

// JoinGroup makes the client a member of the group: it gets what is published
// there from now on, on later connections too. It returns when the service has
// agreed. The client needs the role webpubsub.joinLeaveGroup; without it the
// error is [ErrForbidden].
func (c *Client) JoinGroup(ctx context.Context, group string) error {
	err := c.callWithAck(ctx, &call{join: group}, func(id *uint64) wire.Upstream {
		return wire.JoinGroup{Group: group, AckID: id}
	})
	return wrap("join group "+quote(group), err)
}

// LeaveGroup is the opposite of JoinGroup. Once it has returned without an
// error, the service sends nothing more of the group; what had arrived before
// may still be waiting for its callback.
func (c *Client) LeaveGroup(ctx context.Context, group string) error {
	err := c.callWithAck(ctx, &call{leave: group}, func(id *uint64) wire.Upstream {
		return wire.LeaveGroup{Group: group, AckID: id}
	})
	return wrap("leave group "+quote(group), err)
}

// SendToGroup publishes a message to the group, of which the client need not be
// a member. It returns when the service has taken the message, or the context
// ends, when it may have taken it. Messages that one goroutine sends, one after
// the other, arrive in that order. The client needs the role
// webpubsub.sendToGroup. The options may be nil.
func (c *Client) SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *SendOptions) error {
	if o == nil {
		o = &SendOptions{}
	}
	op := "send to group " + quote(group)
	if o.TTL < 0 || o.TTL%time.Second != 0 || o.TTL > wire.MaxTTLSeconds*time.Second {
		return wrap(op, fmt.Errorf("%w: TTL is %v: it must be whole seconds, at most %d", ErrInvalid, o.TTL, wire.MaxTTLSeconds))
	}
	frame := func(id *uint64) wire.Upstream {
		return wire.SendToGroup{Group: group, AckID: id, NoEcho: o.NoEcho, TTLSeconds: uint32(o.TTL / time.Second), Message: m}
	}
	if o.FireAndForget {
		return wrap(op, c.sendNoAck(ctx, frame(nil)))
	}
	return wrap(op, c.callWithAck(ctx, &call{}, frame))
}

// SendEvent raises a user event at the event handler of the hub, and returns
// when the handler has taken it. A reply of the handler comes as a
// [ServerMessage]; to wait for one, see [Client.Invoke]. The options may be nil.
//
// An event handler that fails is called up to 16 times: the service delivers an
// event up to four times, if the response is 408, 5xx or missing, and then
// reports "InternalServerError", after which the client sends the event up to
// four times in all, as [Options.MessageRetry] says. Each time that the client
// sends it, it is a new event to the handler.
func (c *Client) SendEvent(ctx context.Context, event string, m webpubsub.Message, o *EventOptions) error {
	frame := func(id *uint64) wire.Upstream {
		return wire.Event{Name: event, AckID: id, Message: m}
	}
	op := "send event " + quote(event)
	if o != nil && o.FireAndForget {
		return wrap(op, c.sendNoAck(ctx, frame(nil)))
	}
	return wrap(op, c.callWithAck(ctx, &call{}, frame))
}

// sendNoAck sends a frame that gets no response.
func (c *Client) sendNoAck(ctx context.Context, u wire.Upstream) error {
	var k call
	if err := c.encode(&k, u); err != nil {
		return err
	}
	return c.transmit(ctx, &k)
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("client: %s: %w", op, err)
}
