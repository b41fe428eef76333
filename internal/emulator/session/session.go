// Package session implements the clients of connections, with one implementation of
// [broker.Session] for each kind: [Simple] clients without a subprotocol,
// [PubSub] clients of the JSON and protobuf subprotocols, and [MQTT] clients.
// What they share is [base]: the current WebSocket of a connection,
// the order in which frames are carried out, and how a connection ends.
//
// # Order of a client's frames
//
// Frames are carried out strictly one after another, an event with its response
// included. Reading continues in the meantime: pongs, close frames, sequenceAck,
// cancelInvocation and the acknowledgements of MQTT, except PUBREL, take effect
// when they are read. Once as many frames or bytes wait as [Server] allows, reading
// stops until some are carried out, and the keep-alive does not count that time.
//
// # Locking
//
// base.mu guards the link and what is kept for the client. It is taken under the
// hub's lock, never the other way round: under base.mu neither the broker nor the
// events of the connection are called. Below it are only leaves: the locks of
// transport, inbox and invocations. The lock of the streams is taken before the
// hub's.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/upstream"
)

// Server is what the sessions of an emulator share.
type Server struct {
	Transport *transport.Transport
	Tasks     *task.Group
	Faults    *fault.Set
	Journal   *journal.Journal
	// RecoveryWindow is how long a connection outlives its WebSocket.
	RecoveryWindow time.Duration
	// MaxMessages and MaxBytes bound what is kept for a client, and what it sent
	// and waits to be carried out.
	MaxMessages, MaxBytes int
	// KeepAlive returns the interval of WebSocket pings.
	KeepAlive func(hub string) time.Duration
	// Limits counts what clients receive. nil: there are no limits.
	Limits *limits.Limiter
	// RequireGroupStateRoles reports whether to reject what a client does with group
	// state without the role for it. Otherwise the journal warns.
	RequireGroupStateRoles func() bool
	// ReconnectionToken returns the proof by which a client recovers.
	ReconnectionToken func(connectionID string) (string, error)
}

// client is what base asks of the session that embeds it.
type client interface {
	broker.Session
	// execute carries out one frame. by is the cause of what follows from it.
	execute(frame any, by *journal.Cause)
	// pause is called when the reader begins and ends to wait for room.
	pause(bool)
	// lastFrame returns the frame that ends the link: a close frame, and before it
	// what the protocol sends. base.mu is held.
	lastFrame(closing *frame.Frame) *frame.Frame
	// tooSlow is called when the client is about to be closed for reading too slowly.
	// base.mu is held.
	tooSlow(reason string)
	// linkLost is called when the link has ended. code is the close code of the
	// peer, heard its reason, and why the reason for the journal.
	linkLost(l *transport.Link, code int, heard, why string, by *journal.Cause)
	// finished is called once, when the connection has left the hub.
	finished()
	// completed is called after it, when the frames that the client sent before have
	// been carried out.
	completed()
	// abandoned is called when the emulator closes.
	abandoned()
	// outlived ends a connection that has lasted longer than it may.
	outlived(now time.Time, most time.Duration)
	// disconnected returns the body of the disconnected event.
	disconnected(reason string) any
}

type base struct {
	srv    *Server
	conn   *broker.Conn
	events *events.Source
	client client
	inbox  inbox
	ticket *limits.Ticket // of the connection; that of an MQTT client belongs to its link

	mu       sync.Mutex
	link     *transport.Link // nil while detached
	ended    bool            // removed from the hub
	closing  bool            // about to be closed for reading too slowly
	dropped  string          // why the emulator dropped the link, if it did
	by       *journal.Cause  // of that
	recovery *time.Timer     // runs while detached
}

// init wires a new session and its connection together.
func (b *base) init(srv *Server, c *broker.Conn, src *events.Source, self client) {
	b.srv, b.conn, b.events, b.client = srv, c, src, self
	b.inbox.srv, b.inbox.owner = srv, self
	c.Session = self
}

// pause is called when the reader begins and ends to wait for room in the inbox.
func (b *base) pause(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != nil {
		b.link.Pause(on)
	}
}

// Count has the connection counted by its ticket. Call it before Open, which
// releases the ticket when the connection has ended.
func (b *base) Count(t *limits.Ticket) { b.ticket = t }

// newLink returns a link whose frames the faults of this session apply to.
func (b *base) newLink() *transport.Link {
	l := b.srv.Transport.NewLink()
	b.adopt(l)
	return l
}

func (b *base) adopt(l *transport.Link) {
	l.Faults = b
}

// open brings the connection into its hub and serves it. The client is in the
// hub before it receives "connected": a message that is sent right after that
// must not miss it. Its own frames wait until then.
func (b *base) open(groups []string, connected journal.Entry, upgrade func(*transport.Link) bool) {
	l := b.link
	b.conn.Hub.Add(b.conn, groups, connected.Cause)
	if !upgrade(l) {
		b.finish(0, "", "the client gave up during the handshake", connected.Cause)
		return
	}
	b.conn.Journal(connected)
	b.raiseConnected(connected.Cause)
	l.Start()
	b.srv.Tasks.Background(func() { b.serve(l) })
}

// Events returns the events of the connection.
func (b *base) Events() *events.Source { return b.events }

// The notifications of a connection's beginning and end, and of its groups.

func (b *base) raiseConnected(by *journal.Cause) {
	b.events.Notify(upstream.Event{Kind: upstream.Connected, Name: "connected", ContentType: "application/json", Body: []byte("{}")}, by)
}

func (b *base) raiseDisconnected(reason string, by *journal.Cause) {
	body, _ := json.Marshal(b.client.disconnected(reason))
	b.events.Notify(upstream.Event{Kind: upstream.Disconnected, Name: "disconnected", ContentType: "application/json", Body: body}, by)
}

func (b *base) disconnected(reason string) any { return map[string]string{"reason": reason} }

// Joined implements [broker.Session].
func (b *base) Joined(group string, by *journal.Cause) {
	b.events.Notify(upstream.Event{Kind: upstream.GroupJoined, Name: upstream.GroupJoined.String(), Group: group}, by)
}

// Left implements [broker.Session].
func (b *base) Left(group string, by *journal.Cause) {
	b.events.Notify(upstream.Event{Kind: upstream.GroupLeft, Name: upstream.GroupLeft.String(), Group: group}, by)
}

// send queues a frame that is not kept for recovery.
func (b *base) send(f *frame.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.push(transport.Item{Frame: f})
}

// push must be called with b.mu held. A client that has fallen too far behind is closed: messages
// are never dropped silently.
func (b *base) push(it transport.Item) bool {
	if b.ended || b.closing || b.link == nil {
		return false
	}
	if !b.link.Push(it) {
		b.closeSlow("The outbound message queue is full.")
		return false
	}
	return true
}

// closeSlow closes a slow client from another goroutine, because the caller
// holds locks. b.mu must be held.
func (b *base) closeSlow(reason string) {
	if b.closing {
		return
	}
	b.closing = true
	b.client.tooSlow(reason)
	b.srv.Tasks.Go(func() {
		b.Close(websocket.ClosePolicyViolation, reason, "SlowClient: the client reads more slowly than messages come in", nil)
	})
}

func (b *base) tooSlow(string) {}

// Close implements [broker.Session]: the reason is for the event handlers, and
// for the client, cut to the limit of a close frame; why is the journal's.
func (b *base) Close(code int, reason, why string, by *journal.Cause) {
	b.closeWithReasons(code, reason, reason, why, by)
}

// closeWithReasons is Close if the event handlers get another reason than the
// client. What the client sent and was not carried out is dropped: it gets no
// acknowledgement.
func (b *base) closeWithReasons(code int, reason, eventReason, why string, by *journal.Cause) {
	b.inbox.drop()
	if !b.finish(code, eventReason, why, by) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != nil {
		b.link.Close(b.client.lastFrame(frame.NewClose(code, reason)), b.closing)
	}
}

func (b *base) lastFrame(closing *frame.Frame) *frame.Frame { return closing }

// finish takes the connection out of its hub and raises the disconnected event
// behind the events that the client raised before. It reports false if that has
// happened before.
func (b *base) finish(status int, eventReason, why string, by *journal.Cause) bool {
	if !b.conn.Remove(by) {
		return false
	}
	b.mu.Lock()
	b.ended = true
	b.stopRecovery()
	b.mu.Unlock()
	b.ticket.Release()
	b.client.finished()
	b.conn.Journal(journal.Entry{Kind: journal.Disconnected, Status: status, Reason: why, Cause: by})
	b.inbox.end(func() {
		b.client.completed()
		b.raiseDisconnected(eventReason, by)
	})
	return true
}

func (b *base) finished()  {}
func (b *base) completed() {}

// Abandon implements [broker.Session].
func (b *base) Abandon() {
	b.client.abandoned()
	b.inbox.drop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.stopRecovery()
}

func (b *base) abandoned() {}

// Drop implements [broker.Session].
func (b *base) Drop(why string, by *journal.Cause) bool {
	b.mu.Lock()
	l := b.link
	b.mu.Unlock()
	if l != nil {
		b.drop(l, why, by)
	}
	return l != nil
}

func (b *base) drop(l *transport.Link, why string, by *journal.Cause) {
	b.mu.Lock()
	if b.link == l {
		b.dropped, b.by = why, by
	}
	b.mu.Unlock()
	l.Reset()
}

// KeepAlive implements [broker.Session].
func (b *base) KeepAlive(now time.Time) {
	if most := b.srv.Limits.Lifetime(b.conn.Hub.Name); most > 0 {
		b.client.outlived(now, most)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != nil && !b.link.KeepAlive(now, b.srv.KeepAlive(b.conn.Hub.Name)) {
		b.dropped = "PingTimeout: the client did not respond to a ping"
	}
}

// outlived closes with 1008. What the service does is not documented; after that code
// the SDKs do not try to recover, and connect again.
func (b *base) outlived(now time.Time, most time.Duration) {
	if now.Sub(b.conn.Since) > most {
		b.Close(websocket.ClosePolicyViolation, limits.TooOld, lifetimeRule(most), nil)
	}
}

func lifetimeRule(most time.Duration) string {
	return fmt.Sprintf("maxClientConnectionLifetimeInSeconds: the connection has lasted for %v", most)
}

// Status implements [broker.Session].
func (b *base) Status() broker.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := broker.Status{Detached: b.link == nil}
	if b.link != nil {
		s.Queued = b.link.Queued()
	}
	return s
}

// current reports whether the link is the one that the connection has.
func (b *base) current(l *transport.Link) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended && b.link == l
}

// linkEnded is called when nothing more can be read from a link.
func (b *base) linkEnded(l *transport.Link, err error) {
	var closed *websocket.CloseError
	errors.As(err, &closed)
	l.ReadEnded(closed != nil)
	b.mu.Lock()
	if b.link != l { // another link has taken over
		b.mu.Unlock()
		return
	}
	dropped, by := b.dropped, b.by
	b.dropped, b.by = "", nil
	b.mu.Unlock()
	// A client that vanished gave no reason; the emulator may know one.
	code, reason, why := websocket.CloseAbnormalClosure, connectionEnded, dropped
	if closed != nil && closed.Code != code { // 1006 is not from a close frame, and its text is gorilla's
		code, reason, why = closed.Code, closed.Text, closed.Text
	}
	b.client.linkLost(l, code, reason, why, by)
}

// connectionEnded is the reason in the disconnected event if there is no other.
const connectionEnded = "The connection ended."

// release takes the link away from the connection. It reports false if the
// connection has ended, or has another link by now.
func (b *base) release(l *transport.Link) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != l {
		return false
	}
	b.link = nil
	return !b.ended
}

// detach starts the time in which a client may come back. The link was lost for
// one reason, and the connection ends for another if the client does not come.
//
// The journal entry comes when the timer runs: a test may wait for it and then
// let the time pass.
func (b *base) detach(code int, lost string, window time.Duration, eventReason, why string, by *journal.Cause) {
	b.mu.Lock()
	ended := b.ended
	if !ended && b.link == nil {
		b.startRecovery(code, window, eventReason, why)
	}
	b.mu.Unlock()
	if !ended {
		b.conn.Journal(journal.Entry{Kind: journal.Detached, Status: code, Reason: lost, Cause: by})
	}
}

// startRecovery must be called with b.mu held.
func (b *base) startRecovery(code int, window time.Duration, eventReason, why string) {
	var t *time.Timer
	t = b.srv.Tasks.AfterFunc(window, func() {
		b.mu.Lock()
		expired := b.recovery == t && b.link == nil
		b.mu.Unlock()
		if !expired {
			return
		}
		b.finish(code, eventReason, why, nil)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.link != nil {
			b.link.Cut() // the client came back in this very moment, too late
		}
	})
	b.recovery = t
}

// stopRecovery must be called with b.mu held.
func (b *base) stopRecovery() {
	if b.recovery != nil {
		b.recovery.Stop()
		b.recovery = nil
	}
}

// violation is how a client broke the protocol.
type violation struct {
	code   int    // of the close frame
	reason string // for the client
	why    string // for the journal
}

// violated ends a connection whose client broke the protocol. It cannot be
// recovered: what the client meant is lost. For frames that break RFC 6455 and text
// that is not UTF-8, Microsoft's emulator lets reliable clients recover; such a client
// is broken and would repeat them, and what the service does is not documented.
func (b *base) violated(v *violation, by *journal.Cause) {
	b.conn.Journal(journal.Entry{Kind: journal.Rejected, Status: v.code, Reason: v.why, Cause: by})
	heard := v.reason
	if v.code == websocket.CloseProtocolError {
		heard = connectionEnded
	}
	b.closeWithReasons(v.code, v.reason, heard, v.reason, by)
}

// readFailed closes a link that brought something other than a WebSocket
// message. It reports false if the link is closed already, by the peer or the
// network.
func (b *base) readFailed(l *transport.Link, err error) bool {
	if transport.IsTooLarge(err) {
		b.violated(&violation{
			websocket.CloseMessageTooBig, "The client message is too large.",
			fmt.Sprintf("a message may have at most %d bytes", transport.MaxMessage),
		}, nil)
		return true
	}
	if transport.IsShortClose(err) {
		b.violated(&violation{websocket.CloseProtocolError, "", err.Error()}, nil)
		return true
	}
	var closed *websocket.CloseError
	why, ok := strings.CutPrefix(err.Error(), "websocket: ")
	if !ok || errors.As(err, &closed) {
		return false
	}
	// gorilla/websocket found a frame that breaks RFC 6455, and has sent the close
	// frame itself. It has no type for these errors, only the prefix.
	l.ClosedByReader()
	b.violated(&violation{websocket.CloseProtocolError, "", "invalid WebSocket frame (RFC 6455, section 5): " + why}, nil)
	return true
}
