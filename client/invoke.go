package client

import (
	"context"
	"strconv"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// InvokeOptions are the options of [Client.Invoke]. There are none yet.
type InvokeOptions struct{}

// Invoke sends a user event to the event handler of the hub and returns the reply
// of the handler, or the zero Message if there is none. The message may be the
// zero Message. The options may be nil.
//
// An invocation is sent once and not retried: if the connection is interrupted,
// Invoke returns an error that matches [ErrConnectionLost]. If the context ends
// first, the service is asked to cancel the invocation.
func (c *Client) Invoke(ctx context.Context, event string, m webpubsub.Message, _ *InvokeOptions) (webpubsub.Message, error) {
	k := &call{
		invocation: strconv.FormatUint(c.nextInvocation.Add(1), 10),
		done:       make(chan outcome, 1),
	}
	op := "invoke " + quote(event)
	err := c.encode(k, wire.Invoke{InvocationID: k.invocation, Target: wire.TargetEvent, Event: event, Message: m})
	if err != nil {
		return webpubsub.Message{}, wrap(op, err)
	}
	out := c.roundTrip(ctx, k)
	if out.err != nil && ctx.Err() != nil {
		c.cancelInvocation(k)
	}
	return out.message, wrap(op, out.err)
}

// cancelInvocation asks the service to cancel an invocation that has been sent.
// The frame is written ahead of what is queued.
func (c *Client) cancelInvocation(k *call) {
	frame, err := c.frame(wire.CancelInvocation{InvocationID: k.invocation})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && k.session != nil && !k.unsent && c.session == k.session && c.link != nil {
		c.link.enqueueUrgent(frame)
	}
}

// handleInvokeResponse handles the response to an invocation. It is ignored if
// the call has returned.
func (c *Client) handleInvokeResponse(r wire.InvokeResponse) {
	c.mu.Lock()
	k := c.invocations[r.InvocationID]
	delete(c.invocations, r.InvocationID)
	c.mu.Unlock()
	if k != nil {
		k.finish(outcome{serviceError(r.Error), r.Message})
	}
}
