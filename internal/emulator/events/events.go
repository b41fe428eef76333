// Package events delivers what happens to connections to event handlers: in
// order, with the state and the cookies that the handlers set, and with an entry
// in the journal.
//
// Each connection has a [Source]. The handler's response to connect and to a user
// event is awaited ([Source.Connect], [Source.Call]); the other events are
// notifications ([Source.Notify]), whose response is not awaited. An event is
// not sent before the one before it was, and then waits a moment for its response.
// It does not wait longer for the response to a notification: a slow handler of
// connected does not delay what the client sends, and can be overtaken by it.
package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/upstream"
)

// Dispatcher is what the sources of an emulator share.
type Dispatcher struct {
	// Context bounds all deliveries.
	Context context.Context
	epoch   epoch // bounds those since the last Cancel
	replays atomic.Uint64
	// Upstream makes the requests, by a client of [NewTransport].
	Upstream *upstream.Dispatcher
	// Handlers returns the event handlers of a hub.
	Handlers func(hub string) []upstream.Handler
	// Listened reports whether an event listener is configured for an event. nil: none.
	Listened func(upstream.Event) bool
	// Listen copies an event to the event listeners that are configured for it,
	// without waiting for them, and reports whether there is one. nil: none.
	Listen  func(upstream.Event) bool
	Journal *journal.Journal
	Tasks   *task.Group
	// MaxNotifications bounds the notifications of a connection that are under way.
	// A connection's beginning and end are always delivered.
	MaxNotifications int
	// Sent is called for each event that was delivered, or could not be, with the bytes
	// of its body. nil: nothing is called.
	Sent func(bytes int)
}

// epoch is a context that can be replaced.
type epoch struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
}

// context returns the context of deliveries that begin now.
func (d *Dispatcher) context() context.Context {
	d.epoch.mu.Lock()
	defer d.epoch.mu.Unlock()
	if d.epoch.ctx == nil {
		d.epoch.ctx, d.epoch.cancel = context.WithCancel(d.Context)
	}
	return d.epoch.ctx
}

// Cancel ends the deliveries in progress without a result.
func (d *Dispatcher) Cancel() {
	d.epoch.mu.Lock()
	defer d.epoch.mu.Unlock()
	if d.epoch.ctx != nil {
		d.epoch.cancel()
		d.epoch.ctx = nil
	}
}

// replayIDs are the ce-ids of events that are replayed, beyond those of connections.
const replayIDs = 1 << 32

// Replay delivers an event again to the handler that is configured for it now, as a
// new event: with another ce-id, ce-time and signature, since a handler that
// recognizes repeated events would not process it otherwise. The response changes
// nothing. The entry about it, whose id is returned, names the entry that it
// repeats.
func (d *Dispatcher) Replay(ctx context.Context, e upstream.Event, repeats uint64, by *journal.Cause) (r upstream.Response, entry uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.context(), cancel)()
	e.ID = replayIDs + d.replays.Add(1)
	rec := newRecord(by)
	start := time.Now()
	r, err = d.Upstream.Deliver(rec.in(ctx), d.Handlers(e.Hub), e)
	out := journal.Entry{
		Hub: e.Hub, ConnectionID: e.ConnectionID, UserID: e.UserID,
		Cause: by, Detail: rec.detail(&e), Repeats: repeats,
	}
	complete(&out, e, r.Status, time.Since(start), err)
	return r, d.Journal.Add(out), err
}

// Source is the events of one connection. Its lock is a leaf.
type Source struct {
	// Identify completes an event by what the protocol of the client adds. It is
	// called under the lock. nil: nothing. Set it before the first event.
	Identify func(*upstream.Event)
	// Check returns why the response to a user event cannot be used. nil: any can.
	Check func(upstream.Response) error

	d    *Dispatcher
	conn *broker.Conn

	mu        sync.Mutex
	next      uint64          // id of the next event
	previous  <-chan struct{} // closed when the newest event was sent; nil: none
	under     int             // notifications under way
	connected bool            // connected has been raised
	early     []early         // presence events that came before that
	state     *string
	cookies   *upstream.Cookies
	origin    string // host of the client's request, without port
	trace     string // its traceparent
}

// early is an event that waits for connected.
type early struct {
	upstream.Event
	by *journal.Cause
}

// FromRequest keeps what every event repeats of the client's request.
func (s *Source) FromRequest(header map[string][]string) {
	for name, values := range header {
		switch strings.ToLower(name) {
		case "host":
			s.origin = (&url.URL{Host: values[0]}).Hostname()
		case "traceparent":
			s.trace = values[0]
		}
	}
}

// NewSource returns the source of a connection.
func (d *Dispatcher) NewSource(c *broker.Conn) *Source { return &Source{d: d, conn: c} }

// Connect raises the connect event and returns the response. The id 0 belongs to
// it even if no handler matches it; then the error is [upstream.ErrNoHandler].
func (s *Source) Connect(ctx context.Context, body []byte, by *journal.Cause) (upstream.Response, error) {
	return s.Call(ctx, upstream.Event{Kind: upstream.Connect, Name: "connect", ContentType: "application/json", Body: body}, by)
}

// Call raises an event and returns the response. State and cookies of a usable
// response are kept for later events. Calls of a source are made one at a time.
func (s *Source) Call(ctx context.Context, e upstream.Event, by *journal.Cause) (upstream.Response, error) {
	s.mu.Lock()
	turn := s.number(&e)
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.d.context(), cancel)()
	return s.deliver(ctx, e, turn, by)
}

// Notify raises an event without waiting for the response. by is what it follows
// from.
func (s *Source) Notify(e upstream.Event, by *journal.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lifetime := e.Kind == upstream.Connected || e.Kind == upstream.Disconnected
	wanted := s.wanted(e)
	switch {
	case e.Kind == upstream.Connected:
		s.connected = true
	case !s.connected && !lifetime:
		if wanted {
			s.early = append(s.early, early{e, by})
		}
		return
	}
	switch {
	case wanted:
		s.notify(e, lifetime, by)
	case lifetime:
		s.next++ // the id is used even if no handler matches
	}
	if e.Kind == upstream.Connected {
		for _, e := range s.early {
			s.notify(e.Event, false, e.by)
		}
		s.early = nil
	}
}

// notify must be called with the lock held.
func (s *Source) notify(e upstream.Event, always bool, by *journal.Cause) {
	if !always && s.under >= s.d.MaxNotifications {
		// On a goroutine: the caller may have the hub's lock, and an observer of the
		// journal may query the hub.
		s.d.Tasks.Go(func() {
			s.journal(e, 0, 0, errors.New("too many events wait for the event handler: this one is not delivered"), journal.Entry{Cause: by})
		})
		return
	}
	turn := s.number(&e)
	s.under++
	s.d.Tasks.Go(func() {
		_, _ = s.deliver(s.d.context(), e, turn, by)
		s.mu.Lock()
		s.under--
		s.mu.Unlock()
	})
}

// wanted reports whether an event handler or listener is configured for the event.
func (s *Source) wanted(e upstream.Event) bool {
	e.Hub = s.conn.Hub.Name
	if s.d.Listened != nil && s.d.Listened(e) {
		return true
	}
	return slices.ContainsFunc(s.d.Handlers(s.conn.Hub.Name), func(h upstream.Handler) bool { return h.Matches(e) })
}

// turn is the place of an event in the order of its connection.
type turn struct {
	previous <-chan struct{}
	over     <-chan struct{} // closed by sent
	sent     func()          // may be called more than once
}

// number gives the event its id and its turn. The lock must be held.
func (s *Source) number(e *upstream.Event) turn {
	e.ID = s.next
	s.next++
	e.Hub, e.ConnectionID, e.UserID = s.conn.Hub.Name, s.conn.ID, s.conn.UserID
	if e.Kind != upstream.Connect {
		e.Subprotocol = s.conn.Subprotocol
	}
	if s.Identify != nil {
		s.Identify(e)
	}
	sent := make(chan struct{})
	t := turn{previous: s.previous, over: sent, sent: sync.OnceFunc(func() { close(sent) })}
	s.previous = sent
	return t
}

// end ends a turn, and keeps nothing of it if it is the newest.
func (s *Source) end(t turn) {
	t.sent()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.previous == t.over {
		s.previous = nil
	}
}

// deliver sends an event when it is its turn, to the event listeners and then to the
// event handler, and keeps the state and the cookies of a usable response. A user
// event that only listeners get has succeeded, whatever becomes of it there.
func (s *Source) deliver(ctx context.Context, e upstream.Event, t turn, by *journal.Cause) (upstream.Response, error) {
	defer s.end(t)
	if t.previous != nil {
		select {
		case <-t.previous:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	e.State, e.Cookies = s.state, s.cookies
	e.Origin, e.TraceParent = s.origin, s.trace
	s.mu.Unlock()
	start := time.Now()
	rec := newRecord(by)
	copied := s.d.Listen != nil && ctx.Err() == nil && s.d.Listen(e)
	r, err := s.d.Upstream.Deliver(rec.in(withSent(ctx, t.sent)), s.d.Handlers(e.Hub), e)
	if s.d.Sent != nil && !errors.Is(err, upstream.ErrNoHandler) {
		s.d.Sent(len(e.Body))
	}
	if copied && errors.Is(err, upstream.ErrNoHandler) {
		s.journal(e, 0, time.Since(start), nil, journal.Entry{Cause: by, Detail: rec.detail(&e), Reason: "there is no event handler for it: it was copied to event listeners"})
		return upstream.Response{Status: http.StatusOK, Cookies: e.Cookies}, nil
	}
	if err == nil && e.Kind == upstream.User && s.Check != nil {
		err = s.Check(r)
	}
	if err == nil {
		s.mu.Lock()
		// The state in the response to a notification is ignored (Microsoft Learn,
		// CloudEvents extension: connected).
		if r.State != nil && (e.Kind == upstream.Connect || e.Kind == upstream.User) {
			s.state = r.State
		}
		s.cookies = r.Cookies
		s.mu.Unlock()
	}
	// System events without a handler are normal; user events without one are not.
	if !errors.Is(err, upstream.ErrNoHandler) || e.Kind == upstream.User {
		s.journal(e, r.Status, time.Since(start), err, journal.Entry{Cause: by, Detail: rec.detail(&e)})
	}
	return r, err
}

// journal completes an entry about an event and records it.
func (s *Source) journal(e upstream.Event, status int, took time.Duration, err error, entry journal.Entry) {
	complete(&entry, e, status, took, err)
	s.conn.Journal(entry)
}

func complete(entry *journal.Entry, e upstream.Event, status int, took time.Duration, err error) {
	entry.Kind, entry.Name, entry.Status, entry.Duration = journal.Event, e.Name, status, took
	if e.Group != "" {
		entry.Name += " " + e.Group
	}
	if err != nil {
		var rejected *upstream.StatusError
		if errors.As(err, &rejected) {
			entry.Status = rejected.Status
		}
		entry.Kind, entry.Reason = journal.EventFailed, err.Error()
	}
}

// JournalAttempt records an attempt that another one follows: without it, a
// handler that fails would seem to make the emulator wait for nothing.
func JournalAttempt(ctx context.Context, j *journal.Journal, a upstream.Attempt) {
	if a.Retry == 0 {
		return
	}
	_, name, ok := strings.Cut(strings.TrimPrefix(a.Event, "azure.webpubsub."), ".")
	if !ok {
		name = a.Event // a validation
	}
	reason := "the handler failed"
	if a.Err != nil {
		reason = a.Err.Error()
	}
	rec := recordOf(ctx)
	j.Add(journal.Entry{
		Cause: rec.cause(), Detail: rec.detail(nil),
		Kind: journal.EventRetried, Hub: a.Hub, ConnectionID: a.ConnectionID, Name: name, Status: a.Status, Duration: a.Duration,
		Reason: fmt.Sprintf("%s; attempt %d of %d, the next one follows in %v", reason, a.Number, upstream.MaxAttempts, a.Retry),
	})
}
