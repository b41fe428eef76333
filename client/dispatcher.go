package client

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// Limits of what waits for the readers of incoming streams.
const (
	streamQueue        = 64       // messages of one stream
	streamBytesWaiting = 16 << 20 // bytes of all streams
)

// streamDispatcher passes the messages of incoming streams to their readers, which
// are calls of the OnStream callback. It is used by the callback goroutine only.
type streamDispatcher struct {
	r       *run
	streams map[streamKey]*IncomingStream
	active  atomic.Int32 // readers that have not returned
	readers sync.WaitGroup
	buffer  streamBuffer
}

// streamKey identifies a stream. A message does not contain the connection that
// published it, so publishers in one group must not use the same ID.
type streamKey struct{ group, id string }

func newStreamDispatcher(r *run) *streamDispatcher {
	return &streamDispatcher{r: r, streams: make(map[streamKey]*IncomingStream), buffer: streamBuffer{freed: make(chan struct{}, 1)}}
}

// handleMessage handles a message of a stream.
func (d *streamDispatcher) handleMessage(m wire.Data, f func(context.Context, *IncomingStream)) {
	key := streamKey{m.Group, m.Stream.StreamID}
	s := d.streams[key]
	switch seq := m.Stream.SequenceID; {
	case s == nil || seq == s.next, m.Stream.EndOfStream && (seq < s.next || m.Stream.Error != nil):
	case seq == 1:
		d.end(key, &StreamError{Name: "Cancelled", Message: "the publisher started another stream with this ID"})
		s = nil
	default:
		d.end(key, &StreamError{Name: "Incomplete", Message: fmt.Sprintf("missing stream message: got sequence ID %d, want %d", seq, s.next)})
		s = nil
	}
	if s == nil {
		if m.Stream.EndOfStream && m.Stream.SequenceID != 1 {
			return // nothing but the end of the stream was received
		}
		if s = d.begin(key, m, f); s == nil {
			return
		}
	}
	s.next, s.last = m.Stream.SequenceID+1, time.Now()
	// The last message of a stream is often an empty text, which does not count as a message.
	if !m.Stream.EndOfStream || len(m.Message.Data) > 0 {
		d.pass(s, m.Message)
	}
	if m.Stream.EndOfStream {
		d.end(key, streamError(m.Stream.Error))
	}
}

// begin starts the reader of a stream. It returns nil if there are too many.
func (d *streamDispatcher) begin(key streamKey, m wire.Data, f func(context.Context, *IncomingStream)) *IncomingStream {
	o := &d.r.c.o
	if len(d.streams) >= o.MaxIncomingStreams {
		d.sweep(o.StreamIdleTimeout)
	}
	if len(d.streams) >= o.MaxIncomingStreams || int(d.active.Load()) >= o.MaxIncomingStreams {
		if d.r.noise.Allow("stream ignored") {
			o.Logger.Warn("ignoring a Web PubSub stream, too many are being read", "maxIncomingStreams", o.MaxIncomingStreams, "group", key.group,
				"hint", "increase Options.MaxIncomingStreams, or return from the OnStream callback earlier")
		}
		return nil
	}
	s := &IncomingStream{
		Group: key.group, ID: key.id, Partial: m.Stream.SequenceID != 1, idle: o.StreamIdleTimeout,
		messages: make(chan webpubsub.Message, streamQueue), readerDone: make(chan struct{}), buffer: &d.buffer,
	}
	if m.FromUserID != nil {
		s.FromUserID = *m.FromUserID
	}
	d.streams[key] = s
	d.active.Add(1)
	d.readers.Go(func() { d.read(s, f) })
	return s
}

// sweep removes streams whose readers have returned and whose publishers have
// sent nothing for the idle timeout. The service has ended those, too, but the
// last message may have been lost.
func (d *streamDispatcher) sweep(idle time.Duration) {
	for key, s := range d.streams {
		if s.abandoned() && time.Since(s.last) >= idle {
			d.end(key, ErrStreamIdle)
		}
	}
}

// pass queues a message for the reader. It blocks while too much is queued for this
// reader or for all readers together.
func (d *streamDispatcher) pass(s *IncomingStream, m webpubsub.Message) {
	if !d.buffer.reserve(len(m.Data), s, d.r.ctx.Done()) {
		return
	}
	select {
	case s.messages <- m:
		if s.abandoned() {
			s.discard()
		}
	case <-s.readerDone:
		d.buffer.release(len(m.Data))
	case <-d.r.ctx.Done():
		d.buffer.release(len(m.Data))
	}
}

func (d *streamDispatcher) read(s *IncomingStream, f func(context.Context, *IncomingStream)) {
	defer d.active.Add(-1)
	defer s.discard()
	defer close(s.readerDone)
	defer func() {
		if p := recover(); p != nil {
			d.r.c.o.Logger.Error("panic in callback of the Web PubSub client", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f(d.r.callbackCtx, s)
}

func (d *streamDispatcher) end(key streamKey, err error) {
	s := d.streams[key]
	s.err = err
	close(s.messages)
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

// endAll ends all streams.
func (d *streamDispatcher) endAll(err error) {
	for key := range d.streams {
		d.end(key, err)
	}
}

// streamBuffer limits the bytes that wait for the readers of all streams.
type streamBuffer struct {
	bytes atomic.Int64
	freed chan struct{} // buffered: signals that bytes were released
}

// reserve blocks until there is room. It reports false if the reader has returned or
// the client is stopped.
func (b *streamBuffer) reserve(n int, s *IncomingStream, stopped <-chan struct{}) bool {
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
