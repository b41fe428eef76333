package emulator

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/wire"
)

// conn is a logical connection: what the service calls a client. With a
// reliable protocol it outlives the loss of its link for a while.
type conn struct {
	hub         *hub
	id          string
	userID      string        // empty: anonymous
	protocol    wire.Protocol // zero: a simple client
	subprotocol string        // as selected, known or not
	mode        simpleMode    // of a simple client
	events      eventQueue    // what goes to the event handlers
	calls       invocations   // invocations that wait for an answer
	streams     streams       // streams to groups that are open
	mqtt        *mqttSession  // set for an MQTT client

	// Guarded by hub.mu.
	groups map[*group]int // with the position among the members
	may    role.Set

	// receiving is held while a message of the client is carried out. A client
	// that comes back waits for it: what its old link brought is done or dropped
	// by then, never half done. It is taken before every other lock.
	receiving sync.Mutex

	mu       sync.Mutex
	link     *link  // nil while detached
	ended    bool   // out of the hub for good
	doomed   bool   // about to be closed for being slow
	cut      string // why the emulator cut the link, if it did
	seq      uint64 // sequence id of the newest message
	unacked  []item // sequenced messages that the client has not acknowledged
	unackedN int    // their bytes
	acks     ackCache
	recovery *timer // runs while detached
}

// newID returns a connection id of the service's form: 31 characters of the
// URL-safe base64 alphabet, the last three constant.
func newID() string {
	var b [21]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]) + "K02"
}

func (c *conn) user() *string {
	if c.userID == "" {
		return nil
	}
	return &c.userID
}

func (c *conn) journal(e Entry) {
	e.Hub, e.ConnectionID, e.UserID = c.hub.name, c.id, c.userID
	c.hub.srv.journal.add(e)
}

// send queues a frame for the client. One that has fallen too far behind is
// closed instead: messages are never dropped silently.
func (c *conn) send(f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.doomed {
		return
	}
	it := item{frame: f}
	if f.sequenced() {
		o := &c.hub.srv.opts
		if len(c.unacked) >= o.MaxMessages || c.unackedN+f.size > o.MaxBytes {
			c.doom("The reliable message buffer is full.")
			return
		}
		c.seq++
		it.seq = c.seq
		c.unacked = append(c.unacked, it)
		c.unackedN += f.size
	}
	if !c.push(it) {
		c.doom("The outbound message queue is full.")
	}
}

// doom closes a slow client from a goroutine of its own, because the caller
// holds locks. It needs c.mu.
func (c *conn) doom(reason string) {
	if c.doomed {
		return
	}
	c.doomed = true
	if c.mqtt != nil {
		c.mqtt.part(mqtt.QuotaExceeded, reason)
	}
	c.hub.srv.work(func() {
		c.close(websocket.ClosePolicyViolation, reason, "SlowClient: the client reads more slowly than messages come in")
	})
}

// acknowledge frees what the client has seen: everything up to id. Lower ids
// than before are legal and mean nothing (client protocol, reliable recovery).
func (c *conn) acknowledge(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.unacked) && c.unacked[n].seq <= id {
		c.unackedN -= c.unacked[n].frame.size
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(c.unacked, c.unacked[n:])
	clear(c.unacked[rest:])
	if c.unacked = c.unacked[:rest]; rest == 0 && cap(c.unacked) > 64 {
		c.unacked = nil
	}
}

// reply queues anything but a data message.
func (c *conn) reply(d wire.Downstream) {
	f, err := downstream(c.protocol, d)
	if err != nil {
		c.journal(Entry{Kind: KindRefused, Reason: fmt.Sprintf("cannot encode %T: %v", d, err)})
		return
	}
	c.send(f)
}

// attach gives the connection its link, which begins to be written.
func (c *conn) attach(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.net = l.ws.NetConn()
	l.alive.Store(true)
	l.pinged = c.hub.srv.opts.Clock.Now()
	if !c.hub.srv.track(l) || l.isCut() {
		l.cut() // the server closed, or a fault struck, during the handshake
		return
	}
	if c.link == l {
		c.wake()
		if l.closing { // closed before it had a network connection to time
			c.forceClose()
		}
	}
}

// close ends the connection from the service's side. The reason goes to the
// event handlers, and to the client as far as a close frame can hold it; why
// explains it in the journal.
func (c *conn) close(code int, reason, why string) { c.closeAs(code, reason, reason, why) }

// closeAs is close where the handlers hear something else than the client.
func (c *conn) closeAs(code int, reason, heard, why string) {
	if !c.finish(code, heard, why) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doomed && c.link != nil {
		// What a slow client did not read by now it will not read at all.
		clear(c.link.queue)
		c.link.queue = c.link.queue[:0]
	}
	f := closeFrame(code, reason)
	if c.mqtt != nil {
		f = c.mqtt.farewell(f)
	}
	c.push(item{frame: f})
	c.forceClose()
}

// forceClose cuts the link when the peer does not answer the close frame. It
// needs c.mu.
func (c *conn) forceClose() {
	l := c.link
	if l == nil || l.net == nil || l.deadline != nil {
		return
	}
	// By the real clock: it is a matter of the network, not of the protocol.
	l.deadline = systemClock.afterFunc(closeGrace, l.cut)
}

// closeByServer ends the connection on behalf of the application server. A
// client with a subprotocol is told why in a system message, and its close
// frame is empty, so that a reason of any length arrives; a simple client has
// only the close frame to read it from.
func (c *conn) closeByServer(reason string) {
	text := "Application server closed the connection."
	if reason != "" {
		text += " Reason: " + reason
	}
	switch {
	case c.mqtt != nil:
		c.closeMQTT(mqtt.AdministrativeAction, reason, text)
		return
	case c.protocol == 0:
		c.closeAs(websocket.CloseNormalClosure, reason, text, text)
		return
	}
	c.reply(wire.Disconnected{Message: text})
	c.closeAs(websocket.CloseNormalClosure, "", text, text)
}

// finish takes the connection out of its hub and tells the event handlers, in
// the words of who ended it (Microsoft Learn, Event handlers: disconnected); why
// is the journal's. It reports false where that has happened before.
func (c *conn) finish(status int, heard, why string) bool {
	if !c.hub.remove(c) {
		return false
	}
	c.mu.Lock()
	c.ended = true
	c.recovery.stop()
	c.unacked, c.unackedN = nil, 0
	c.mu.Unlock()
	c.calls.cancelAll()
	c.cancelStreams()
	if c.mqtt != nil {
		c.publishWill(func() bool { return true })
	}
	c.journal(Entry{Kind: KindDisconnected, Status: status, Reason: why})
	c.raiseDisconnected(heard)
	return true
}

// abandon ends the connection as a crash of the service would: nobody hears of it.
func (c *conn) abandon() {
	c.dropStreams()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.recovery.stop()
	c.calls.cancelAll()
}

// linkEnded is called when nothing more can be read from a link.
func (c *conn) linkEnded(l *link, err error) {
	var closed *websocket.CloseError
	errors.As(err, &closed)

	c.mu.Lock()
	if l.closing && l.draining && closed != nil {
		// Both sides began to close at once: the client shall still get the close
		// frame that says why.
		l.readDone = true
	} else {
		l.dead = true
		l.queue = nil
		l.deadline.stop()
		l.cut()
	}
	if c.link != l { // another link has taken over
		c.mu.Unlock()
		return
	}
	c.link = nil
	cut, ended := c.cut, c.ended
	c.cut = ""
	var legacy mqttLegacy
	if c.mqtt != nil {
		legacy = c.loseMQTT()
	}
	c.mu.Unlock()
	if ended {
		return
	}

	// A client that vanished has no words; why it did may be known here.
	code, heard, why := websocket.CloseAbnormalClosure, connectionEnded, cut
	if closed != nil && closed.Code != code { // 1006 is no close frame, and its text gorilla's
		code, heard, why = closed.Code, closed.Text, closed.Text
	}
	if c.mqtt != nil {
		if heard == connectionEnded {
			heard = "" // the reason of an MQTT client may be absent
		}
		c.lostMQTT(legacy, code, heard, why)
		return
	}
	// A client that closes with 1000 or without a code, as the official JavaScript
	// client does when it stops, does not come back; after anything else a reliable
	// one may.
	final := code == websocket.CloseNormalClosure || code == websocket.CloseNoStatusReceived
	if c.protocol.Reliable() && !final {
		const expired = "The connection recovery timeout expired."
		c.detach(code, why, c.hub.srv.opts.RecoveryWindow, expired, expired)
		return
	}
	c.finish(code, heard, why)
}

// connectionEnded is the reason in the disconnected event where nobody gave one.
const connectionEnded = "The connection ended."

// detach starts the time in which a client may come back. The link was lost for
// one reason, and the connection ends as [conn.finish] has it for another if the
// client does not come.
//
// The journal hears of it when the time runs: who waits for the entry may move
// the clock right then.
func (c *conn) detach(code int, lost string, window time.Duration, heard, why string) {
	c.mu.Lock()
	ended := c.ended
	if !ended && c.link == nil {
		c.await(code, window, heard, why)
	}
	c.mu.Unlock()
	if !ended {
		c.journal(Entry{Kind: KindDetached, Status: code, Reason: lost})
	}
}

// await ends the connection unless its client comes back within the window. It
// needs c.mu.
func (c *conn) await(code int, window time.Duration, heard, why string) {
	s := c.hub.srv
	var t *timer
	t = s.opts.Clock.afterFunc(window, func() {
		c.mu.Lock()
		expired := c.recovery == t && c.link == nil
		c.mu.Unlock()
		if expired && s.enter() {
			defer s.leave()
			c.finish(code, heard, why)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.link != nil {
				c.link.cut() // the client came back in this very moment, too late
			}
		}
	})
	c.recovery = t
}

// recover moves the connection to a new link and queues again what the client
// has not acknowledged. It reports false where the connection has ended.
//
// Nothing else is sent, as the service does it, but for two cases: the official
// JavaScript client resumes its streams on a connected frame only, and the
// frames of group states are not among those that are kept.
func (c *conn) recover(l *link) bool {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	var first []item
	if c.resumeStreams() {
		if hello, err := c.hello(); err == nil {
			first = []item{{frame: hello}}
		}
	}
	if !c.moveTo(l, first) {
		return false
	}
	c.resendGroupStates()
	return true
}

// moveTo is the part of recover that happens at once.
func (c *conn) moveTo(l *link, first []item) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.doomed {
		return false
	}
	if old := c.link; old != nil {
		old.dead = true
		old.queue = nil
		old.cut()
	}
	c.recovery.stop()
	c.recovery = nil
	c.link = l
	l.queue = append(first, c.unacked...)
	return true
}

// ackCache remembers the newest ack ids of operations that succeeded, so that
// a client may repeat one whose ack it did not see (client protocol, acks).
type ackCache struct {
	seen map[uint64]struct{}
	ring []uint64
	next int
}

const ackCacheSize = 1000

func (a *ackCache) has(id uint64) bool { _, ok := a.seen[id]; return ok }

func (a *ackCache) add(id uint64) {
	if a.has(id) {
		return
	}
	if a.seen == nil {
		a.seen = make(map[uint64]struct{})
	}
	if len(a.ring) < ackCacheSize {
		a.ring = append(a.ring, id)
	} else {
		delete(a.seen, a.ring[a.next])
		a.ring[a.next] = id
		a.next = (a.next + 1) % ackCacheSize
	}
	a.seen[id] = struct{}{}
}
