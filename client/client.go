package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// State is what a client is doing.
type State int

// The states of a client.
const (
	// StateStopped is the state before Start, and after Stop.
	StateStopped State = iota
	// StateConnecting is that of a first connection.
	StateConnecting
	// StateConnected means that calls are sent at once.
	StateConnected
	// StateRecovering means that the connection is interrupted.
	StateRecovering
	// StateReconnecting means that the connection was lost, and a new one is made.
	StateReconnecting
	// StateStopping is that while Stop runs.
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

// Client is a WebSocket client of one hub. Its methods may be called from
// several goroutines at once. Make one with [New].
type Client struct {
	credential Credential
	o          Options
	callbacks  atomic.Pointer[callbacks]
	inCallback sync.Map // ids of the goroutines that run callbacks

	nextAckID      atomic.Uint64
	nextInvocation atomic.Uint64

	mu          sync.Mutex // not held while anything waits
	state       State
	run         *run          // the last start
	link        *link         // what frames are sent on; nil while there is none
	session     *session      // the logical connection, while it may go on
	changed     chan struct{} // closed with each change of link, session and state
	groups      map[string]struct{}
	pending     map[uint64]*call
	invocations map[string]*call
	outbox      []*call // waiting for a link
	streams     map[string]*OutStream
	states      map[string]*groupState // of the groups subscribed to
}

// session is a logical connection: it may outlive several links.
type session struct {
	id, userID string

	// Accessed only by the reader goroutine.
	url     string
	token   string
	lastSeq uint64
	rejoin  *rejoinBarrier

	queuedSeq  atomic.Uint64 // the last message in the event queue
	ackedSeq   atomic.Uint64 // the last one that was acknowledged
	ackPending atomic.Bool   // something with a number was received since then
}

// New returns a client that connects with the credential when it is started. It
// fails where an option is out of its range.
func New(credential Credential, o Options) (*Client, error) {
	if credential == nil {
		return nil, errors.New("client: the credential is nil: give a function that returns the URL to connect to, or client.URL(url)")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{credential: credential, o: o, changed: make(chan struct{})}
	c.callbacks.Store(&callbacks{})
	return c, nil
}

// Start connects, and returns when the connection stands: calls can be made,
// and callbacks run. The context is for this first attempt only; it is not
// repeated. It fails with [ErrStarted] unless the client is stopped, and with a
// [*HandshakeError] where the service refuses.
func (c *Client) Start(ctx context.Context) error {
	c.mu.Lock()
	if c.state != StateStopped {
		c.mu.Unlock()
		return ErrStarted
	}
	r := newRun(ctx, c)
	c.groups = make(map[string]struct{})
	c.pending = make(map[uint64]*call)
	c.invocations = make(map[string]*call)
	c.streams = make(map[string]*OutStream)
	c.states = make(map[string]*groupState)
	c.run = r
	c.set(StateConnecting)
	c.mu.Unlock()

	go r.loop(ctx)
	if err := <-r.started; err != nil {
		<-r.done
		return err
	}
	return nil
}

// Stop closes the connection and returns when everything that the client
// started has ended: what waits for its callback has been delivered, and
// OnStopped has run. Groups are forgotten. It may be called at any time, more
// than once, and in a callback, where it does not wait for the callbacks.
// Where the context ends first, the connection is cut and Stop returns the
// context's error.
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
	if _, ok := c.inCallback.Load(goroutineID()); ok {
		done = r.disconnected
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	if c.run == r && c.link != nil {
		c.link.abort(ErrStopped)
	}
	c.mu.Unlock()
	return ctx.Err()
}

// State returns what the client is doing at the moment.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// ConnectionID returns the id of the connection, "" while there is none. It
// stays the same while a connection is recovered.
func (c *Client) ConnectionID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return ""
	}
	return c.session.id
}

// set changes the state, unless the client is stopping, and wakes whoever waits
// for a change. It needs c.mu.
func (c *Client) set(s State) {
	if c.state != StateStopping || s == StateStopped {
		c.state = s
	}
	close(c.changed)
	c.changed = make(chan struct{})
}
