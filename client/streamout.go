package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/wire"
)

// What a stream may have on its way before Send waits for the service.
const (
	streamWindow = 256     // parts
	streamBytes  = 1 << 20 // and their bytes
)

// streamRetry is for messages that the service was not able to accept. The
// stream ends when the tries are used up, after about two minutes.
var streamRetry = backoff.Policy{MaxTries: 40, Delay: 10 * time.Millisecond, MaxDelay: 5 * time.Second}

// ErrStreamEnded is the error of a call on a stream that has ended.
var ErrStreamEnded = errors.New("the stream has ended: open another one")

// StreamOptions are the options of [Client.OpenStream].
type StreamOptions struct {
	// ID names the stream. It must not be in use by another open stream of the
	// client; receivers take it for that of the group. Default: a random id.
	ID string
	// NoEcho keeps the stream from this client, where it is in the group.
	NoEcho bool
	// IdleTimeout is the silence after which the service ends the stream. It
	// counts in milliseconds. Default: 5 min.
	IdleTimeout time.Duration
}

// OutStream is a stream to a group: messages that belong together, in order.
// Make one with [Client.OpenStream], and end it with End, Fail or Close. Its
// methods may be called from several goroutines at once.
//
// A stream survives interruptions of the connection: what the service has not
// acknowledged is sent again. With the connection the stream is lost, and
// further calls fail with [ErrConnectionLost].
type OutStream struct {
	c         *Client
	id, group string
	open      []byte // the frame that opens it
	turn      chan struct{}

	// Guarded by Client.mu.
	session *session
	opened  bool
	skip    bool     // the next closing frame is about an earlier attempt to open
	parts   [][]byte // frames that are not acknowledged
	first   uint64   // number of the first of them
	bytes   int
	end     []byte        // the frame that ends it, once it was sent
	nacked  uint64        // the part that was sent again last
	retry   *time.Timer   // set while it runs
	retries int           // since the service last accepted something
	changed chan struct{} // closed with each change
	closed  bool
	err     error
}

// OpenStream opens a stream to a group. It returns when the service has agreed.
// The client needs the role webpubsub.sendToGroup. The options may be nil.
func (c *Client) OpenStream(ctx context.Context, group string, o *StreamOptions) (*OutStream, error) {
	if o == nil {
		o = &StreamOptions{}
	}
	op := "open stream to group " + quote(group)
	ms := o.IdleTimeout.Milliseconds()
	if o.IdleTimeout < 0 || (ms == 0 && o.IdleTimeout > 0) || ms > math.MaxUint32 {
		return nil, wrap(op, fmt.Errorf("%w: IdleTimeout is %v: it must be from 1 ms to 49 days", ErrInvalid, o.IdleTimeout))
	}
	start := &wire.StreamStart{StreamID: o.ID}
	if start.StreamID == "" {
		start.StreamID = rand.Text()
	}
	if ms > 0 {
		n := uint32(ms)
		start.IdleTimeoutMs = &n
	}
	s := &OutStream{c: c, id: start.StreamID, group: group, turn: make(chan struct{}, 1), first: 1, changed: make(chan struct{})}
	var err error
	if s.open, err = c.frame(wire.SendToGroup{Group: group, NoEcho: o.NoEcho, Stream: start}); err != nil {
		return nil, wrap(op, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, wrap(op, err)
	}
	if err := c.addStream(s); err != nil {
		return nil, wrap(op, err)
	}
	err = s.wait(ctx, func() bool { return s.opened })
	if err != nil && ctx.Err() != nil {
		s.abandon(err)
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	return s, nil
}

func (c *Client) addStream(s *OutStream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == StateStopped || c.state == StateStopping:
		return ErrStopped
	case c.link == nil:
		return ErrNotConnected
	case c.streams[s.id] != nil:
		return fmt.Errorf("%w: a stream with the id %q is open", ErrInvalid, s.id)
	}
	s.session = c.session
	c.streams[s.id] = s
	c.link.enqueueNow(s.open, s)
	return nil
}

// ID returns the id of the stream.
func (s *OutStream) ID() string { return s.id }

// Send adds a message to the stream. It returns when the message is on its way;
// where much is, it waits for the service. Metadata cannot be sent. It fails
// where the stream has ended, with the error of the service if there was one.
func (s *OutStream) Send(ctx context.Context, m webpubsub.Message) error {
	return wrap("send to stream", s.add(ctx, m))
}

func (s *OutStream) add(ctx context.Context, m webpubsub.Message) error {
	if m.Metadata != nil {
		return fmt.Errorf("%w: the parts of a stream have no metadata", ErrInvalid)
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.wait(ctx, func() bool { return len(s.parts) < streamWindow && s.bytes < streamBytes })
	if err != nil {
		return err
	}
	seq := s.next() // only who has the turn moves it
	frame, err := s.c.frame(wire.StreamData{StreamID: s.id, SequenceID: &seq, Message: m})
	if err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	s.parts = append(s.parts, frame)
	s.bytes += len(frame)
	s.transmit(frame)
	return nil
}

func (s *OutStream) next() uint64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.first + uint64(len(s.parts))
}

// Write sends the bytes as one binary message. It makes a stream an
// [io.WriteCloser].
func (s *OutStream) Write(p []byte) (int, error) {
	if err := s.Send(context.Background(), webpubsub.Binary(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// KeepAlive starts the idle time anew without a message.
func (s *OutStream) KeepAlive(ctx context.Context) error {
	return wrap("keep stream alive", s.keepAlive(ctx))
}

func (s *OutStream) keepAlive(ctx context.Context) error {
	frame, err := s.c.frame(wire.StreamData{StreamID: s.id})
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.c.mu.Lock()
		err := s.usable()
		var room <-chan struct{}
		if err == nil && s.c.link != nil && s.c.session == s.session {
			room = s.c.link.enqueue(frame, s)
		}
		s.c.mu.Unlock()
		if err != nil || room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

// End ends the stream, and returns when the service has confirmed that: every
// message has been published then. On a stream that has ended before it returns
// the error that ended it, nil where that was End. A [*ServiceError] with the
// name "StreamNotFound" may follow an interruption that took the confirmation:
// then the end of the stream may have been published, or not.
func (s *OutStream) End(ctx context.Context) error { return s.finish(ctx, nil) }

// Fail ends the stream with an error, which the receivers get as a
// [*StreamError] with the name "UserError".
func (s *OutStream) Fail(ctx context.Context, message, userErrorCode string) error {
	return s.finish(ctx, &wire.StreamEndError{Message: message, UserErrorCode: userErrorCode})
}

// Close is End without a limit of time.
func (s *OutStream) Close() error { return s.End(context.Background()) }

func (s *OutStream) finish(ctx context.Context, reason *wire.StreamEndError) error {
	frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id, Error: reason})
	if err != nil {
		return wrap("end stream", err)
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return wrap("end stream", ctx.Err())
	}
	// The end has no number: it must not overtake a part that is sent again.
	err = s.wait(ctx, func() bool { return s.nacked == 0 || s.end != nil })
	s.c.mu.Lock()
	if err == nil && !s.closed && s.end == nil {
		s.end = frame
		s.transmit(frame)
	}
	s.c.mu.Unlock()
	if err == nil {
		err = s.wait(ctx, func() bool { return false })
	}
	if err == ErrStreamEnded { // by itself: wrapped, it tells of a part that was lost
		return nil
	}
	return wrap("end stream", err)
}

// wait waits until the condition, which is read under Client.mu, is true, and
// fails where the stream closes before.
func (s *OutStream) wait(ctx context.Context, condition func() bool) error {
	for {
		s.c.mu.Lock()
		ok, err, changed := condition(), s.err, s.changed
		if s.closed && err == nil {
			err = ErrStreamEnded
		}
		s.c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The methods below need Client.mu.

func (s *OutStream) usable() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closed || s.end != nil:
		return ErrStreamEnded
	}
	return nil
}

// transmit sends a frame, where there is a link. Otherwise resume does.
func (s *OutStream) transmit(frame []byte) {
	if s.c.link != nil && s.c.session == s.session {
		s.c.link.enqueueNow(frame, s)
	}
}

func (s *OutStream) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *OutStream) close(err error) {
	s.closed, s.err = true, err
	if s.retry != nil {
		s.retry.Stop()
	}
	delete(s.c.streams, s.id)
	s.signal()
}

// resume sends what the service may not have got, after a recovery. Whether it
// got the opening frame cannot be known; it is told to forget it, and asked anew.
func (s *OutStream) resume(l *link) {
	if !s.opened {
		s.skip = true
		if frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id}); err == nil {
			l.enqueueNow(frame, s)
		}
		l.enqueueNow(s.open, s)
	}
	for _, frame := range s.parts {
		l.enqueueNow(frame, s)
	}
	if s.end != nil {
		l.enqueueNow(s.end, s)
	}
}

// acknowledged notes that the service has every part before the number. It
// reports false where that cannot be.
func (s *OutStream) acknowledged(expected uint64) bool {
	next := s.first + uint64(len(s.parts))
	if expected < s.first || expected > next {
		s.violated(fmt.Sprintf("Invalid sequence id %d for ack. Expected range [%d, %d].", expected, s.first, next))
		return false
	}
	n := expected - s.first
	for _, frame := range s.parts[:n] {
		s.bytes -= len(frame)
	}
	clear(s.parts[:n])
	s.parts, s.first = s.parts[n:], expected
	if n > 0 {
		s.nacked, s.retries = 0, 0
	}
	s.opened, s.skip = true, false
	s.signal()
	return true
}

// violated ends a stream about which the service says what cannot be.
func (s *OutStream) violated(message string) {
	frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id, Error: &wire.StreamEndError{Message: message, UserErrorCode: "ProtocolViolation"}})
	if err == nil {
		s.transmit(frame)
	}
	s.close(&StreamError{Name: "ProtocolViolation", Message: message})
}

// refused handles a part that the service did not take: it, and what follows,
// is sent again, once for each place, and after a delay where the service was
// not able to.
func (s *OutStream) refused(n wire.StreamNack) {
	if !s.acknowledged(n.ExpectedSequenceID) || len(s.parts) == 0 {
		return
	}
	if n.Name == "TransientError" {
		if s.retry != nil {
			return
		}
		if s.retries++; s.retries > streamRetry.MaxTries {
			s.close(&ServiceError{Name: n.Name, Message: n.Message})
			return
		}
		s.nacked = s.first
		s.retry = time.AfterFunc(streamRetry.DelayBefore(s.retries), s.again)
		return
	}
	if s.nacked != s.first {
		s.nacked = s.first
		s.resend()
	}
}

// resend sends what is not acknowledged. What is still queued is not sent twice.
func (s *OutStream) resend() {
	if s.c.link != nil {
		s.c.link.takeBack(s)
	}
	for _, frame := range s.parts {
		s.transmit(frame)
	}
}

// again is resend when its delay is over.
func (s *OutStream) again() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.retry = nil
	if !s.closed {
		s.resend()
	}
}

// ended handles the end of the stream by the service.
func (s *OutStream) ended(e *wire.Error) {
	switch {
	case s.skip:
		s.skip = false
	case e == nil && s.end != nil && s.nacked != 0:
		s.close(fmt.Errorf("%w before the service had taken all of it", ErrStreamEnded))
	case e == nil, s.end != nil && e.Name == "StreamNotFound" && len(s.parts) == 0:
		s.close(nil) // the answer to the first end was lost
	default:
		s.close(serviceError(e))
	}
}

// abandon gives up a stream that is not open yet.
func (s *OutStream) abandon(err error) {
	frame, encErr := s.c.frame(wire.StreamEnd{StreamID: s.id})
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.closed {
		if encErr == nil {
			s.transmit(frame)
		}
		s.close(err)
	}
}

// streamFrame handles what the service says about a stream of the client. One
// that is not open any more is of no interest.
func (c *Client) streamFrame(frame wire.Downstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch d := frame.(type) {
	case wire.StreamAck:
		if s := c.streams[d.StreamID]; s != nil {
			s.acknowledged(d.ExpectedSequenceID)
		}
	case wire.StreamNack:
		if s := c.streams[d.StreamID]; s != nil {
			s.refused(d)
		}
	case wire.StreamClosed:
		if s := c.streams[d.StreamID]; s != nil {
			s.ended(d.Error)
		}
	}
}
