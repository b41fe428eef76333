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

// run is what happens from a Start to the end. One goroutine makes connections
// and reads, one keeps the link alive, one runs the callbacks.
type run struct {
	c           *Client
	ctx         context.Context // canceled by Stop
	callbackCtx context.Context // derived from ctx
	cancel      context.CancelFunc
	queue       *queue
	// reconnect is the budget for new connections after the first, and recovery
	// that for links of the current one.
	reconnect, recovery *backoff.Retry
	noise               *loglimit.Limiter

	started       chan error
	disconnected  chan struct{} // closed when everything has ended but the callbacks
	delivered     chan struct{} // closed when the callbacks have ended too; nil if none can run
	done          chan struct{} // closed at the very end
	prevDelivered <-chan struct{}

	// Accessed only by the reader goroutine.
	reason  string // what the service sent before it closed
	dropped int    // messages in a row
}

// newRun requires c.mu to be held.
func newRun(ctx context.Context, c *Client) *run {
	r := &run{
		c: c, queue: newQueue(c.o.EventQueueSize), reconnect: backoff.New(c.o.reconnectPolicy()),
		started: make(chan error, 1), disconnected: make(chan struct{}), done: make(chan struct{}),
	}
	r.noise = loglimit.New(func(kind string, n int) {
		c.o.Logger.Warn("Web PubSub: similar warnings were not logged", "kind", kind, "count", n)
	})
	if last := c.run; last != nil {
		r.prevDelivered = last.delivered
		if last.delivered == nil {
			r.prevDelivered = last.prevDelivered
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
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

// readUntilDisconnected reads from a connection, through all interruptions.
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

// disconnection describes the end of a connection by the interruption that
// began it, and the error that made it final.
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

// establish lets calls use a new connection, and joins its groups.
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

// reestablish lets calls use the new link of a recovered connection.
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

// resume sends what waited for a link. c.mu must be held.
func (r *run) resume(l *link) {
	c := r.c
	for _, k := range c.outbox {
		c.register(k)
		l.enqueueNow(k.frame, k)
	}
	c.outbox = nil
	c.set(StateConnected)
}

// detach takes the link away from calls, which fail with the reason.
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
