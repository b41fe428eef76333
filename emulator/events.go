package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// eventQueue delivers the events of one connection to the event handlers, one
// after the other, so that they arrive in order and each sees the state that
// the one before it left. It runs beside the reader: a slow handler does not
// keep a client from being read.
type eventQueue struct {
	mu      sync.Mutex
	jobs    []job
	bytes   int
	running bool
	next    uint64 // ce-id of the next event
	begun   bool   // connected has been queued
	early   []job  // group events that came before that

	// What the handlers' responses left behind. Only the delivery in progress
	// touches these.
	state   *string
	cookies *upstream.Cookies

	// What the client's request said, for every event.
	origin string // host without port
	trace  string // traceparent
}

// from keeps what events repeat of the client's request.
func (q *eventQueue) from(header map[string][]string) {
	for name, values := range header {
		switch strings.ToLower(name) {
		case "host":
			q.origin = (&url.URL{Host: values[0]}).Hostname()
		case "traceparent":
			q.trace = values[0]
		}
	}
}

// job is an event to deliver.
type job struct {
	ctx   context.Context
	event upstream.Event
	skip  func() bool // asked right before the delivery; may be nil
	done  func(upstream.Response, error)
}

// raise queues an event. It reports false where too many are waiting; a
// connection's beginning and end are never left out.
func (c *conn) raise(j job) bool {
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	return c.enqueue(j)
}

// enqueue needs the queue's lock.
func (c *conn) enqueue(j job) bool {
	q, o := &c.events, &c.hub.srv.opts
	if j.ctx == nil {
		j.ctx = c.hub.srv.ctx
	}
	switch j.event.Kind {
	case upstream.Connected, upstream.Disconnected:
	default:
		if len(q.jobs) >= o.MaxMessages || q.bytes+len(j.event.Body) > o.MaxBytes {
			return false
		}
	}
	j.event.ID = q.next
	q.next++
	q.jobs = append(q.jobs, j)
	q.bytes += len(j.event.Body)
	if !q.running {
		q.running = true
		c.hub.srv.work(c.deliverEvents)
	}
	return true
}

func (c *conn) deliverEvents() {
	q := &c.events
	for {
		q.mu.Lock()
		if len(q.jobs) == 0 {
			q.running = false
			q.jobs = nil
			q.mu.Unlock()
			return
		}
		j := q.jobs[0]
		q.jobs[0] = job{}
		q.jobs = q.jobs[1:]
		q.bytes -= len(j.event.Body)
		q.mu.Unlock()
		if j.skip != nil && j.skip() {
			continue
		}
		r, err := c.deliver(j.ctx, j.event)
		if j.done != nil {
			j.done(r, err)
		}
	}
}

// deliver sends one event to the handler that wants it, and keeps the state
// and the cookies of an answer that can be used.
func (c *conn) deliver(ctx context.Context, e upstream.Event) (upstream.Response, error) {
	q := &c.events
	e.Hub, e.ConnectionID, e.UserID = c.hub.name, c.id, c.userID
	if e.Kind != upstream.Connect {
		e.Subprotocol = c.subprotocol
	}
	if c.mqtt != nil {
		c.identifyMQTT(&e)
	}
	e.State, e.Cookies = q.state, q.cookies
	e.Origin, e.TraceParent = q.origin, q.trace
	start := time.Now()
	r, err := c.hub.srv.upstream.Deliver(ctx, c.hub.settings.Load().handlers, e)
	if err == nil && e.Kind == upstream.User && c.mqtt == nil { // MQTT takes any response
		_, err = c.replyOf(r)
	}
	if err == nil {
		// The responses to connected and other notifications are not read.
		if blocking := e.Kind == upstream.Connect || e.Kind == upstream.User; blocking && r.State != nil {
			q.state = r.State
		}
		q.cookies = r.Cookies
	}
	// Nobody needs to listen for a client that connects; for what it says, yes.
	if !errors.Is(err, upstream.ErrNoHandler) || e.Kind == upstream.User {
		name := e.Name
		if e.Group != "" {
			name += " " + e.Group
		}
		c.journalEvent(name, r.Status, time.Since(start), err)
	}
	return r, err
}

// replyOf returns the reply to a user event.
func (c *conn) replyOf(r upstream.Response) (webpubsub.Message, error) {
	if c.protocol == 0 {
		return r.SimpleMessage()
	}
	return r.Message()
}

func (c *conn) journalEvent(name string, status int, took time.Duration, err error) {
	entry := Entry{Kind: KindEvent, Name: name, Status: status, Took: took}
	if err != nil {
		var refused *upstream.StatusError
		if errors.As(err, &refused) {
			entry.Status = refused.Status
		}
		entry.Kind, entry.Reason = KindEventFailed, err.Error()
	}
	c.journal(entry)
}

// journalAttempt tells of an attempt that is not the last: without it a handler
// that fails would seem to keep the emulator waiting for nothing.
func (s *Server) journalAttempt(a upstream.Attempt) {
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
	s.journal.add(Entry{
		Kind: KindEventRetried, Hub: a.Hub, ConnectionID: a.ConnectionID, Name: name, Status: a.Status, Took: a.Duration,
		Reason: fmt.Sprintf("%s; attempt %d of %d, the next one follows in %v", reason, a.Number, upstream.MaxAttempts, a.Retry),
	})
}

// raiseConnected and raiseDisconnected tell the handlers of a connection's
// beginning and end. Nobody waits for the answer.

func (c *conn) raiseConnected() {
	c.raiseSystem(upstream.Connected, "connected", []byte("{}"))
	q := &c.events
	q.mu.Lock()
	defer q.mu.Unlock()
	q.begun = true
	for _, j := range q.early {
		c.enqueue(j)
	}
	q.early = nil
}

func (c *conn) raiseDisconnected(reason string) {
	var about any = map[string]string{"reason": reason}
	if c.mqtt != nil {
		about = c.disconnectedMQTT(reason)
	}
	body, _ := json.Marshal(about)
	c.raiseSystem(upstream.Disconnected, "disconnected", body)
}

func (c *conn) raiseSystem(kind upstream.Kind, name string, body []byte) {
	e := upstream.Event{Kind: kind, Name: name, ContentType: "application/json", Body: body}
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	if !c.hub.wants(e) {
		c.events.next++ // the id is taken even where nobody listens
		return
	}
	c.enqueue(job{event: e})
}

// raisePresence tells the handlers that opted in that the connection joined or
// left a group, also by its end, and not before they heard that it is
// connected. That the event carries user, subprotocol and state as others do is
// not documented; the official libraries read them. It is called under the
// hub's lock, so that events come in the order of what they tell.
func (c *conn) raisePresence(kind upstream.Kind, group string) {
	e := upstream.Event{Kind: kind, Name: kind.String(), Group: group}
	if !c.hub.wants(e) {
		return
	}
	q := &c.events
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.begun:
		q.early = append(q.early, job{event: e})
	case !c.enqueue(job{event: e}):
		// On a goroutine: who observes the journal may ask the hub.
		c.hub.srv.work(func() {
			c.journalEvent(e.Name+" "+group, 0, 0, errors.New("too many events wait for the event handler: this one is not delivered"))
		})
	}
}

// wants reports whether an event handler is configured for the event.
func (h *hub) wants(e upstream.Event) bool {
	return slices.ContainsFunc(h.settings.Load().handlers, func(u upstream.Handler) bool { return u.Matches(e) })
}

// userEvent is an event that a client raised, with what is to come of it.
type userEvent struct {
	ctx     context.Context // nil: the server's
	name    string
	message webpubsub.Message
	skip    func() bool
	reply   func(webpubsub.Message) // nil: the bare message goes to the client
	fail    func(name, text string) // error name and text, as for an ack
}

func (c *conn) raiseUserEvent(u userEvent) {
	ok := c.raise(job{
		ctx:  u.ctx,
		skip: u.skip,
		event: upstream.Event{
			Kind:        upstream.User,
			Name:        u.name,
			ContentType: eventContentType(u.message.Type),
			Body:        u.message.Data,
			Metadata:    u.message.Metadata,
		},
		done: func(r upstream.Response, err error) {
			m := webpubsub.Message{}
			if err == nil {
				m, err = c.replyOf(r)
			}
			switch {
			case err != nil:
				u.fail(errInternal, "Internal server error")
			case u.reply != nil:
				u.reply(m)
			case !m.IsZero():
				c.send(simpleFrame(m))
			}
		},
	})
	if !ok {
		u.fail(errInternal, "Too many events wait for the event handler.")
	}
}

// eventContentType is the content type of an event's body. Text names its
// encoding; JSON has only one.
func eventContentType(t webpubsub.DataType) string {
	if t == webpubsub.DataTypeText {
		return "text/plain; charset=utf-8"
	}
	return payload.ContentType(t)
}

// invocations are the calls of a client that wait for a handler's answer.
type invocations struct {
	mu      sync.Mutex
	pending map[string]context.CancelFunc
}

// begin registers a call. It reports false where one of that id is pending.
func (v *invocations) begin(id string, cancel context.CancelFunc) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.pending[id]; ok {
		return false
	}
	if v.pending == nil {
		v.pending = make(map[string]context.CancelFunc)
	}
	v.pending[id] = cancel
	return true
}

// cancel ends a call, and reports false where it was not pending: then it has
// been answered or cancelled, and nothing may be sent for it any more.
func (v *invocations) cancel(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	cancel, ok := v.pending[id]
	if ok {
		cancel()
		delete(v.pending, id)
	}
	return ok
}

func (v *invocations) cancelAll() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, cancel := range v.pending {
		cancel()
	}
	clear(v.pending)
}

// receiveInvoke raises a user event and returns the handler's answer as the
// result of the call. A cancelled call is not answered.
func (c *conn) receiveInvoke(u wire.Invoke) {
	ctx, cancel := context.WithCancel(c.hub.srv.ctx)
	answer := func(m webpubsub.Message, e *wire.Error) {
		if c.calls.cancel(u.InvocationID) {
			c.reply(wire.InvokeResponse{InvocationID: u.InvocationID, Message: m, Error: e})
		}
	}
	if !c.calls.begin(u.InvocationID, cancel) {
		cancel()
		c.reply(wire.InvokeResponse{InvocationID: u.InvocationID, Error: &wire.Error{
			Name: errBadRequest, Message: "An invocation with this invocationId is in progress.",
		}})
		return
	}
	if u.Target != "event" {
		answer(webpubsub.Message{}, &wire.Error{Name: errBadRequest, Message: "The target of an invocation must be 'event'."})
		return
	}
	c.raiseUserEvent(userEvent{
		ctx:     ctx,
		name:    u.Event,
		message: u.Message,
		reply:   func(m webpubsub.Message) { answer(m, nil) },
		fail: func(name, text string) {
			answer(webpubsub.Message{}, &wire.Error{Name: name, Message: text})
		},
	})
}
