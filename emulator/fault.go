package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/wire"
)

// Point is where a [Fault] strikes.
type Point int

const (
	// AtHandshake is after the access token of a new client was accepted, and
	// before its connect event.
	AtHandshake Point = iota + 1
	// AtRecovery is the handshake of a reliable client that comes back.
	AtRecovery
	// AtReceive is before a client's message is carried out. What is cut or
	// closed here never happened.
	AtReceive
	// AtSend is before a frame is written to a client. What is cut here did
	// happen, but the client does not hear of it.
	AtSend
)

func (p Point) String() string {
	return [...]string{"nowhere", "handshake", "recovery", "receive", "send"}[p]
}

// Action is what a [Fault] does: make one with [Cut], [Delay], [Stall],
// [Refuse], [CloseWith] or [FailRecovery].
type Action struct {
	kind   actionKind
	delay  time.Duration
	code   int // close code or HTTP status
	reason string
}

type actionKind int

const (
	actCut actionKind = iota + 1
	actDelay
	actStall
	actRefuse
	actClose
)

// Cut resets the network connection, as a lost network would: what the client
// has not read yet may be lost too. A reliable client can come back.
func Cut() Action { return Action{kind: actCut} }

// Delay waits, by the emulator's clock, and goes on. At [AtSend] it makes a slow
// client: each frame takes that long.
func Delay(d time.Duration) Action { return Action{kind: actDelay, delay: d} }

// Stall waits until the fault is removed. At [AtSend] it makes a client that
// does not read, at [AtReceive] an emulator that does not.
func Stall() Action { return Action{kind: actStall} }

// Refuse answers a handshake with the HTTP status, 400 to 599.
func Refuse(status int) Action { return Action{kind: actRefuse, code: status} }

// CloseWith closes with the close code and reason, and ends the connection for
// good; but at [AtRecovery] only the attempt fails, and the connection stays.
// A handshake succeeds first, because there is no closing before.
func CloseWith(code int, reason string) Action {
	return Action{kind: actClose, code: code, reason: reason}
}

// FailRecovery is the close that tells a reliable client to begin anew, for
// [AtRecovery].
func FailRecovery() Action { return CloseWith(websocket.ClosePolicyViolation, notRecovered) }

// terminal reports whether nothing can follow the action.
func (a Action) terminal() bool { return a.kind != actDelay && a.kind != actStall }

func (a Action) String() string {
	switch a.kind {
	case actCut:
		return "cut"
	case actDelay:
		return fmt.Sprintf("delay %v", a.delay)
	case actStall:
		return "stall"
	case actRefuse:
		return fmt.Sprintf("refuse with %d", a.code)
	case actClose:
		return fmt.Sprintf("close with %d", a.code)
	}
	return "nothing"
}

// Fault is something that goes wrong on purpose, to see whether a client gets
// over it. See [Server.Inject] and [Server.Strike].
type Fault struct {
	// At is where it happens.
	At Point
	// Do is what happens.
	Do Action
	// Hub, UserID and ConnectionID say to whom; an empty one stands for all. A new
	// client has no connection id before its handshake is over.
	Hub, UserID, ConnectionID string
	// Frame, at AtReceive and AtSend, is the frame that it happens to, by its
	// type in the client protocol: "sendToGroup", "event", "ack", "message",
	// "connected", "groupState" and so on. What a simple client sends and gets is
	// a "message". The frames of MQTT are its packets but CONNECT, by the names of
	// the specification: "PUBLISH", "PUBACK" and so on. Default: every frame. The control frames of WebSocket are
	// never struck.
	Frame string
	// Skip is how many times it passes by first, and Times how often it then
	// happens. Default: from the first time on, always.
	Skip, Times int
}

func (f Fault) String() string {
	s := f.Do.String() + " at " + f.At.String()
	if f.Frame != "" {
		s += " of " + f.Frame
	}
	return s
}

// check says which rule a fault breaks, "" if none.
func (f Fault) check() string {
	handshake := f.At == AtHandshake || f.At == AtRecovery
	switch {
	case f.Do.kind == 0:
		return "Do is missing: give Cut(), Delay(d), Stall(), Refuse(status), CloseWith(code, reason) or FailRecovery()"
	case f.Do.kind == actRefuse && !handshake:
		return "Refuse answers a handshake: use it at AtHandshake or AtRecovery"
	case f.Do.kind == actRefuse && (f.Do.code < 400 || f.Do.code > 599):
		return fmt.Sprintf("Refuse takes an HTTP status from 400 to 599, not %d", f.Do.code)
	case f.Frame != "" && handshake:
		return "Frame makes sense at AtReceive and AtSend only"
	case f.At == AtHandshake && f.ConnectionID != "":
		return "a new client has no ConnectionID yet at AtHandshake: use Hub or UserID"
	}
	return ""
}

// Injected is a [Fault] in force.
type Injected struct {
	Fault
	srv     *Server
	removed chan struct{}

	mu     sync.Mutex
	passed int
	hits   int
}

// Inject puts a fault in force, until it is removed. Where several match, they
// happen in the order in which they were injected, up to one that cuts, closes
// or refuses. Each is an entry in the journal.
//
// It panics where the fault makes no sense: an action that the point does not know.
func (s *Server) Inject(f Fault) *Injected {
	why := f.check()
	if f.At < AtHandshake || f.At > AtSend {
		why = "At is missing: give AtHandshake, AtRecovery, AtReceive or AtSend"
	}
	if why != "" {
		panic("emulator: Inject: " + why)
	}
	in := &Injected{Fault: f, srv: s, removed: make(chan struct{})}
	s.changeFaults(func(list []*Injected) []*Injected { return append(list, in) })
	return in
}

// Remove ends the fault. Whoever it stalls or delays goes on at once.
func (in *Injected) Remove() {
	in.srv.changeFaults(func(list []*Injected) []*Injected {
		if i := slices.Index(list, in); i >= 0 {
			list = slices.Delete(list, i, i+1)
			close(in.removed)
		}
		return list
	})
}

// Hits returns how often the fault has happened.
func (in *Injected) Hits() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hits
}

// Strike does f.Do, a [Cut] or a [CloseWith], at once to every client that has
// a connection and matches, and returns how many there were. f.At, Frame, Skip
// and Times mean nothing here.
func (s *Server) Strike(f Fault) int {
	if f.Do.kind != actCut && f.Do.kind != actClose {
		panic("emulator: Strike: Do must be Cut() or CloseWith(code, reason)")
	}
	if !s.enter() {
		return 0
	}
	defer s.leave()
	s.mu.RLock()
	hubs := s.allHubs()
	s.mu.RUnlock()
	n := 0
	for _, h := range hubs {
		for _, c := range h.all() {
			c.mu.Lock()
			l := c.link
			c.mu.Unlock()
			if l != nil && f.matches(h.name, c.userID, c.id) {
				c.journal(Entry{Kind: KindFault, Name: f.Do.String()})
				c.suffer(f.Do, l)
				n++
			}
		}
	}
	return n
}

// changeFaults replaces the list, which is never changed in place: it is read
// without a lock, and is nil where there are no faults.
func (s *Server) changeFaults(change func([]*Injected) []*Injected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Injected
	if old := s.faults.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = change(list); len(list) == 0 {
		s.faults.Store(nil)
		return
	}
	s.faults.Store(&list)
}

func (f *Fault) matches(hub, user, id string) bool {
	return (f.Hub == "" || strings.EqualFold(f.Hub, hub)) && (f.UserID == "" || f.UserID == user) && (f.ConnectionID == "" || f.ConnectionID == id)
}

// due reports whether the fault happens now, and counts.
func (in *Injected) due(at Point, frame, hub, user, id string) bool {
	if in.At != at || in.Frame != "" && in.Frame != frame || !in.matches(hub, user, id) {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.passed < in.Skip {
		in.passed++
		return false
	}
	if in.Times > 0 && in.hits == in.Times {
		return false
	}
	in.hits++
	return true
}

// strike lets what is due happen, and returns the action that ends the matter,
// if one does. Waiting ends when gone is closed.
func (s *Server) strike(at Point, frame, hub, user, id string, gone <-chan struct{}) (Action, bool) {
	list := s.faults.Load()
	if list == nil {
		return Action{}, false
	}
	for _, in := range *list {
		if !in.due(at, frame, hub, user, id) {
			continue
		}
		s.journal.add(Entry{Kind: KindFault, Hub: hub, UserID: user, ConnectionID: id, Name: in.Fault.String()})
		if in.Do.terminal() {
			return in.Do, true
		}
		in.wait(gone)
	}
	return Action{}, false
}

// wait lasts as long as the delay, or for ever, unless something ends it.
func (in *Injected) wait(gone <-chan struct{}) {
	var passed chan struct{} // nil: never
	if in.Do.kind == actDelay {
		passed = make(chan struct{})
		t := in.srv.opts.Clock.afterFunc(in.Do.delay, func() { close(passed) })
		defer t.stop()
	}
	select {
	case <-passed:
	case <-in.removed:
	case <-gone:
	case <-in.srv.ctx.Done():
	}
}

// strike is for a connection's frames. It reports whether to go on with this one.
func (c *conn) strike(at Point, frame string, l *link) bool {
	if frame == "" {
		return true
	}
	do, over := c.hub.srv.strike(at, frame, c.hub.name, c.userID, c.id, l.gone)
	if over {
		c.suffer(do, l)
	}
	return !over
}

func (c *conn) suffer(do Action, l *link) {
	if do.kind == actClose {
		c.close(do.code, do.reason, "a fault closed the connection")
		return
	}
	c.sever(l, "a fault cut the connection")
}

// strikeHandshake is for a handshake. It reports false where that is over; then
// a refusal, if there is one, is still to be answered.
func (h *hub) strikeHandshake(at Point, w http.ResponseWriter, r *http.Request, user, id string) (*refusal, bool) {
	do, over := h.srv.strike(at, "", h.name, user, id, r.Context().Done())
	switch {
	case !over:
		return nil, true
	case do.kind == actRefuse:
		return &refusal{status: do.code, why: "a fault refused the handshake"}, false
	case do.kind == actCut:
		panic(http.ErrAbortHandler) // net/http hangs up
	}
	subprotocol := firstKnown(websocket.Subprotocols(r))
	if strings.HasPrefix(r.URL.Path, mqttEndpoint) {
		subprotocol = mqttSubprotocol
	}
	if l := newLink(); l.upgrade(w, r, subprotocol) {
		h.turnAway(l, do.code, do.reason)
	}
	return nil, false
}

// frameName is the type of a frame in the client protocol.
func frameName(frame any) string {
	switch frame.(type) {
	case wire.JoinGroup:
		return "joinGroup"
	case wire.LeaveGroup:
		return "leaveGroup"
	case wire.SendToGroup:
		return "sendToGroup"
	case wire.Event:
		return "event"
	case wire.SequenceAck:
		return "sequenceAck"
	case wire.Ping:
		return "ping"
	case wire.Invoke:
		return "invoke"
	case wire.CancelInvocation:
		return "cancelInvocation"
	case wire.StreamData:
		return "streamData"
	case wire.StreamEnd:
		return "streamEnd"
	case wire.SetGroupState:
		return "setGroupState"
	case wire.SubscribeGroupState:
		return "subscribeGroupState"
	case wire.UnsubscribeGroupState:
		return "unsubscribeGroupState"
	case wire.Connected:
		return "connected"
	case wire.Disconnected:
		return "disconnected"
	case wire.Ack:
		return "ack"
	case wire.Pong:
		return "pong"
	case wire.InvokeResponse:
		return "invokeResponse"
	case wire.StreamAck:
		return "streamAck"
	case wire.StreamNack:
		return "streamNack"
	case wire.StreamClosed:
		return "streamClosed"
	case wire.GroupState:
		return "groupState"
	}
	return "message"
}
