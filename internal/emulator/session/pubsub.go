package session

import (
	"context"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// The error names of acks. Clients compare them.
const (
	errForbidden  = "Forbidden"
	errDuplicate  = "Duplicate"
	errBadRequest = "BadRequest"
	errInternal   = "InternalServerError"

	internalError = "Internal server error"
)

// PubSub is a client of one of the JSON and protobuf subprotocols.
type PubSub struct {
	base
	protocol wire.Protocol
	calls    invocations
	warned   map[string]bool // of roles that the client lacks; one frame is carried out at a time
	streams  streams

	// Guarded by base.mu.
	acks ackCache
	reliable
}

// NewPubSub returns the session of a connection. Its client receives the
// connected frame first.
func NewPubSub(srv *Server, c *broker.Conn, src *events.Source, p wire.Protocol) (*PubSub, error) {
	s := &PubSub{protocol: p}
	s.init(srv, c, src, s)
	src.Check = func(r upstream.Response) error { _, err := r.Message(); return err }
	connected, err := s.connectedFrame()
	if err != nil {
		return nil, err
	}
	s.link = s.newLink()
	s.send(connected)
	return s, nil
}

// Open brings the connection into its hub with its first groups, answers the
// handshake, records that it connected and serves the client.
func (s *PubSub) Open(groups []string, connected journal.Entry, upgrade func(*transport.Link) bool) {
	s.open(groups, connected, upgrade)
}

func (s *PubSub) connectedFrame() (*frame.Frame, error) {
	connected := wire.Connected{ConnectionID: s.conn.ID, UserID: s.conn.User()}
	if s.protocol.Reliable() {
		var err error
		if connected.ReconnectionToken, err = s.srv.ReconnectionToken(s.conn.ID); err != nil {
			return nil, err
		}
	}
	return s.encode(connected)
}

func (s *PubSub) opcode() byte {
	if s.protocol.Binary() {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

// encode returns the frame of anything but a data message.
func (s *PubSub) encode(d wire.Downstream) (*frame.Frame, error) {
	payload, err := s.protocol.AppendDownstream(nil, d)
	if err != nil {
		return nil, err
	}
	f := frame.New(s.opcode(), payload)
	f.Name = frameName(d)
	return f, nil
}

// reply queues anything but a data message.
func (s *PubSub) reply(d wire.Downstream) {
	f, err := s.encode(d)
	if err != nil {
		s.conn.Journal(journal.Entry{Kind: journal.Rejected, Reason: fmt.Sprintf("cannot encode %T: %v", d, err)})
		return
	}
	s.send(f)
}

// Deliver implements [broker.Session].
func (s *PubSub) Deliver(m *broker.Message) bool {
	f := m.Frames[s.protocol]
	if f == nil {
		e, err := s.protocol.EncodeData(m.Data)
		if err != nil {
			m.Err = err
			return false
		}
		if s.protocol.Reliable() {
			f = frame.NewSequenced(s.opcode(), e)
		} else {
			f = frame.New(s.opcode(), e.Append(nil, 0))
		}
		f.Expires, f.Name = m.Expires, "message"
		m.Frames[s.protocol] = f
	}
	s.srv.Limits.Sent(f.Size)
	if f.Sequenced() {
		s.sendSequenced(f)
	} else {
		s.send(f)
	}
	return true
}

// DeliverState implements [broker.Session].
func (s *PubSub) DeliverState(u *broker.StateUpdate) {
	f := u.Frames[s.protocol]
	if f == nil {
		var err error
		if f, err = s.encode(u.Data); err != nil {
			return // what was decoded from a frame can be encoded again
		}
		u.Frames[s.protocol] = f
	}
	s.send(f)
}

// CloseByServer implements [broker.Session]. The reason is in a system message,
// and the close frame is empty, so that a reason of any length arrives.
func (s *PubSub) CloseByServer(reason string, by *journal.Cause) {
	text := closedByServer(reason)
	s.reply(wire.Disconnected{Message: text})
	s.closeWithReasons(websocket.CloseNormalClosure, "", text, text, by)
}

func (s *PubSub) finished() {
	s.mu.Lock()
	s.reliable.clear()
	s.mu.Unlock()
	s.calls.cancelAll()
}

func (s *PubSub) completed() { s.cancelStreams() }

func (s *PubSub) abandoned() {
	s.dropStreams()
	s.calls.cancelAll()
}

func (s *PubSub) decode(opcode int, data []byte) (any, string, *violation) {
	kind, want := "JSON", "text"
	if s.protocol.Binary() {
		kind, want = "protobuf", "binary"
	}
	if s.protocol.Binary() != (opcode == websocket.BinaryMessage) {
		return nil, "", opcodeViolation(kind, want, s.protocol.Name())
	}
	u, err := s.protocol.DecodeUpstream(data)
	if err != nil {
		return nil, "", &violation{
			websocket.CloseInvalidFramePayloadData,
			fmt.Sprintf("The client message is not a valid %s protocol message.", kind), err.Error(),
		}
	}
	return u, frameName(u), nil
}

// receive carries out immediately what must not wait for an event handler, and
// puts the rest in line.
func (s *PubSub) receive(f any, size int, by *journal.Cause) {
	switch u := f.(type) {
	case wire.SequenceAck:
		s.acknowledge(u.SequenceID)
	case wire.CancelInvocation:
		s.calls.cancel(u.InvocationID)
	case wire.Invoke:
		if in := s.beginInvocation(u); in != nil {
			s.inbox.put(in, size, true, by)
		}
	case wire.Event:
		s.inbox.put(f, size, true, by)
	default:
		s.inbox.put(f, size, false, by)
	}
}

func (s *PubSub) execute(f any, by *journal.Cause) {
	switch u := f.(type) {
	case wire.JoinGroup:
		s.acked(u.AckID, by, func() *wire.Error {
			if !s.conn.TryJoin(u.Group, by) {
				return forbidden("join", u.Group)
			}
			return nil
		})
	case wire.LeaveGroup:
		// To leave a group that the client is not in succeeds: the result is what it
		// asked for. (What the service responds then is not documented.)
		s.acked(u.AckID, by, func() *wire.Error {
			if !s.conn.TryLeave(u.Group, by) {
				return forbidden("leave", u.Group)
			}
			return nil
		})
	case wire.SendToGroup:
		s.acked(u.AckID, by, func() *wire.Error {
			if u.Stream != nil {
				return s.openStream(u)
			}
			return s.sendToGroup(u, by)
		})
	case wire.Event:
		s.raiseEvent(u, by)
	case *invocation:
		s.invoke(u, by)
	case wire.Ping:
		s.reply(wire.Pong{})
	case wire.StreamData:
		s.receiveStreamData(u, by)
	case wire.StreamEnd:
		s.receiveStreamEnd(u)
	case wire.SetGroupState:
		s.acked(u.AckID, by, func() *wire.Error {
			if _, may := s.conn.GroupStateRoles(); !may {
				if e := s.lacks(webpubsub.RoleSetGroupState, "set its state in", u.Group, by); e != nil {
					return e
				}
			}
			return s.conn.SetState(u.Group, u.State)
		})
	case wire.SubscribeGroupState:
		s.subscribeState(u, by)
	case wire.UnsubscribeGroupState:
		s.acked(u.AckID, by, func() *wire.Error { s.conn.UnsubscribeState(u.Group); return nil })
	}
}

func (s *PubSub) sendToGroup(u wire.SendToGroup, by *journal.Cause) *wire.Error {
	m := broker.Message{Data: groupData(s.conn, u.Group, u.Message), Cause: by}
	if u.TTLSeconds > 0 {
		m.Expires = time.Now().Add(time.Duration(u.TTLSeconds) * time.Second)
	}
	return publish(s.conn, &m, u.Group, u.NoEcho)
}

func forbidden(verb, group string) *wire.Error {
	return &wire.Error{Name: errForbidden, Message: fmt.Sprintf("The client does not have permission to %s group '%s'.", verb, group)}
}

// raiseEvent raises a user event. The reply of the handler reaches the client
// before the ack does.
func (s *PubSub) raiseEvent(u wire.Event, by *journal.Cause) {
	if s.repeated(u.AckID) {
		return
	}
	r, err := s.events.Call(context.Background(), userEvent(u.Name, u.Message), by)
	var m webpubsub.Message
	if err == nil {
		m, err = r.Message()
	}
	if err != nil {
		s.finishAck(u.AckID, &wire.Error{Name: errInternal, Message: internalError}, by)
		return
	}
	if !m.IsZero() {
		b := broker.Message{Data: wire.Data{From: wire.FromServer, Message: m}}
		if s.Deliver(&b); b.Err != nil {
			s.conn.Journal(journal.Entry{Kind: journal.EventFailed, Name: u.Name, Reason: b.Err.Error(), Cause: by})
			s.finishAck(u.AckID, &wire.Error{Name: errInternal, Message: internalError}, by)
			return
		}
	}
	s.finishAck(u.AckID, nil, by)
}

// subscribeState sends the ack before the snapshot, and the snapshot before every
// later update.
func (s *PubSub) subscribeState(u wire.SubscribeGroupState, by *journal.Cause) {
	if s.repeated(u.AckID) {
		return
	}
	if may, _ := s.conn.GroupStateRoles(); !may {
		if e := s.lacks(webpubsub.RoleGetGroupState, "read the state of", u.Group, by); e != nil {
			s.finishAck(u.AckID, e, by)
			return
		}
	}
	if e := s.conn.SubscribeState(u.Group, func() { s.finishAck(u.AckID, nil, by) }); e != nil {
		s.finishAck(u.AckID, e, by)
	}
}

// lacks rejects what a client does with group state without a role, or warns once.
// What the service does is not documented.
func (s *PubSub) lacks(role, verb, group string, by *journal.Cause) *wire.Error {
	if s.srv.RequireGroupStateRoles() {
		return forbidden(verb, group)
	}
	if !s.warned[role] {
		if s.warned == nil {
			s.warned = make(map[string]bool)
		}
		s.warned[role] = true
		s.conn.Journal(journal.Entry{Kind: journal.Warned, Name: "groupState", Cause: by, Reason: fmt.Sprintf(
			"the client may %s group '%s' here without the role %s: the service may reject it, so grant the role in the access token or the response to connect", verb, group, role)})
	}
	return nil
}
