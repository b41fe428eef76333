package session

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/wire"
)

// The error names of streams, in addition to those of acks.
const (
	errStreamNotFound    = "StreamNotFound"
	errIdleTimeout       = "IdleTimeout"
	errCancelled         = "Cancelled"
	errUser              = "UserError"
	errInvalidSequenceID = "InvalidSequenceId"
)

const (
	defaultStreamIdle = 5 * time.Minute
	// The number of open streams of a connection, and the length of an id. The service's limits
	// are not documented.
	maxStreams  = 100
	maxStreamID = 1024
)

// streams are the streams that a connection publishes. They belong to the
// connection: the loss of its link pauses them (client protocol, streaming). The
// lock is taken before that of the hub.
type streams struct {
	mu   sync.Mutex
	open map[string]*stream
	over bool // the connection has ended
}

type stream struct {
	id, group string
	noEcho    bool
	next      uint64 // sequence id of the message that is expected
	idle      time.Duration
	deadline  time.Time   // when the idle time is over
	timer     *time.Timer // fires then or, if a message has come since, too early
}

// openStream responds with a StreamAck that expects the first message, or with a
// StreamClosed, which is the only rejection that clients understand.
func (s *PubSub) openStream(u wire.SendToGroup) *wire.Error {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	st := &stream{id: u.Stream.StreamID, group: u.Group, noEcho: u.NoEcho, next: 1, idle: defaultStreamIdle}
	if ms := u.Stream.IdleTimeoutMs; ms != nil {
		st.idle = time.Duration(*ms) * time.Millisecond
	}
	if e := s.checkStream(st, u); e != nil {
		s.reply(wire.StreamClosed{StreamID: st.id, Error: e})
		return e
	}
	if s.streams.open == nil {
		s.streams.open = make(map[string]*stream)
	}
	s.streams.open[st.id] = st
	st.touch()
	s.watchIdle(st, st.idle)
	s.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	return nil
}

// checkStream needs streams.mu.
func (s *PubSub) checkStream(st *stream, u wire.SendToGroup) *wire.Error {
	bad := func(text string) *wire.Error { return &wire.Error{Name: errBadRequest, Message: text} }
	switch {
	case st.id == "" || len(st.id) > maxStreamID:
		return bad(fmt.Sprintf("The streamId must have 1 to %d bytes.", maxStreamID))
	case st.idle <= 0:
		return bad("The idleTimeoutMs of a stream must be greater than 0.")
	case !u.Message.IsZero():
		return bad("The frame that opens a stream carries no data.")
	case s.streams.open[st.id] != nil:
		return bad("A stream with this streamId is open on the connection.")
	case len(s.streams.open) >= maxStreams || s.streams.over:
		return bad(fmt.Sprintf("A connection can have at most %d streams open.", maxStreams))
	case !s.conn.Allows(role.Send, st.group):
		return forbidden("send to", st.group)
	}
	return nil
}

// receiveStreamData publishes the message that is expected. One that has come
// before is acknowledged again, and one that is ahead of its turn is rejected.
func (s *PubSub) receiveStreamData(u wire.StreamData, by *journal.Cause) {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	st := s.streams.open[u.StreamID]
	if st == nil {
		s.streamNotFound(u.StreamID)
		return
	}
	st.touch()
	switch {
	case u.SequenceID == nil: // a keepalive
	case *u.SequenceID < st.next:
		s.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	case *u.SequenceID > st.next:
		s.reply(wire.StreamNack{
			StreamID: st.id, ExpectedSequenceID: st.next, Name: errInvalidSequenceID,
			Message: fmt.Sprintf("The message %d of the stream is expected, not %d.", st.next, *u.SequenceID),
		})
	default:
		m := broker.Message{Data: groupData(s.conn, st.group, u.Message), Cause: by}
		m.Data.Stream = &wire.StreamInfo{StreamID: st.id, SequenceID: st.next}
		if e := publish(s.conn, &m, st.group, st.noEcho); e != nil { // the permission was revoked
			s.closeStream(st, e, &wire.StreamError{Name: e.Name, Message: e.Message})
			return
		}
		st.next++
		s.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	}
}

func (s *PubSub) receiveStreamEnd(u wire.StreamEnd) {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	st := s.streams.open[u.StreamID]
	if st == nil {
		s.streamNotFound(u.StreamID)
		return
	}
	var why *wire.StreamError
	if u.Error != nil {
		why = &wire.StreamError{Name: errUser, Message: u.Error.Message, UserErrorCode: u.Error.UserErrorCode}
	}
	s.closeStream(st, nil, why)
}

func (s *PubSub) streamNotFound(id string) {
	s.reply(wire.StreamClosed{StreamID: id, Error: &wire.Error{Name: errStreamNotFound, Message: "There is no open stream with this streamId."}})
}

// closeStream ends a stream: the group receives its last frame, with the error if
// there is one, and the publisher a StreamClosed. It needs streams.mu.
func (s *PubSub) closeStream(st *stream, e *wire.Error, why *wire.StreamError) {
	delete(s.streams.open, st.id)
	st.timer.Stop()
	m := broker.Message{Data: wire.Data{
		From: wire.FromGroup, Group: st.group, FromUserID: s.conn.User(),
		Stream: &wire.StreamInfo{StreamID: st.id, SequenceID: st.next, EndOfStream: true, Error: why},
	}}
	s.conn.Publish(&m, st.group, st.noEcho)
	s.reply(wire.StreamClosed{StreamID: st.id, Error: e})
}

// cancelStreams ends all streams of a connection that has ended.
func (s *PubSub) cancelStreams() {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	s.streams.over = true
	for _, id := range slices.Sorted(maps.Keys(s.streams.open)) {
		s.closeStream(s.streams.open[id], nil, &wire.StreamError{Name: errCancelled, Message: "The connection of the publisher has ended."})
	}
}

// dropStreams ends the streams without sending frames.
func (s *PubSub) dropStreams() {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	s.streams.over = true
	for _, st := range s.streams.open {
		st.timer.Stop()
	}
	s.streams.open = nil
}

// resumeStreams restarts the idle times for a client that recovers, and reports
// whether it has streams.
func (s *PubSub) resumeStreams() bool {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	for _, st := range s.streams.open {
		st.touch()
	}
	return len(s.streams.open) > 0
}

// touch puts off the end of the idle time. The timer stays as it is: to set it
// for every message would cost more than to check again when it fires.
func (st *stream) touch() { st.deadline = time.Now().Add(st.idle) }

// watchIdle checks after d whether the stream is idle. A detached client cannot
// keep its streams alive, so that time does not count.
func (s *PubSub) watchIdle(st *stream, d time.Duration) {
	st.timer = s.srv.Tasks.AfterFunc(d, func() {
		s.streams.mu.Lock()
		defer s.streams.mu.Unlock()
		if s.streams.open[st.id] != st {
			return
		}
		s.mu.Lock()
		detached := s.link == nil
		s.mu.Unlock()
		if detached {
			st.touch()
		}
		if left := time.Until(st.deadline); left > 0 {
			s.watchIdle(st, left)
			return
		}
		text := fmt.Sprintf("The stream was idle for %v.", st.idle)
		s.closeStream(st, &wire.Error{Name: errIdleTimeout, Message: text}, &wire.StreamError{Name: errIdleTimeout, Message: text})
	})
}
