package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/webpubsub/internal/wire"
)

// run is what happens from a Start to the end. One goroutine supervises and
// reads, one writes, one runs the callbacks.
type run struct {
	c      *Client
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	queue  *queue

	started      chan error
	disconnected chan struct{} // closed when all is over but the callbacks
	delivered    chan struct{} // closed when the callbacks are over too; nil where none can run
	done         chan struct{} // closed at the very end
	before       <-chan struct{}

	// The supervisor's own.
	interrupted error  // what broke the link that is being recovered
	reason      string // what the service says before it closes
	dropped     int    // messages in a row
}

// newRun needs c.mu.
func newRun(ctx context.Context, c *Client) *run {
	r := &run{
		c: c, queue: newQueue(c.o.EventQueue),
		started: make(chan error, 1), disconnected: make(chan struct{}), done: make(chan struct{}),
	}
	if last := c.run; last != nil {
		r.before = last.delivered
		if last.delivered == nil {
			r.before = last.before
		}
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return r
}

// supervise makes connections until the client is stopped or gives up.
func (r *run) supervise(first context.Context) {
	err := r.connections(first)
	r.c.mu.Lock()
	outbox := r.c.outbox
	r.c.outbox = nil
	r.c.set(StateStopped)
	r.c.mu.Unlock()
	r.cancel()
	for _, k := range outbox {
		k.finish(outcome{err: ErrStopped})
	}
	close(r.disconnected)
	if r.delivered == nil {
		r.started <- err
	} else {
		r.queue.push(item{event: Stopped{err}}, true)
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
		return wrap("start", ErrStopped)
	case first.Err() != nil:
		return wrap("start", first.Err())
	default:
		return wrap("start", err)
	}
	r.delivered = make(chan struct{})
	go r.deliver()
	r.started <- nil
	for {
		end := r.serve(s, l)
		r.c.o.Logger.Debug("the Web PubSub connection is lost", "connection", end.ConnectionID, "code", end.Code,
			"reason", end.Reason, "recoveryTried", end.RecoveryTried, "error", end.Err)
		r.queue.push(item{event: end}, true)
		if r.ctx.Err() != nil {
			return nil
		}
		if r.c.o.NoReconnect {
			return end.Err
		}
		if s, l, err = r.reopen(); err != nil {
			if r.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// reopen makes a new connection after the first. The first attempt comes after
// a random part of the delay, since a service that restarts loses all its
// clients at once.
func (r *run) reopen() (*session, *link, error) {
	retry := r.c.o.ReconnectRetry
	delay := rand.N(retry.Delay + 1)
	err := error(ErrConnectionLost)
	for n := 1; retry.Max == 0 || n <= retry.Max; n++ {
		if !sleep(r.ctx, delay) {
			return nil, nil, r.ctx.Err()
		}
		var s *session
		var l *link
		ctx, cancel := context.WithTimeout(r.ctx, reopenTimeout)
		s, l, err = r.open(ctx)
		cancel()
		if err == nil {
			return s, l, nil
		}
		r.c.o.Logger.Warn("cannot reconnect to Web PubSub", "attempt", n, "error", err)
		delay = retry.delay(n)
	}
	return nil, nil, fmt.Errorf("client: reconnecting was given up: %w", err)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// open makes a new connection, up to the frame that names it.
func (r *run) open(ctx context.Context) (*session, *link, error) {
	u, err := r.c.credential(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("credential: %w", err)
	}
	l, err := r.c.dial(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	go l.write(r.ctx, &r.c.o)
	stop := context.AfterFunc(ctx, func() { l.cut(ctx.Err()) })
	_ = l.net.SetReadDeadline(time.Now().Add(handshakeTimeout))
	hello, err := r.greeting(l)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		l.end()
		return nil, nil, err
	}
	_ = l.net.SetReadDeadline(time.Time{})
	if r.ctx.Err() != nil { // Stop came right now: its limit must not be lifted
		l.endBy(time.Now().Add(closeGrace))
	}
	s := &session{id: hello.ConnectionID, token: hello.ReconnectionToken, url: u}
	if hello.UserID != nil {
		s.userID = *hello.UserID
	}
	r.establish(s, l)
	return s, l, nil
}

// greeting reads the first frame.
func (r *run) greeting(l *link) (wire.Connected, error) {
	r.reason = ""
	for {
		d, _, err := l.next()
		if err != nil {
			if r.reason != "" {
				err = fmt.Errorf("%w (%s)", err, r.reason)
			}
			return wire.Connected{}, err
		}
		switch d := d.(type) {
		case wire.Connected:
			return d, nil
		case wire.Disconnected:
			r.reason = d.Message
		}
	}
}

// establish lets calls use a new connection, and joins its groups.
func (r *run) establish(s *session, l *link) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.NoRejoin {
		clear(c.groups)
	}
	groups := slices.Sorted(maps.Keys(c.groups))
	for group := range c.states {
		if _, ok := c.groups[group]; !ok {
			delete(c.states, group)
		}
	}
	s.rejoin = newGate(len(groups) + len(c.states))
	r.queue.push(item{event: Connected{s.id, s.userID}, gate: s.rejoin}, true)
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
		l.enqueueNow(k.frame)
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
	s.ackDue.Store(true)
	c.link = l
	for _, k := range s.rejoin.calls {
		if c.pending[k.ackID] == k {
			l.enqueueNow(k.frame)
		}
	}
	// A service that could not recover closes now; one that could has perhaps
	// nothing to say, and its pong shows that all is well.
	l.sendPing()
	for _, stream := range c.streams {
		stream.resume(l)
	}
	r.resume(l)
}

// resume sends what waited for a link. It needs c.mu.
func (r *run) resume(l *link) {
	c := r.c
	for _, k := range c.outbox {
		c.register(k)
		l.enqueueNow(k.frame)
	}
	c.outbox = nil
	c.set(StateConnected)
}

// serve reads from a connection, through all interruptions, to its end.
func (r *run) serve(s *session, l *link) Disconnected {
	r.interrupted, r.reason = nil, ""
	tried := false
	for {
		err := r.read(s, l)
		var closed *CloseError
		if errors.As(err, &closed) && closed.Reason == "" {
			closed.Reason = r.reason
		}
		first := r.interrupted == nil
		if first {
			r.interrupted, tried = err, false
		}
		recoverable := r.recoverable(s, err)
		r.detach(l, recoverable)
		if errors.Is(err, ErrSlow) {
			l.bye()
		}
		l.end()
		if recoverable {
			if first {
				r.c.o.Logger.Debug("the Web PubSub connection is interrupted", "connection", s.id, "error", err)
				r.queue.push(item{event: Recovering{s.id}}, true)
			}
			tried = true
			if l, err = r.recover(s, !first); err == nil {
				r.reestablish(s, l)
				continue
			}
			r.detach(nil, false)
		}
		return r.disconnection(s, err, tried)
	}
}

// recoverable reports whether the service may still have the connection.
func (r *run) recoverable(s *session, err error) bool {
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == 1008 {
		return false
	}
	return r.ctx.Err() == nil && protocols[r.c.o.Protocol].Reliable() && s.token != "" && !errors.Is(err, ErrSlow)
}

// detach takes the link away from calls.
func (r *run) detach(l *link, recovering bool) {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
	err := ErrConnectionLost
	if r.ctx.Err() != nil {
		err = ErrStopped
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

// recover opens a new link for the connection. Whatever goes wrong, it is tried
// again until the window is over: only a close with 1008, which comes after the
// handshake, says that it is in vain.
func (r *run) recover(s *session, wait bool) (*link, error) {
	window := r.c.o.RecoveryWindow
	deadline := time.Now().Add(window)
	for err := r.interrupted; ; wait = true {
		if wait && !sleep(r.ctx, r.c.o.RecoveryInterval) {
			return nil, ErrStopped
		}
		if !time.Now().Before(deadline) {
			return nil, fmt.Errorf("recovery was given up after %v: %w", window, err)
		}
		ctx, cancel := context.WithTimeout(r.ctx, min(attemptTimeout, time.Until(deadline)))
		var l *link
		l, err = r.c.dial(ctx, recoveryURL(s))
		cancel()
		if err == nil {
			go l.write(r.ctx, &r.c.o)
			return l, nil
		}
		if r.ctx.Err() != nil {
			return nil, ErrStopped
		}
		r.c.o.Logger.Debug("cannot recover the Web PubSub connection yet", "connection", s.id, "error", err)
	}
}

// disconnection describes the end of a connection by the interruption that
// began it.
func (r *run) disconnection(s *session, err error, tried bool) Disconnected {
	d := Disconnected{ConnectionID: s.id, Code: 1006, Reason: r.reason, RecoveryTried: tried, Err: err}
	var closed *CloseError
	switch {
	case errors.As(r.interrupted, &closed):
		d.Code, d.Reason = closed.Code, closed.Reason
	case errors.Is(r.interrupted, ErrSlow):
		d.Code, d.Reason = 1008, ErrSlow.Error()
	}
	if r.ctx.Err() != nil {
		d.Err = nil
	}
	return d
}
