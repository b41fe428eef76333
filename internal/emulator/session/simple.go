package session

import (
	"context"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// Mode is what happens to the frames of a simple client.
type Mode struct {
	ToGroup bool // they are published to Group; else they raise the event "message"
	Group   string
	NoEcho  bool
}

// Simple is a client without a subprotocol: its frames are bare payloads.
type Simple struct {
	base
	mode Mode
}

// NewSimple returns the session of a connection.
func NewSimple(srv *Server, c *broker.Conn, src *events.Source, mode Mode) *Simple {
	s := &Simple{mode: mode}
	s.init(srv, c, src, s)
	s.link = s.newLink()
	src.Check = func(r upstream.Response) error { _, err := r.SimpleMessage(); return err }
	return s
}

// Open brings the connection into its hub with its first groups, answers the
// handshake, records that it connected and serves the client.
func (s *Simple) Open(groups []string, connected journal.Entry, upgrade func(*transport.Link) bool) {
	s.open(groups, connected, upgrade)
}

// Deliver implements [broker.Session].
func (s *Simple) Deliver(m *broker.Message) bool {
	f := m.Frames[0]
	if f == nil {
		if m.Data.Message.IsZero() {
			return false // the end of a stream means nothing to a simple client
		}
		f = payloadFrame(m.Data.Message)
		f.Expires, f.Name = m.Expires, "message"
		m.Frames[0] = f
	}
	s.srv.Limits.Sent(f.Size)
	s.send(f)
	return true
}

// payloadFrame returns the bare payload as a WebSocket message.
func payloadFrame(m webpubsub.Message) *frame.Frame {
	if m.Type == webpubsub.DataTypeText || m.Type == webpubsub.DataTypeJSON {
		return frame.New(websocket.TextMessage, m.Data)
	}
	return frame.New(websocket.BinaryMessage, m.Data)
}

// DeliverState implements [broker.Session]. Simple clients cannot subscribe.
func (s *Simple) DeliverState(*broker.StateUpdate) {}

// CloseByServer implements [broker.Session]. A simple client has only the close
// frame to read the reason from. Microsoft's emulator leaves it empty; what the service
// does is not documented.
func (s *Simple) CloseByServer(reason string, by *journal.Cause) {
	text := closedByServer(reason)
	s.closeWithReasons(websocket.CloseNormalClosure, reason, text, text, by)
}

func closedByServer(reason string) string {
	text := "Application server closed the connection."
	if reason != "" {
		text += " Reason: " + reason
	}
	return text
}

func (s *Simple) decode(opcode int, data []byte) (any, string, *violation) {
	m := webpubsub.Binary(data)
	if opcode == websocket.TextMessage {
		m = webpubsub.Message{Type: webpubsub.DataTypeText, Data: data}
	}
	return m, "message", nil
}

func (s *Simple) receive(f any, size int, by *journal.Cause) {
	s.inbox.put(f, size, !s.mode.ToGroup, by)
}

func (s *Simple) execute(f any, by *journal.Cause) {
	m := f.(webpubsub.Message)
	if s.mode.ToGroup {
		if e := publish(s.conn, &broker.Message{Data: groupData(s.conn, s.mode.Group, m), Cause: by}, s.mode.Group, s.mode.NoEcho); e != nil {
			text := e.Message
			if e.Name == errForbidden {
				text = "The connection is not authorized for raw sendToGroup mode."
			}
			s.Close(websocket.ClosePolicyViolation, text, e.Message, by)
		}
		return
	}
	r, err := s.events.Call(context.Background(), userEvent("message", m), by)
	if err == nil {
		m, err = r.SimpleMessage()
	}
	switch {
	case err != nil:
		s.Close(websocket.CloseInternalServerErr, internalError, "the event message failed: "+internalError, by)
	case !m.IsZero():
		s.srv.Limits.Sent(len(m.Data))
		s.send(payloadFrame(m))
	}
}

func (s *Simple) linkLost(l *transport.Link, code int, reason, why string, by *journal.Cause) {
	if s.release(l) {
		s.finish(code, reason, why, by)
	}
}

// userEvent returns the event for a client's message.
func userEvent(name string, m webpubsub.Message) upstream.Event {
	e := upstream.Event{Kind: upstream.User, Name: name, ContentType: payload.ContentType(m.Type), Body: m.Data, Metadata: m.Metadata}
	if m.Type == webpubsub.DataTypeText {
		e.ContentType = "text/plain; charset=utf-8" // JSON has one encoding only
	}
	return e
}

// groupData returns a client's message to a group.
func groupData(c *broker.Conn, group string, m webpubsub.Message) wire.Data {
	return wire.Data{From: wire.FromGroup, Group: group, FromUserID: c.User(), Message: m}
}

// publish sends a message of the client to a group.
func publish(c *broker.Conn, m *broker.Message, group string, noEcho bool) *wire.Error {
	if !c.TryPublish(m, group, noEcho) {
		return forbidden("send to", group)
	}
	if m.Err != nil {
		return &wire.Error{Name: errBadRequest, Message: m.Err.Error()}
	}
	return nil
}
