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

// Limits of what the service has not acknowledged of a stream.
const (
	streamWindow = 256     // messages
	streamBytes  = 1 << 20 // and their bytes
)

// streamRetry is for messages that the service was temporarily unable to accept.
// The stream ends when the tries are used up, after about two minutes.
var streamRetry = backoff.Policy{MaxTries: 40, Delay: 10 * time.Millisecond, MaxDelay: 5 * time.Second}

// ErrStreamEnded is returned by calls on a stream that has ended.
var ErrStreamEnded = errors.New("stream has ended: open another one")

// OpenStreamOptions are the options of [Client.OpenStream].
type OpenStreamOptions struct {
	// ID is the ID of the stream. It must not be in use by another open stream of
	// the client, or by another publisher in the group. Default: a random ID.
	ID string
	// NoEcho excludes this client from the receivers, if it is a member of the
	// group. Default: false.
	NoEcho bool
	// IdleTimeout is the maximum period without messages, in whole milliseconds,
	// after which the service ends the stream. Default: 5 min.
	IdleTimeout time.Duration
}

// OutgoingStream publishes messages that belong together, in order, to a group.
// Open one with [Client.OpenStream] and end it with End, CloseWithError or Close.
// Its methods are safe for concurrent use.
//
// A stream survives interruptions of the connection: messages that the service has
// not acknowledged are sent again after a recovery. If the connection cannot be
// recovered, the stream ends with an error that matches [ErrConnectionLost].
type OutgoingStream struct {
	c         *Client
	id, group string
	open      []byte // the frame that opens it
	sendLock  chan struct{}

	// Guarded by Client.mu.
	session         *session
	opened          bool
	ignoreNextClose bool          // it is about an earlier attempt to open the stream
	unacked         [][]byte      // frames that are not acknowledged
	first           uint64        // number of the first of them
	bytes           int           // of all of them
	end             []byte        // the frame that ends the stream, once it was sent
	nacked          uint64        // the message that was sent again last
	retry           *time.Timer   // set while it runs
	retries         int           // since the service last accepted a message
	changed         chan struct{} // closed when something changes
	closed          bool
	err             error
}

// OpenStream opens a stream to a group and waits for the acknowledgement of the
// service. The client needs the role webpubsub.sendToGroup for the group. If it
// does not have it, OpenStream returns an error that matches [ErrForbidden]. The
// options may be nil.
func (c *Client) OpenStream(ctx context.Context, group string, o *OpenStreamOptions) (*OutgoingStream, error) {
	if o == nil {
		o = &OpenStreamOptions{}
	}
	op := "open stream to group " + quote(group)
	ms := o.IdleTimeout.Milliseconds()
	if o.IdleTimeout < 0 || (ms == 0 && o.IdleTimeout > 0) || ms > math.MaxUint32 {
		return nil, wrap(op, fmt.Errorf("%w: IdleTimeout is %v: it must be from 1 ms to 49 days", ErrInvalidArgument, o.IdleTimeout))
	}
	start := &wire.StreamStart{StreamID: o.ID}
	if start.StreamID == "" {
		start.StreamID = rand.Text()
	}
	if ms > 0 {
		n := uint32(ms)
		start.IdleTimeoutMs = &n
	}
	s := &OutgoingStream{c: c, id: start.StreamID, group: group, sendLock: make(chan struct{}, 1), first: 1, changed: make(chan struct{})}
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
		s.cancelOpen(err)
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	return s, nil
}

func (c *Client) addStream(s *OutgoingStream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == StateStopped || c.state == StateStopping:
		return ErrNotRunning
	case c.link == nil:
		return ErrNotConnected
	case c.streams[s.id] != nil:
		return fmt.Errorf("%w: a stream with the ID %q is open", ErrInvalidArgument, s.id)
	}
	s.session = c.session
	c.streams[s.id] = s
	c.link.enqueueNow(s.open, s)
	return nil
}

// ID returns the ID of the stream.
func (s *OutgoingStream) ID() string { return s.id }

// Send adds a message to the stream. It returns when the message has been queued,
// and blocks while the service has to acknowledge 256 messages or 1 MiB. The
// message must not have metadata. If the stream has ended, Send returns the error
// that ended it, or one that matches [ErrStreamEnded].
func (s *OutgoingStream) Send(ctx context.Context, m webpubsub.Message) error {
	return wrap("send to stream", s.add(ctx, m))
}

func (s *OutgoingStream) add(ctx context.Context, m webpubsub.Message) error {
	if m.Metadata != nil {
		return fmt.Errorf("%w: messages of a stream have no metadata", ErrInvalidArgument)
	}
	select {
	case s.sendLock <- struct{}{}:
		defer func() { <-s.sendLock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := s.wait(ctx, func() bool { return len(s.unacked) < streamWindow && s.bytes < streamBytes })
	if err != nil {
		return err
	}
	seq := s.next() // only the owner of sendLock changes it
	frame, err := s.c.frame(wire.StreamData{StreamID: s.id, SequenceID: &seq, Message: m})
	if err != nil {
		return err
	}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	s.unacked = append(s.unacked, frame)
	s.bytes += len(frame)
	s.transmit(frame)
	return nil
}

func (s *OutgoingStream) next() uint64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.first + uint64(len(s.unacked))
}

// Write sends the bytes as one binary message, without a time limit. It makes the
// stream an [io.WriteCloser]. A message that is larger than the service accepts,
// encoded 1 MiB, is not split: Write returns an error that matches
// [ErrInvalidArgument].
func (s *OutgoingStream) Write(p []byte) (int, error) {
	if err := s.Send(context.Background(), webpubsub.Binary(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// KeepAlive restarts the idle timeout of the service without a message.
func (s *OutgoingStream) KeepAlive(ctx context.Context) error {
	return wrap("keep stream alive", s.keepAlive(ctx))
}

func (s *OutgoingStream) keepAlive(ctx context.Context) error {
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

// End ends the stream and waits until the service has confirmed that, which means
// that all messages have been published. If the stream had already ended, End
// returns the error that ended it, or nil if that was a call of End.
//
// If an interruption has taken the confirmation, the error can match a
// [*ServiceError] with the name "StreamNotFound". The last messages of the stream
// may or may not have been published then.
func (s *OutgoingStream) End(ctx context.Context) error { return s.finish(ctx, nil) }

// CloseWithError ends the stream with an error, which the receivers get as a
// [*StreamError] with the name "UserError".
func (s *OutgoingStream) CloseWithError(ctx context.Context, message, userErrorCode string) error {
	return s.finish(ctx, &wire.StreamEndError{Message: message, UserErrorCode: userErrorCode})
}

// Close calls End with context.Background().
func (s *OutgoingStream) Close() error { return s.End(context.Background()) }

func (s *OutgoingStream) finish(ctx context.Context, reason *wire.StreamEndError) error {
	frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id, Error: reason})
	if err != nil {
		return wrap("end stream", err)
	}
	select {
	case s.sendLock <- struct{}{}:
		defer func() { <-s.sendLock }()
	case <-ctx.Done():
		return wrap("end stream", ctx.Err())
	}
	// The end has no number: it must not overtake a message that is sent again.
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
	if err == ErrStreamEnded { // if it is wrapped, a message has been lost
		return nil
	}
	return wrap("end stream", err)
}
