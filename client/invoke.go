package client

import (
	"context"
	"fmt"
	"strconv"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// Invoke raises a user event at the event handler of the hub, and returns what
// the handler replies: the zero Message where it replies nothing. The message
// may be zero too. It is sent once: an invocation that fails is not repeated,
// and one whose connection is interrupted fails with [ErrConnectionLost]. When
// the context ends first, the service is told to cancel.
func (c *Client) Invoke(ctx context.Context, event string, m webpubsub.Message) (webpubsub.Message, error) {
	k := &call{
		invocation: strconv.FormatUint(c.nextInvocation.Add(1), 10),
		done:       make(chan outcome, 1),
	}
	op := fmt.Sprintf("invoke %q", event)
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

// cancelInvocation tells the service, if the invocation was sent at all. The frame
// overtakes what is queued.
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
