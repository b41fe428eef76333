package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// What waits for the readers of streams before the callbacks do.
const (
	streamQueue        = 64       // messages of one stream
	streamBytesWaiting = 16 << 20 // bytes of all streams
)

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

	next       uint64    // number of the message that is due
	last       time.Time // when one was received
	idle       time.Duration
	parts      chan webpubsub.Message
	buffer     *streamBuffer
	readerDone chan struct{} // closed when its reader has returned
	err        error         // set before parts is closed; nil for a normal end
}

func (s *InStream) abandoned() bool {
	select {
	case <-s.readerDone:
		return true
	default:
		return false
	}
}

// drain drops what the reader has not taken.
func (s *InStream) drain() {
	for {
		select {
		case m, ok := <-s.parts:
			if !ok {
				return
			}
			s.buffer.release(len(m.Data))
		default:
			return
		}
	}
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
					s.buffer.release(len(m.Data))
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

// streamDispatcher passes incoming streams to their readers. It belongs to the
// goroutine of the callbacks.
type streamDispatcher struct {
	r       *run
	streams map[streamKey]*InStream
	active  atomic.Int32 // readers that have not returned
	readers sync.WaitGroup
	buffer  streamBuffer
}

// streamKey tells streams apart. A message does not say which connection it is
// from, so publishers in one group must not choose the same id.
type streamKey struct{ group, id string }

func newStreamDispatcher(r *run) *streamDispatcher {
	return &streamDispatcher{r: r, streams: make(map[streamKey]*InStream), buffer: streamBuffer{freed: make(chan struct{}, 1)}}
}

// handleMessage handles a message of a stream.
func (d *streamDispatcher) handleMessage(m wire.Data, f func(*InStream)) {
	key := streamKey{m.Group, m.Stream.StreamID}
	s := d.streams[key]
	switch seq := m.Stream.SequenceID; {
	case s == nil || seq == s.next, m.Stream.EndOfStream && (seq < s.next || m.Stream.Error != nil):
	case seq == 1:
		d.end(key, &StreamError{Name: "Cancelled", Message: "the publisher began a stream of the same id"})
		s = nil
	default:
		d.end(key, &StreamError{Name: "Incomplete", Message: fmt.Sprintf("part %d came where part %d was due", seq, s.next)})
		s = nil
	}
	if s == nil {
		if m.Stream.EndOfStream && m.Stream.SequenceID != 1 {
			return // only the end of the stream was received
		}
		if s = d.begin(key, m, f); s == nil {
			return
		}
	}
	s.next, s.last = m.Stream.SequenceID+1, time.Now()
	// The last message of a stream is often an empty text, which is no message.
	if !m.Stream.EndOfStream || len(m.Message.Data) > 0 {
		d.pass(s, m.Message)
	}
	if m.Stream.EndOfStream {
		d.end(key, streamError(m.Stream.Error))
	}
}

// begin starts the reader of a stream, nil if there are too many.
func (d *streamDispatcher) begin(key streamKey, m wire.Data, f func(*InStream)) *InStream {
	o := &d.r.c.o
	if len(d.streams) >= o.MaxInStreams {
		d.sweep(o.StreamIdleTimeout)
	}
	if len(d.streams) >= o.MaxInStreams || int(d.active.Load()) >= o.MaxInStreams {
		if d.r.noise.Allow("stream ignored") {
			o.Logger.Warn("ignoring a stream from Web PubSub: as many are being read as Options.MaxInStreams allows",
				"limit", o.MaxInStreams, "group", key.group)
		}
		return nil
	}
	s := &InStream{
		Group: key.group, ID: key.id, Late: m.Stream.SequenceID != 1, idle: o.StreamIdleTimeout,
		parts: make(chan webpubsub.Message, streamQueue), readerDone: make(chan struct{}), buffer: &d.buffer,
	}
	if m.FromUserID != nil {
		s.FromUserID = *m.FromUserID
	}
	d.streams[key] = s
	d.active.Add(1)
	d.readers.Go(func() { d.read(s, f) })
	return s
}

// sweep forgets the streams whose readers have returned and whose publishers
// have been silent: the service ends those too, unless the end is lost.
func (d *streamDispatcher) sweep(idle time.Duration) {
	for key, s := range d.streams {
		if s.abandoned() && time.Since(s.last) >= idle {
			d.end(key, ErrStreamIdle)
		}
	}
}

// pass waits while the reader of the stream, or all readers together, lag behind
// too far.
func (d *streamDispatcher) pass(s *InStream, m webpubsub.Message) {
	if !d.buffer.reserve(len(m.Data), s, d.r.ctx.Done()) {
		return
	}
	select {
	case s.parts <- m:
		if s.abandoned() {
			s.drain()
		}
	case <-s.readerDone:
		d.buffer.release(len(m.Data))
	case <-d.r.ctx.Done():
		d.buffer.release(len(m.Data))
	}
}

func (d *streamDispatcher) read(s *InStream, f func(*InStream)) {
	id := goroutineID()
	d.r.c.inCallback.Store(id, nil)
	defer d.r.c.inCallback.Delete(id)
	defer d.active.Add(-1)
	defer s.drain()
	defer close(s.readerDone)
	defer func() {
		if p := recover(); p != nil {
			d.r.c.o.Logger.Error("panic in a stream callback of the Web PubSub client", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f(s)
}

func (d *streamDispatcher) end(key streamKey, err error) {
	s := d.streams[key]
	s.err = err
	close(s.parts)
	delete(d.streams, key)
}

// endGroup ends the streams of a group that the client has left.
func (d *streamDispatcher) endGroup(group string) {
	for key := range d.streams {
		if key.group == group {
			d.end(key, ErrNotJoined)
		}
	}
}

// endAll ends the streams of a connection that is lost.
func (d *streamDispatcher) endAll(err error) {
	for key := range d.streams {
		d.end(key, err)
	}
}

// streamBuffer bounds the bytes that wait for the readers of all streams.
type streamBuffer struct {
	bytes atomic.Int64
	freed chan struct{} // has room for one: bytes were released
}

// reserve waits until there is room. It reports false if the message is not
// wanted any more.
func (b *streamBuffer) reserve(n int, s *InStream, stopped <-chan struct{}) bool {
	for {
		if s.abandoned() {
			return false
		}
		if old := b.bytes.Load(); old == 0 || old+int64(n) <= streamBytesWaiting {
			b.bytes.Add(int64(n))
			return true
		}
		select {
		case <-b.freed:
		case <-s.readerDone:
		case <-stopped:
			return false
		}
	}
}

func (b *streamBuffer) release(n int) {
	b.bytes.Add(-int64(n))
	select {
	case b.freed <- struct{}{}:
	default:
	}
}
