package emulator

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/wire"
)

// The error names of acks. Clients compare them.
const (
	errForbidden  = "Forbidden"
	errDuplicate  = "Duplicate"
	errBadRequest = "BadRequest"
	errInternal   = "InternalServerError"
)

// watch answers the control frames of a link's peer.
func (c *conn) watch(l *link) {
	l.ws.SetPongHandler(func(string) error { l.alive.Store(true); return nil })
	l.ws.SetPingHandler(func(data string) error {
		l.alive.Store(true)
		c.send(newFrame(websocket.PongMessage, []byte(data)))
		return nil
	})
	echo := l.ws.CloseHandler()
	l.ws.SetCloseHandler(func(code int, text string) error {
		c.mu.Lock()
		closing := l.closing
		c.mu.Unlock()
		if closing {
			return nil // this is the answer to ours, and answers are not answered
		}
		if code == websocket.CloseNoStatusReceived && l.conn.shortClose() {
			return errShortClose
		}
		// RFC 6455, section 5.5.1. Microsoft's emulator drops the connection for codes
		// other than 1000.
		return echo(code, text)
	})
}

// serve reads a link to its end.
func (c *conn) serve(l *link) {
	c.watch(l)
	s := c.hub.srv
	defer s.untrack(l)
	for {
		opcode, data, err := l.read()
		s.busy.begin()
		if err == nil {
			l.alive.Store(true)
			c.receive(l, opcode, data)
			s.busy.end()
			continue
		}
		broken := c.readFailed(l, err)
		if broken {
			s.busy.end()
			err = l.discard()
			s.busy.begin()
		}
		c.linkEnded(l, err)
		s.busy.end()
		return
	}
}

// readFailed closes a link that brought what is no WebSocket message. It
// reports false where there is nothing to close: the peer did, or the network.
func (c *conn) readFailed(l *link, err error) bool {
	if errors.Is(err, errTooLarge) || errors.Is(err, websocket.ErrReadLimit) {
		c.violated(&violation{
			websocket.CloseMessageTooBig, "The client message is too large.",
			fmt.Sprintf("a message may have at most %d bytes", maxMessage),
		})
		return true
	}
	if errors.Is(err, errShortClose) {
		c.violated(&violation{websocket.CloseProtocolError, "", err.Error()})
		return true
	}
	var closed *websocket.CloseError
	why, ok := strings.CutPrefix(err.Error(), "websocket: ")
	if !ok || errors.As(err, &closed) {
		return false
	}
	// gorilla/websocket found a frame that breaks RFC 6455, and has sent the close
	// frame itself. It has no type for these errors, only the prefix.
	c.mu.Lock()
	l.closing, l.dead = true, true
	c.mu.Unlock()
	c.violated(&violation{websocket.CloseProtocolError, "", "invalid WebSocket frame (RFC 6455, section 5): " + why})
	_ = l.conn.CloseWrite()
	return true
}

var errShortClose = errors.New("invalid close frame: it has a code of two bytes or nothing (RFC 6455, section 5.5.1)")

// violation is how a client broke the protocol.
type violation struct {
	code   int    // of the close frame
	reason string // for the client
	why    string // for the journal
}

// violated ends a connection whose client broke the protocol. It cannot be
// recovered: what the client meant is lost.
func (c *conn) violated(v *violation) {
	c.journal(Entry{Kind: KindRefused, Status: v.code, Reason: v.why})
	heard := v.reason
	if v.code == websocket.CloseProtocolError {
		heard = connectionEnded
	}
	c.closeAs(v.code, v.reason, heard, v.reason)
}

// receive handles one message of the client. What a link brings after another
// one has taken over counts as lost: the client sends it again.
func (c *conn) receive(l *link, opcode int, data []byte) {
	u, v := c.decode(opcode, data)
	if v == nil && c.hub.srv.faults.Load() != nil && !c.strike(AtReceive, frameName(u), l) {
		return
	}
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.mu.Lock()
	over := c.ended || c.link != l
	c.mu.Unlock()
	switch {
	case over:
	case v != nil:
		c.violated(v)
	case c.protocol == 0:
		c.receiveSimple(opcode, data)
	default:
		c.handle(u)
	}
}

// decode reads a message, of which a client without a subprotocol has no kinds.
func (c *conn) decode(opcode int, data []byte) (wire.Upstream, *violation) {
	if opcode == websocket.TextMessage && !utf8.Valid(data) {
		return nil, &violation{
			websocket.CloseInvalidFramePayloadData, "The client message is not valid UTF-8.",
			"a text message must be UTF-8 (RFC 6455, section 8.1)",
		}
	}
	if c.protocol == 0 {
		return nil, nil
	}
	kind, want := "JSON", "text"
	if c.protocol.Binary() {
		kind, want = "protobuf", "binary"
	}
	if c.protocol.Binary() != (opcode == websocket.BinaryMessage) {
		return nil, &violation{
			websocket.CloseUnsupportedData, fmt.Sprintf("The %s subprotocol requires %s messages.", kind, want),
			fmt.Sprintf("frames of %s are %s messages", c.protocol.Name(), want),
		}
	}
	u, err := c.protocol.DecodeUpstream(data)
	if err != nil {
		return nil, &violation{
			websocket.CloseInvalidFramePayloadData,
			fmt.Sprintf("The client message is not a valid %s protocol message.", kind), err.Error(),
		}
	}
	return u, nil
}

// simpleMode is what happens to the frames of a client without a subprotocol.
type simpleMode struct {
	toGroup bool // frames are published to group; else they raise the event "message"
	group   string
	noEcho  bool
}

func (c *conn) receiveSimple(opcode int, data []byte) {
	m := webpubsub.Binary(data)
	if opcode == websocket.TextMessage {
		m = webpubsub.Message{Type: webpubsub.DataTypeText, Data: data}
	}
	if !c.mode.toGroup {
		c.raiseUserEvent(userEvent{name: "message", message: m, fail: func(name, text string) {
			c.closeAs(websocket.CloseInternalServerErr, text, text, "the event message failed: "+text)
		}})
		return
	}
	if e := c.sendToGroup(wire.SendToGroup{Group: c.mode.group, Message: m, NoEcho: c.mode.noEcho}); e != nil {
		text := e.Message
		if e.Name == errForbidden {
			text = "The connection is not authorized for raw sendToGroup mode."
		}
		c.closeAs(websocket.ClosePolicyViolation, text, text, e.Message)
	}
}

// handle carries out one frame of a client with a subprotocol.
func (c *conn) handle(u wire.Upstream) {
	switch u := u.(type) {
	case wire.JoinGroup:
		c.acked(u.AckID, func() *wire.Error { return c.joinGroup(u.Group) })
	case wire.LeaveGroup:
		c.acked(u.AckID, func() *wire.Error { return c.leaveGroup(u.Group) })
	case wire.SendToGroup:
		c.acked(u.AckID, func() *wire.Error {
			if u.Stream != nil {
				return c.openStream(u)
			}
			return c.sendToGroup(u)
		})
	case wire.Event:
		c.receiveEvent(u)
	case wire.Invoke:
		c.receiveInvoke(u)
	case wire.CancelInvocation:
		c.calls.cancel(u.InvocationID)
	case wire.SequenceAck:
		c.acknowledge(u.SequenceID)
	case wire.Ping:
		c.reply(wire.Pong{})
	case wire.StreamData:
		c.receiveStreamData(u)
	case wire.StreamEnd:
		c.receiveStreamEnd(u)
	case wire.SetGroupState:
		c.acked(u.AckID, func() *wire.Error { return c.setGroupState(u) })
	case wire.SubscribeGroupState:
		c.subscribeGroupState(u)
	case wire.UnsubscribeGroupState:
		c.acked(u.AckID, func() *wire.Error { return c.unsubscribeGroupState(u) })
	}
}

// acked runs an operation and acknowledges it where the client asked for that.
// Of operations with an ack id, one that succeeded is never run again.
func (c *conn) acked(id *uint64, do func() *wire.Error) {
	if c.repeated(id) {
		return
	}
	c.finishAck(id, do())
}

// repeated answers an ack id that has succeeded before.
func (c *conn) repeated(id *uint64) bool {
	if id == nil {
		return false
	}
	c.mu.Lock()
	seen := c.acks.has(*id)
	c.mu.Unlock()
	if seen {
		c.reply(wire.Ack{AckID: *id, Error: &wire.Error{
			Name: errDuplicate, Message: fmt.Sprintf("Message with ack-id: %d has been processed", *id),
		}})
	}
	return seen
}

// finishAck tells the client how an operation ended. A failed one is not
// remembered: its ack id may be used for another try.
func (c *conn) finishAck(id *uint64, e *wire.Error) {
	if e != nil {
		c.journal(Entry{Kind: KindRefused, Reason: e.Message})
	}
	if id == nil {
		return
	}
	if e == nil {
		c.mu.Lock()
		c.acks.add(*id)
		c.mu.Unlock()
	}
	c.reply(wire.Ack{AckID: *id, Error: e})
}

func (c *conn) joinGroup(name string) *wire.Error {
	h := c.hub
	h.mu.Lock()
	allowed := c.may.Allows(role.JoinLeave, name)
	joined := allowed && h.conns[c.id] == c && h.join(c, name)
	h.mu.Unlock()
	if !allowed {
		return forbidden("join", name)
	}
	if joined {
		c.journal(joinedEntry(name))
	}
	return nil
}

// leaveGroup succeeds also where the client is not in the group: the outcome
// is what it asked for. (What the service answers then is not documented.)
func (c *conn) leaveGroup(name string) *wire.Error {
	h := c.hub
	h.mu.Lock()
	allowed := c.may.Allows(role.JoinLeave, name)
	left := allowed && h.leave(c, name)
	h.mu.Unlock()
	if !allowed {
		return forbidden("leave", name)
	}
	if left {
		c.journal(Entry{Kind: KindLeft, Name: name})
	}
	return nil
}

func (c *conn) sendToGroup(u wire.SendToGroup) *wire.Error {
	b := broadcast{data: wire.Data{From: wire.FromGroup, Group: u.Group, FromUserID: c.user(), Message: u.Message}}
	if u.TTLSeconds > 0 {
		b.expires = c.hub.srv.opts.Clock.Now().Add(time.Duration(u.TTLSeconds) * time.Second)
	}
	return c.publish(&b, u.Group, u.NoEcho)
}

// publish sends a message of the client to a group, if the client may.
func (c *conn) publish(b *broadcast, group string, noEcho bool) *wire.Error {
	h := c.hub
	h.mu.RLock()
	allowed := c.may.Allows(role.Send, group)
	n := 0
	if allowed {
		n = h.sendGroupLocked(group, b, c.echo(noEcho))
	}
	h.mu.RUnlock()
	if !allowed {
		return forbidden("send to", group)
	}
	if b.err != nil {
		return &wire.Error{Name: errBadRequest, Message: b.err.Error()}
	}
	c.journal(Entry{Kind: KindSent, Name: group, Receivers: n, Bytes: len(b.data.Message.Data)})
	return nil
}

// echo returns who gets a message of the client: nil is everybody.
func (c *conn) echo(noEcho bool) func(*conn) bool {
	if !noEcho {
		return nil
	}
	return func(to *conn) bool { return to != c }
}

func forbidden(verb, group string) *wire.Error {
	return &wire.Error{Name: errForbidden, Message: fmt.Sprintf("The client does not have permission to %s group '%s'.", verb, group)}
}

// receiveEvent raises a user event. What the handler replies reaches the
// client before the ack does.
func (c *conn) receiveEvent(u wire.Event) {
	c.raiseUserEvent(userEvent{
		name:    u.Name,
		message: u.Message,
		skip:    func() bool { return c.repeated(u.AckID) },
		reply: func(m webpubsub.Message) {
			if !m.IsZero() {
				b := broadcast{data: wire.Data{From: "server", Message: m}}
				if b.to(c, nil); b.err != nil {
					c.journal(Entry{Kind: KindEventFailed, Name: u.Name, Reason: b.err.Error()})
					c.finishAck(u.AckID, &wire.Error{Name: errInternal, Message: "Internal server error"})
					return
				}
			}
			c.finishAck(u.AckID, nil)
		},
		fail: func(name, text string) { c.finishAck(u.AckID, &wire.Error{Name: name, Message: text}) },
	})
}
