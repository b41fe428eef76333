package client

import (
	"context"
	"fmt"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// JoinGroupOptions are the options of [Client.JoinGroup].
type JoinGroupOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// LeaveGroupOptions are the options of [Client.LeaveGroup].
type LeaveGroupOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// SendToGroupOptions are the options of [Client.SendToGroup].
type SendToGroupOptions struct {
	// NoEcho excludes this client from the receivers, if it is a member of the
	// group. Default: false.
	NoEcho bool
	// FireAndForget requests no acknowledgement: the call returns when the message
	// has been queued, and an error of the service or a lost connection is not
	// reported. Default: false.
	FireAndForget bool
	// TTL is how long the service tries to deliver the message, in whole seconds,
	// at most 300 s. Default: the message does not expire.
	TTL time.Duration
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// SendEventOptions are the options of [Client.SendEvent].
type SendEventOptions struct {
	// FireAndForget requests no acknowledgement. See [SendToGroupOptions].
	// Default: false.
	FireAndForget bool
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// JoinGroup adds the client to a group and waits for the acknowledgement of the
// service. The client rejoins the group after a reconnect unless
// [Options.DisableRejoin] is set.
//
// The client needs the role webpubsub.joinLeaveGroup for the group. If it does
// not have it, JoinGroup returns an error that matches [ErrForbidden]. The
// options may be nil.
func (c *Client) JoinGroup(ctx context.Context, group string, o *JoinGroupOptions) error {
	if o == nil {
		o = &JoinGroupOptions{}
	}
	err := c.callWithAck(ctx, &call{join: group}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.JoinGroup{Group: group, AckID: id}
	})
	return wrap("join group "+quote(group), err)
}

// LeaveGroup removes the client from a group and waits for the acknowledgement of
// the service, which sends nothing more of the group afterwards. Messages that
// have been received before are still delivered. The options may be nil.
func (c *Client) LeaveGroup(ctx context.Context, group string, o *LeaveGroupOptions) error {
	if o == nil {
		o = &LeaveGroupOptions{}
	}
	err := c.callWithAck(ctx, &call{leave: group}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.LeaveGroup{Group: group, AckID: id}
	})
	return wrap("leave group "+quote(group), err)
}

// SendToGroup publishes a message to a group, of which the client need not be a
// member. It returns when the service has acknowledged the message. If the
// context ends first, the message may or may not have been delivered. Messages
// that one goroutine sends one after the other are delivered in that order.
//
// The client needs the role webpubsub.sendToGroup for the group. If it does not
// have it, SendToGroup returns an error that matches [ErrForbidden]. The options
// may be nil.
func (c *Client) SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *SendToGroupOptions) error {
	if o == nil {
		o = &SendToGroupOptions{}
	}
	op := "send to group " + quote(group)
	if o.TTL < 0 || o.TTL%time.Second != 0 || o.TTL > wire.MaxTTLSeconds*time.Second {
		return wrap(op, fmt.Errorf("%w: TTL is %v: it must be whole seconds, at most %d", ErrInvalidArgument, o.TTL, wire.MaxTTLSeconds))
	}
	frame := func(id *uint64) wire.Upstream {
		return wire.SendToGroup{Group: group, AckID: id, NoEcho: o.NoEcho, TTLSeconds: uint32(o.TTL / time.Second), Message: m}
	}
	if o.FireAndForget {
		return wrap(op, c.sendNoAck(ctx, frame(nil)))
	}
	return wrap(op, c.callWithAck(ctx, &call{}, o.Retry, frame))
}

// SendEvent sends a user event to the event handler of the hub and returns when
// the handler has accepted it. Its reply, if any, is delivered as a
// [ServerMessage]; to wait for the reply, use [Client.Invoke]. The options may be
// nil.
//
// An event handler that fails is called up to 16 times: the service delivers an
// event up to four times, if the response is 408, 5xx or missing, and then
// reports "InternalServerError", after which the client sends the event up to
// three times more. Each time it is a new event to the handler. To limit this, set
// [SendEventOptions.Retry]; the error contains the number of attempts.
func (c *Client) SendEvent(ctx context.Context, event string, m webpubsub.Message, o *SendEventOptions) error {
	if o == nil {
		o = &SendEventOptions{}
	}
	frame := func(id *uint64) wire.Upstream {
		return wire.Event{Name: event, AckID: id, Message: m}
	}
	op := "send event " + quote(event)
	if o.FireAndForget {
		return wrap(op, c.sendNoAck(ctx, frame(nil)))
	}
	return wrap(op, c.callWithAck(ctx, &call{}, o.Retry, frame))
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
