package emulator

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/wire"
)

// The error names of streams, beside those of acks.
const (
	errStreamNotFound    = "StreamNotFound"
	errIdleTimeout       = "IdleTimeout"
	errCancelled         = "Cancelled"
	errUser              = "UserError"
	errInvalidSequenceID = "InvalidSequenceId"
)

const (
	defaultStreamIdle = 5 * time.Minute
	// What a connection may hold open, and how long an id may be. The service's
	// own limits are not documented.
	maxStreams  = 100
	maxStreamID = 1024
)

// streams are the streams that a connection publishes. They belong to the
// logical connection: the loss of its link pauses them (client protocol,
// streaming). The lock is taken before that of the hub.
type streams struct {
	mu   sync.Mutex
	open map[string]*stream
	over bool // the connection has ended
}

type stream struct {
	id, group string
	noEcho    bool
	next      uint64 // sequence id of the piece that is expected
	idle      time.Duration
	deadline  time.Time // when the idle time is over
	timer     *timer    // fires then or, after a piece has come, too early
}

// openStream answers with a StreamAck that expects the first piece, or with a
// StreamClosed, which is the only refusal that clients understand.
func (c *conn) openStream(u wire.SendToGroup) *wire.Error {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &stream{id: u.Stream.StreamID, group: u.Group, noEcho: u.NoEcho, next: 1, idle: defaultStreamIdle}
	if ms := u.Stream.IdleTimeoutMs; ms != nil {
		st.idle = time.Duration(*ms) * time.Millisecond
	}
	if e := c.mayOpen(st, u); e != nil {
		c.reply(wire.StreamClosed{StreamID: st.id, Error: e})
		return e
	}
	if s.open == nil {
		s.open = make(map[string]*stream)
	}
	s.open[st.id] = st
	c.touch(st)
	c.watchIdle(st, st.idle)
	c.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	return nil
}

// mayOpen needs c.streams.mu.
func (c *conn) mayOpen(st *stream, u wire.SendToGroup) *wire.Error {
	bad := func(text string) *wire.Error { return &wire.Error{Name: errBadRequest, Message: text} }
	c.hub.mu.RLock()
	allowed := c.may.Allows(role.Send, st.group)
	c.hub.mu.RUnlock()
	switch {
	case st.id == "" || len(st.id) > maxStreamID:
		return bad(fmt.Sprintf("The streamId must have 1 to %d bytes.", maxStreamID))
	case st.idle <= 0:
		return bad("The idleTimeoutMs of a stream must be greater than 0.")
	case !u.Message.IsZero():
		return bad("The frame that opens a stream carries no data.")
	case c.streams.open[st.id] != nil:
		return bad("A stream with this streamId is open on the connection.")
	case len(c.streams.open) >= maxStreams || c.streams.over:
		return bad(fmt.Sprintf("A connection can have at most %d streams open.", maxStreams))
	case !allowed:
		return forbidden("send to", st.group)
	}
	return nil
}

// receiveStreamData publishes the piece that is expected. One that has come
// before is acknowledged again, and one that is ahead of its turn is refused.
func (c *conn) receiveStreamData(u wire.StreamData) {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[u.StreamID]
	if st == nil {
		c.streamNotFound(u.StreamID)
		return
	}
	c.touch(st)
	switch {
	case u.SequenceID == nil: // a keepalive
	case *u.SequenceID < st.next:
		c.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	case *u.SequenceID > st.next:
		c.reply(wire.StreamNack{
			StreamID: st.id, ExpectedSequenceID: st.next, Name: errInvalidSequenceID,
			Message: fmt.Sprintf("The piece %d of the stream is expected, not %d.", st.next, *u.SequenceID),
		})
	default:
		b := broadcast{data: wire.Data{
			From: wire.FromGroup, Group: st.group, FromUserID: c.user(), Message: u.Message,
			Stream: &wire.StreamInfo{StreamID: st.id, SequenceID: st.next},
		}}
		if e := c.publish(&b, st.group, st.noEcho); e != nil { // the permission has gone
			c.closeStream(st, e, &wire.StreamError{Name: e.Name, Message: e.Message})
			return
		}
		st.next++
		c.reply(wire.StreamAck{StreamID: st.id, ExpectedSequenceID: st.next})
	}
}

func (c *conn) receiveStreamEnd(u wire.StreamEnd) {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.open[u.StreamID]
	if st == nil {
		c.streamNotFound(u.StreamID)
		return
	}
	var why *wire.StreamError
	if u.Error != nil {
		why = &wire.StreamError{Name: errUser, Message: u.Error.Message, UserErrorCode: u.Error.UserErrorCode}
	}
	c.closeStream(st, nil, why)
}

func (c *conn) streamNotFound(id string) {
	c.reply(wire.StreamClosed{StreamID: id, Error: &wire.Error{Name: errStreamNotFound, Message: "There is no open stream with this streamId."}})
}

// closeStream ends a stream: the group gets the last frame of it, with the error
// if there is one, and the publisher a StreamClosed. It needs c.streams.mu.
func (c *conn) closeStream(st *stream, e *wire.Error, why *wire.StreamError) {
	delete(c.streams.open, st.id)
	st.timer.stop()
	b := broadcast{data: wire.Data{
		From: wire.FromGroup, Group: st.group, FromUserID: c.user(),
		Stream: &wire.StreamInfo{StreamID: st.id, SequenceID: st.next, EndOfStream: true, Error: why},
	}}
	c.hub.sendGroup(st.group, &b, c.echo(st.noEcho))
	c.reply(wire.StreamClosed{StreamID: st.id, Error: e})
}

// cancelStreams ends all streams of a connection that has ended.
func (c *conn) cancelStreams() {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, id := range slices.Sorted(maps.Keys(s.open)) {
		c.closeStream(s.open[id], nil, &wire.StreamError{Name: errCancelled, Message: "The connection of the publisher has ended."})
	}
}

// dropStreams forgets them: nobody hears of it.
func (c *conn) dropStreams() {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for _, st := range s.open {
		st.timer.stop()
	}
	s.open = nil
}

// resumeStreams starts the idle times anew for a client that came back, and
// reports whether it has streams.
func (c *conn) resumeStreams() bool {
	s := &c.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		c.touch(st)
	}
	return len(s.open) > 0
}

// touch puts off the end of the idle time. The timer stays as it is: to set it
// for every piece would cost more than to look again when it fires.
func (c *conn) touch(st *stream) {
	st.deadline = c.hub.srv.opts.Clock.Now().Add(st.idle)
}

// watchIdle looks after d whether the stream is idle. A client that is away
// cannot keep its streams alive, so their time stands still.
func (c *conn) watchIdle(st *stream, d time.Duration) {
	clock := c.hub.srv.opts.Clock
	st.timer = clock.afterFunc(d, func() {
		if !c.hub.srv.enter() {
			return
		}
		defer c.hub.srv.leave()
		s := &c.streams
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[st.id] != st {
			return
		}
		c.mu.Lock()
		away := c.link == nil
		c.mu.Unlock()
		if away {
			c.touch(st)
		}
		if left := st.deadline.Sub(clock.Now()); left > 0 {
			c.watchIdle(st, left)
			return
		}
		text := fmt.Sprintf("The stream was idle for %v.", st.idle)
		c.closeStream(st, &wire.Error{Name: errIdleTimeout, Message: text}, &wire.StreamError{Name: errIdleTimeout, Message: text})
	})
}
