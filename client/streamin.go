package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// streamQueue is how many parts of a stream wait for its reader before the
// callbacks do.
const streamQueue = 64

// ErrStreamIdle ends a stream of which nothing came for
// [Options.StreamIdleTimeout].
var ErrStreamIdle = errors.New("nothing came of the stream for the idle timeout")

// InStream is a stream that somebody sends to a group. See [Client.OnStream].
type InStream struct {
	Group, ID string
	// FromUserID is the publisher, where it is known.
	FromUserID string
	// Late tells that the stream began before the client got anything of it.
	Late bool

	next  uint64 // number of the part that is due
	idle  time.Duration
	parts chan webpubsub.Message
	left  chan struct{} // closed when its reader has left
	err   error         // set before parts is closed; nil for a normal end
}

// OnStream sets what is called for each stream of a group that the client is in,
// on a goroutine of its own. The parts of the stream are then no group messages;
// without this callback they are, with [GroupMessage.Stream] set.
//
//	c.OnStream(func(s *client.InStream) {
//		for m, err := range s.All(ctx) {
//			...
//		}
//	})
//
// A reader that lags far behind holds up the callbacks. When f returns, the rest
// of the stream is ignored. Stop waits until f has returned.
func (c *Client) OnStream(f func(*InStream)) {
	c.setCallback(func(s *callbacks) { s.stream = f })
}

// All yields the messages of the stream, once. Where the stream does not end as
// it should, the last pair has the error: a [*StreamError] from the publisher or
// the service, or with the name "Incomplete" where a part did not arrive (what
// follows it comes as a late stream), [ErrStreamIdle], [ErrConnectionLost],
// [ErrNotJoined] after LeaveGroup, [ErrStopped], or that of the context.
func (s *InStream) All(ctx context.Context) iter.Seq2[webpubsub.Message, error] {
	return func(yield func(webpubsub.Message, error) bool) {
		timer := time.NewTimer(s.idle)
		defer timer.Stop()
		for {
			var err error
			select {
			case m, ok := <-s.parts:
				if ok {
					if !yield(m, nil) {
						return
					}
					timer.Reset(s.idle)
					continue
				}
				if err = s.err; err == nil {
					return
				}
			case <-timer.C:
				err = ErrStreamIdle
			case <-ctx.Done():
				err = ctx.Err()
			}
			yield(webpubsub.Message{}, fmt.Errorf("client: stream %q of group %q: %w", s.ID, s.Group, err))
			return
		}
	}
}

// inbox is the streams that come in. It belongs to the goroutine of the
// callbacks.
type inbox struct {
	c       *Client
	ctx     context.Context
	streams map[streamKey]*InStream
	readers sync.WaitGroup
}

// streamKey tells streams apart. A message does not say which connection it is
// from, so publishers in one group must not choose the same id.
type streamKey struct{ group, id string }

// part handles a part of a stream.
func (b *inbox) part(d wire.Data, f func(*InStream)) {
	key := streamKey{d.Group, d.Stream.StreamID}
	s := b.streams[key]
	switch seq := d.Stream.SequenceID; {
	case s == nil || seq == s.next, d.Stream.EndOfStream && (seq < s.next || d.Stream.Error != nil):
	case seq == 1:
		b.end(key, &StreamError{Name: "Cancelled", Message: "the publisher began a stream of the same id"})
		s = nil
	default:
		b.end(key, &StreamError{Name: "Incomplete", Message: fmt.Sprintf("part %d came where part %d was due", seq, s.next)})
		s = nil
	}
	if s == nil {
		if d.Stream.EndOfStream && d.Stream.SequenceID != 1 {
			return // the client came for the very end
		}
		s = &InStream{
			Group: d.Group, ID: d.Stream.StreamID, Late: d.Stream.SequenceID != 1, idle: b.c.o.StreamIdleTimeout,
			parts: make(chan webpubsub.Message, streamQueue), left: make(chan struct{}),
		}
		if d.FromUserID != nil {
			s.FromUserID = *d.FromUserID
		}
		b.streams[key] = s
		b.readers.Go(func() { b.read(s, f) })
	}
	s.next = d.Stream.SequenceID + 1
	// The last part of a stream is often an empty text, which is no message.
	if !d.Stream.EndOfStream || len(d.Message.Data) > 0 {
		select {
		case s.parts <- d.Message:
		case <-s.left:
		case <-b.ctx.Done():
		}
	}
	if d.Stream.EndOfStream {
		b.end(key, streamError(d.Stream.Error))
	}
}

func (b *inbox) read(s *InStream, f func(*InStream)) {
	id := goroutineID()
	b.c.inCallback.Store(id, nil)
	defer b.c.inCallback.Delete(id)
	defer close(s.left)
	defer func() {
		if p := recover(); p != nil {
			b.c.o.Logger.Error("a stream callback of the Web PubSub client panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f(s)
}

func (b *inbox) end(key streamKey, err error) {
	s := b.streams[key]
	s.err = err
	close(s.parts)
	delete(b.streams, key)
}

// endGroup ends the streams of a group that the client has left.
func (b *inbox) endGroup(group string) {
	for key := range b.streams {
		if key.group == group {
			b.end(key, ErrNotJoined)
		}
	}
}

// endAll ends the streams of a connection that is lost.
func (b *inbox) endAll(err error) {
	for key := range b.streams {
		b.end(key, err)
	}
}
