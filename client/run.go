package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/loglimit"
	"example.com/webpubsub/internal/wire"
)

// run is the work of a client from Start until it has stopped. One goroutine makes
// connections and reads, one keeps the link alive, one calls the callbacks.
type run struct {
	c           *Client
	base        context.Context // has the values of the context of Start
	ctx         context.Context // derived from base, canceled by Stop
	callbackCtx context.Context // derived from ctx
	cancel      context.CancelFunc
	queue       *queue
	// reconnect is the budget for new connections after the first, and recovery
	// that for links of the current one.
	reconnect, recovery *backoff.Retry
	noise               *loglimit.Limiter

	started       chan error
	disconnected  chan struct{} // closed when everything except the callbacks has ended
	delivered     chan struct{} // closed when the callbacks have ended too; nil if none can be called
	done          chan struct{} // closed when everything has ended
	prevDelivered <-chan struct{}

	// Accessed only by the reader goroutine.
	reason  string // what the service sent before it closed
	dropped int    // messages in a row
}

// newRun returns a run. c.mu must be held.
func newRun(ctx context.Context, c *Client) *run {
	r := &run{
		c: c, queue: newQueue(c.o.EventQueueSize), reconnect: backoff.New(c.o.reconnectPolicy()),
		started: make(chan error, 1), disconnected: make(chan struct{}), done: make(chan struct{}),
	}
	r.noise = loglimit.New(func(kind string, n int) {
		c.o.Logger.Warn("similar log records of the Web PubSub client were suppressed", "kind", kind, "count", n)
	})
	if last := c.run; last != nil {
		r.prevDelivered = last.delivered
		if last.delivered == nil {
			r.prevDelivered = last.prevDelivered
		}
	}
	r.base = context.WithoutCancel(ctx)
	if c.isCallback(ctx) && c.run != nil {
		r.base = c.run.base // or contexts would be nested more deeply with each restart
	}
	r.ctx, r.cancel = context.WithCancel(r.base)
	r.callbackCtx = c.callbackContext(r.ctx)
	return r
}

// loop makes connections until the client is stopped or gives up.
func (r *run) loop(first context.Context) {
	err := r.connections(first)
	r.c.mu.Lock()
	outbox := r.c.outbox
	r.c.outbox = nil
	r.c.set(StateStopped)
	r.c.mu.Unlock()
	r.cancel()
	for _, k := range outbox {
		k.finish(outcome{err: ErrNotRunning})
	}
	close(r.disconnected)
	if r.delivered == nil {
		r.started <- err
	} else {
		r.queue.push(item{event: StoppedEvent{err}}, true)
		r.queue.close()
		<-r.delivered
	}
	close(r.done)
}

// connections returns nil after Stop.
func (r *run) connections(first context.Context) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	stop := context.AfterFunc(first, cancel)
	s, l, err := r.open(ctx)
	stop()
	switch {
	case err == nil:
	case r.ctx.Err() != nil:
		return ErrNotRunning
	case first.Err() != nil:
		return first.Err()
	default:
		return err
	}
	r.delivered = make(chan struct{})
	go r.deliver()
	r.started <- nil
	for {
		end := r.readUntilDisconnected(s, l)
		r.c.o.Logger.Debug("disconnected from Web PubSub", "connection", end.ConnectionID, "code", end.Code,
			"reason", end.Reason, "recoveryAttempted", end.RecoveryAttempted, "error", end.Err)
		r.queue.push(item{event: end}, true)
		if r.ctx.Err() != nil {
			return nil
		}
		if r.c.o.DisableReconnect {
			return end.Err
		}
		if s, l, err = r.reopen(end.Err); err != nil {
			if r.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// readUntilDisconnected reads from a connection until it has ended, through all
// interruptions.
func (r *run) readUntilDisconnected(s *session, l *link) DisconnectedEvent {
	r.recovery = backoff.New(r.c.o.recoveryPolicy())
	for {
		err := r.read(s, l)
		recoverable := r.recoverable(s, err)
		r.detach(err, recoverable)
		if errors.Is(err, ErrSlowConsumer) {
			l.writeClose(websocketNormal, echoGrace)
		}
		l.end()
		life := time.Since(l.born)
		r.recovery.Ended(life, l.progress)
		r.reconnect.Ended(life, l.progress)
		if !recoverable {
			return r.disconnection(s, err, err, false)
		}
		r.c.o.Logger.Debug("Web PubSub connection interrupted, recovering", "connection", s.id, "error", err)
		r.queue.push(item{event: RecoveringEvent{s.id}}, true)
		interruption := err
		var frame received
		if l, frame, err = r.recover(s, interruption); err != nil {
			r.detach(err, false)
			return r.disconnection(s, interruption, err, true)
		}
		r.reestablish(s, l)
		r.c.o.Logger.Debug("Web PubSub connection recovered", "connection", s.id)
		r.queue.push(item{event: RecoveredEvent{s.id}}, true)
		l.first = &frame
	}
}

// disconnection returns the event for the end of a connection: its code and reason
// are those of the interruption, its error is that which made it final.
func (r *run) disconnection(s *session, interruption, err error, attempted bool) DisconnectedEvent {
	d := DisconnectedEvent{ConnectionID: s.id, Code: websocketAbnormal, Reason: r.reason, RecoveryAttempted: attempted, Err: err}
	var closed *CloseError
	switch {
	case errors.As(interruption, &closed):
		d.Code, d.Reason = closed.Code, closed.Reason
	case errors.Is(interruption, ErrSlowConsumer):
		d.Code, d.Reason = websocketPolicy, ErrSlowConsumer.Error()
	}
	if r.ctx.Err() != nil {
		d.Err = nil
	}
	return d
}

// establish makes a new connection available to calls and joins its groups.
func (r *run) establish(s *session, l *link) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.DisableRejoin {
		clear(c.groups)
	}
	groups := slices.Sorted(maps.Keys(c.groups))
	for group := range c.states {
		if _, ok := c.groups[group]; !ok {
			delete(c.states, group)
		}
	}
	s.rejoin = newRejoinBarrier(len(groups) + len(c.states))
	r.queue.push(item{event: ConnectedEvent{s.id, s.userID}, barrier: s.rejoin}, true)
	l.session.Store(s)
	c.session, c.link = s, l
	for _, g := range groups {
		k := &call{ackID: c.nextAckID.Add(1), join: g, rejoin: s.rejoin}
		if err := c.encode(k, wire.JoinGroup{Group: g, AckID: &k.ackID}); err != nil {
			s.rejoin.settle(g, err)
			continue
		}
		s.rejoin.calls = append(s.rejoin.calls, k)
		c.register(k)
		l.enqueueNow(k.frame, k)
	}
	c.resubscribe(s, l)
	r.resume(l)
	c.o.Logger.Debug("connected to Web PubSub", "connection", s.id)
}

// reestablish makes the new link of a recovered connection available to calls.
func (r *run) reestablish(s *session, l *link) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	l.session.Store(s)
	s.ackPending.Store(true)
	c.link = l
	for _, k := range s.rejoin.calls {
		if c.pending[k.ackID] == k {
			l.enqueueNow(k.frame, k)
		}
	}
	for _, stream := range c.streams {
		stream.resume(l)
	}
	r.resume(l)
}

// resume sends the calls of the outbox. c.mu must be held.
func (r *run) resume(l *link) {
	c := r.c
	for _, k := range c.outbox {
		c.register(k)
		l.enqueueNow(k.frame, k)
	}
	c.outbox = nil
	c.set(StateConnected)
}

// detach removes the link. Calls in progress fail.
func (r *run) detach(cause error, recovering bool) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
	err := error(ErrConnectionLost)
	switch {
	case r.ctx.Err() != nil:
		err = ErrNotRunning
	case rejectsFrame(cause):
		err = fmt.Errorf("%w: %w", ErrConnectionLost, cause)
	}
	state := StateRecovering
	if !recovering {
		state = StateReconnecting
		c.session = nil
		for _, stream := range c.streams {
			stream.close(err)
		}
	}
	c.fail(err, recovering)
	c.set(state)
}
