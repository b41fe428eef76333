package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// call is a request that has been or will be sent. Its fields do not change, except
// session and unsent.
type call struct {
	frame                  []byte
	ackID                  uint64
	invocation             string
	join                   string // group to add when the request is acknowledged
	leave                  string // group to remove then
	subscribe, unsubscribe string // group whose state the request is about
	rejoin                 *rejoinBarrier
	done                   chan outcome // nil if there is no response

	// Guarded by Client.mu.
	session *session // that it was last sent on
	unsent  bool     // it was removed from the queue before it was written
}

// maxFrame is the number of bytes that the service accepts in one message.
const maxFrame = wire.MaxFrameSize

// maxResends bounds how often a call is sent again on a connection that is
// recovered again and again: the frame itself may be the cause, for example with
// a proxy that fails on it. It is more than the attempts of one recovery window.
const maxResends = 100

type outcome struct {
	err     error
	message webpubsub.Message
}

// finish passes the response to the caller. It does not block: the channel is
// buffered, and the goroutine that removes a call from its map finishes it.
func (k *call) finish(out outcome) {
	if k.rejoin != nil {
		if k.subscribe != "" {
			k.rejoin.settle(k.subscribe, stateError(out.err))
		} else {
			k.rejoin.settle(k.join, out.err)
		}
	}
	if k.done != nil {
		k.done <- out
	}
}

// callWithAck sends a frame until the service has acknowledged it, with the same
// ack ID each time.
func (c *Client) callWithAck(ctx context.Context, k *call, retry *RetryOptions, frame func(ackID *uint64) wire.Upstream) error {
	policy, err := c.messagePolicy(retry)
	if err != nil {
		return err
	}
	k.ackID = c.nextAckID.Add(1)
	k.done = make(chan outcome, 1)
	if err := c.encode(k, frame(&k.ackID)); err != nil {
		return err
	}
	for retries, resends := 0, 0; ; {
		err := c.roundTrip(ctx, k).err
		if err == nil || errors.Is(err, ErrDuplicate) {
			return nil
		}
		if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
			return err
		}
		if errors.Is(err, ErrConnectionLost) && !rejectsFrame(err) && resends < maxResends {
			recovered, err := c.recovered(ctx, k.session)
			if err != nil {
				return err
			}
			if recovered {
				resends++
				continue // the ack ID prevents that the service processes it twice
			}
		}
		if retries >= policy.MaxTries || !retryable(err) {
			if n := 1 + retries; n > 1 {
				err = fmt.Errorf("%w (after %d attempts)", err, n)
			}
			return err
		}
		retries++
		c.o.Logger.Debug("retrying request to Web PubSub", "ackId", k.ackID, "retry", retries, "error", err)
		if err := c.backoff(ctx, policy.DelayBefore(retries), errors.Is(err, ErrNotConnected)); err != nil {
			return err
		}
	}
}

// retryable reports whether the same call may succeed later.
func retryable(err error) bool {
	for _, final := range []error{ErrForbidden, ErrBadRequest, ErrNotRunning, ErrQueueFull} {
		if errors.Is(err, final) {
			return false
		}
	}
	return !rejectsFrame(err)
}

func (c *Client) encode(k *call, u wire.Upstream) error {
	frame, err := c.frame(u)
	k.frame = frame
	return err
}

// frame encodes a frame, and rejects one that breaks a rule. All frames are encoded
// here: the service closes the connection on an invalid one, and everything that
// is in progress on it fails.
func (c *Client) frame(u wire.Upstream) ([]byte, error) {
	frame, err := protocols[c.o.Protocol].AppendUpstream(nil, u)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidArgument, err)
	}
	if len(frame) > maxFrame {
		return nil, fmt.Errorf("%w: the encoded message has %d bytes, and the service accepts %d: split it, or store it elsewhere and send a reference", ErrInvalidArgument, len(frame), maxFrame)
	}
	return frame, nil
}

// roundTrip sends the frame once and waits for the response.
func (c *Client) roundTrip(ctx context.Context, k *call) outcome {
	if err := c.transmit(ctx, k); err != nil {
		return outcome{err: err}
	}
	select {
	case out := <-k.done:
		return out
	case <-ctx.Done():
	}
	if c.cancelCall(k) {
		return outcome{err: ctx.Err()}
	}
	return <-k.done // the response was received at the same time
}

// transmit queues the frame on the link, or in the outbox if there is no link. It
// blocks while the queue of the link is full.
func (c *Client) transmit(ctx context.Context, k *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		c.mu.Lock()
		if c.link == nil {
			err := c.enqueueOutbox(k)
			c.mu.Unlock()
			return err
		}
		room := c.link.enqueue(k.frame, k)
		if room == nil {
			c.register(k)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enqueueOutbox adds a call to the outbox. c.mu must be held.
func (c *Client) enqueueOutbox(k *call) error {
	switch {
	case c.state == StateStopped || c.state == StateStopping:
		return ErrNotRunning
	case c.o.OutboundQueueSize == 0:
		return ErrNotConnected
	case len(c.outbox) >= c.o.OutboundQueueSize:
		return ErrQueueFull
	}
	c.outbox = append(c.outbox, k)
	return nil
}

// register adds a call that waits for a response. c.mu must be held.
func (c *Client) register(k *call) {
	k.session = c.session
	switch {
	case k.done == nil && k.rejoin == nil:
	case k.invocation != "":
		c.invocations[k.invocation] = k
	default:
		c.pending[k.ackID] = k
	}
}

// cancelCall removes a call, also from the queue of the link. It reports false if
// its response has been received.
func (c *Client) cancelCall(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.outbox, k); i >= 0 {
		c.outbox = slices.Delete(c.outbox, i, i+1)
		return true
	}
	switch {
	case k.invocation != "" && c.invocations[k.invocation] == k:
		delete(c.invocations, k.invocation)
	case k.invocation == "" && c.pending[k.ackID] == k:
		delete(c.pending, k.ackID)
	default:
		return false
	}
	if c.link != nil && c.link.takeBack(k) {
		k.unsent = true
	}
	return true
}

// handleAck handles an acknowledgement. It updates the groups, which the calling
// goroutine could only do later, when there may be a new connection. It returns
// the group that was left, or "".
func (c *Client) handleAck(ack wire.Ack) (left string) {
	err := serviceError(ack.Error)
	c.mu.Lock()
	k := c.pending[ack.AckID]
	delete(c.pending, ack.AckID)
	switch {
	case k == nil:
	case err == nil || errors.Is(err, ErrDuplicate):
		if k.join != "" {
			c.groups[k.join] = struct{}{}
		}
		if k.leave != "" {
			delete(c.groups, k.leave)
			delete(c.states, k.leave)
			left = k.leave
		}
		delete(c.states, k.unsubscribe)
	default:
		if k.rejoin != nil {
			delete(c.groups, k.join)
		}
		delete(c.states, k.subscribe)
	}
	c.mu.Unlock()
	if k != nil {
		k.finish(outcome{err: err})
	}
	return left
}

// fail ends the calls that wait for a response, which will not be received. Rejoins
// are kept if the connection is recovered: they are sent again then. c.mu must be
// held.
func (c *Client) fail(err error, recovering bool) {
	for id, k := range c.pending {
		if k.rejoin != nil && recovering {
			continue
		}
		delete(c.pending, id)
		k.finish(outcome{err: err})
	}
	for id, k := range c.invocations {
		delete(c.invocations, id)
		k.finish(outcome{err: err})
	}
}

// recovered waits until the connection has been recovered or has ended, and reports
// whether it has been recovered.
func (c *Client) recovered(ctx context.Context, s *session) (bool, error) {
	for {
		c.mu.Lock()
		current, link, changed := c.session, c.link, c.changed
		c.mu.Unlock()
		switch {
		case current != s:
			return false, nil
		case link != nil:
			return true, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// backoff waits for d or, if there was no connection, until there is one.
func (c *Client) backoff(ctx context.Context, d time.Duration, unconnected bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		c.mu.Lock()
		link, state, changed := c.link, c.state, c.changed
		c.mu.Unlock()
		switch {
		case state == StateStopped || state == StateStopping:
			return ErrNotRunning
		case unconnected && link != nil:
			return nil
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
