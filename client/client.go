package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// State is the state of a [Client].
type State int

// States of a client.
const (
	// StateStopped is the state before Start and after Stop.
	StateStopped State = iota
	// StateConnecting is the state while the first connection is made.
	StateConnecting
	// StateConnected is the state while there is a connection.
	StateConnected
	// StateRecovering is the state while the connection is interrupted.
	StateRecovering
	// StateReconnecting is the state while a new connection is made, after one
	// that could not be recovered.
	StateReconnecting
	// StateStopping is the state while Stop runs.
	StateStopping
)

var stateNames = [...]string{"stopped", "connecting", "connected", "recovering", "reconnecting", "stopping"}

// String returns the name in lower case, for example "connected".
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return stateNames[s]
}

// Client is a WebSocket client of one hub. Create one with [New]. Its methods are
// safe for concurrent use.
type Client struct {
	credential Credential
	o          Options
	callbacks  atomic.Pointer[callbacks]

	nextAckID      atomic.Uint64
	nextInvocation atomic.Uint64

	mu          sync.Mutex // do not block while holding it
	state       State
	run         *run          // of the last Start
	link        *link         // that frames are sent on; nil while there is none
	session     *session      // the connection, while it may be recovered
	changed     chan struct{} // closed when link, session or state changes
	groups      map[string]struct{}
	pending     map[uint64]*call
	invocations map[string]*call
	outbox      []*call // waiting for a link
	streams     map[string]*OutgoingStream
	states      map[string]*groupState // of the groups that are subscribed to
}

// session is a connection of the service. It may outlive several links.
type session struct {
	id, userID string

	// Accessed only by the reader goroutine.
	url     string
	token   string
	lastSeq uint64
	rejoin  *rejoinBarrier

	queuedSeq  atomic.Uint64 // the last message in the event queue
	ackedSeq   atomic.Uint64 // the last one that was acknowledged
	ackPending atomic.Bool   // a message with a number was received since then
}

// New returns a client that connects with the credential when it is started. It
// returns an error if the credential is nil or an option is out of its range.
func New(credential Credential, o Options) (*Client, error) {
	if credential == nil {
		return nil, errors.New("client: the credential is nil: pass a function that returns the URL to connect to, or client.URL(url)")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{credential: credential, o: o, changed: make(chan struct{})}
	c.callbacks.Store(&callbacks{})
	return c, nil
}

// Start connects to the service and returns once the connection is established.
// The context limits this first attempt, which is not retried, and nothing that
// follows. Callbacks get its values, or those of the previous Start if it is the
// context of a callback.
//
// Start returns an error that matches [ErrAlreadyStarted] unless the client is
// stopped, and a [*HandshakeError] if the service rejects the connection.
func (c *Client) Start(ctx context.Context) error {
	ctx, cancel := c.callerContext(ctx)
	defer cancel()
	c.mu.Lock()
	if c.state != StateStopped {
		c.mu.Unlock()
		return wrap("start", ErrAlreadyStarted)
	}
	r := newRun(ctx, c)
	c.groups = make(map[string]struct{})
	c.pending = make(map[uint64]*call)
	c.invocations = make(map[string]*call)
	c.streams = make(map[string]*OutgoingStream)
	c.states = make(map[string]*groupState)
	c.run = r
	c.set(StateConnecting)
	c.mu.Unlock()

	go r.loop(ctx)
	if err := <-r.started; err != nil {
		<-r.done
		return wrap("start", err)
	}
	return nil
}

// stopHint is how long Stop waits for callbacks until it logs a hint.
const stopHint = 10 * time.Second

// Stop closes the connection. It returns when everything that the client started
// has ended: queued events have been delivered, and the [Client.OnStopped]
// callback has returned. The groups are forgotten. Stop can be called at any
// time and more than once.
//
// In a callback, and in a goroutine that a callback waits for, pass the context
// of the callback, or one derived from it: Stop then returns when the connection
// is closed and does not wait for callbacks. That the context is canceled by
// Stop itself does not matter.
//
// If the context ends first, the connection is aborted and Stop returns the
// error of the context.
func (c *Client) Stop(ctx context.Context) error {
	c.mu.Lock()
	r := c.run
	if r == nil {
		c.mu.Unlock()
		return nil
	}
	if c.state != StateStopped {
		c.set(StateStopping)
	}
	c.mu.Unlock()
	r.cancel()

	done := r.done
	if c.isCallback(ctx) {
		done = r.disconnected
	}
	ctx, cancel := c.callerContext(ctx)
	defer cancel()
	hint := time.NewTimer(stopHint)
	defer hint.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-hint.C:
			select {
			case <-r.disconnected:
			default:
				continue
			}
			c.o.Logger.Warn("Stop of the Web PubSub client is waiting for callbacks to return",
				"hint", "in a callback, pass the context of the callback to Stop")
			continue
		case <-ctx.Done():
		}
		break
	}
	c.mu.Lock()
	if c.run == r && c.link != nil {
		c.link.abort(ErrNotRunning)
	}
	c.mu.Unlock()
	return wrap("stop", ctx.Err())
}

// State returns the current state.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// ConnectionID returns the ID of the connection, which does not change when the
// connection is recovered. It is empty while there is no connection.
func (c *Client) ConnectionID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return ""
	}
	return c.session.id
}

// set changes the state, unless the client is stopping, and signals waiters by
// closing c.changed. c.mu must be held.
func (c *Client) set(s State) {
	if c.state != StateStopping || s == StateStopped {
		c.state = s
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// callbackKey is the key under which the contexts of a client's callbacks have a
// value.
type callbackKey struct{ c *Client }

func (c *Client) callbackContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, callbackKey{c}, true)
}

func (c *Client) isCallback(ctx context.Context) bool { return ctx.Value(callbackKey{c}) != nil }

// callerContext returns the context for a call of Start or Stop. That of a
// callback is canceled when the client stops, which must not end the call; a
// deadline of the caller still does.
func (c *Client) callerContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if !c.isCallback(ctx) {
		return ctx, func() {}
	}
	deadline, ok := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}
