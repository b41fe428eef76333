package wsconn

import (
	"runtime"
	"sync"
	"time"
)

const (
	// BatchSize is the number of bytes after which a batch is written. A larger
	// message is written in a batch of its own.
	BatchSize = 64 << 10
	// batchMessages bounds the messages of one batch, and with it how long
	// urgent ones wait.
	batchMessages = 512
	// minRate is the number of bytes per second that a peer must take of a large
	// batch.
	minRate = 4 << 10
	// keptQueue is the capacity of the queue that an idle Writer may keep.
	keptQueue = 16
)

// Batch collects frames that are written together. It is valid during the call
// of Encode.
type Batch struct {
	// Buf contains whole frames. Encode appends to it: see [AppendHeader] and
	// [AppendFrame].
	Buf    []byte
	masked bool
	w      interface{ write(b []byte) bool }
}

// Frame appends a frame, masked if the writer masks.
func (b *Batch) Frame(opcode byte, payload []byte) {
	if b.masked {
		b.Buf = AppendMaskedFrame(b.Buf, opcode, payload)
	} else {
		b.Buf = AppendFrame(b.Buf, opcode, payload)
	}
}

// Flush writes what has been collected, for an owner that wants to know that the
// messages before this one were written. It reports whether the connection can
// still be written to.
func (b *Batch) Flush() bool {
	ok := b.w.write(b.Buf)
	b.Buf = b.Buf[:0]
	return ok
}

var batches = sync.Pool{New: func() any { return &Batch{Buf: make([]byte, 0, 4<<10)} }}

// drain writes what is queued, and ends when nothing is left.
func (w *Writer[T]) drain() {
	b := batches.Get().(*Batch)
	b.masked, b.w = w.settings.Masked, w
	var urgent []T
	for {
		// Yield so that other goroutines can queue messages for the same batch:
		// under load the system calls are most of the cost.
		runtime.Gosched()
		var queued []entry[T]
		var ok bool
		if urgent, queued, ok = w.take(b, urgent[:0]); !ok {
			break
		}
		for _, m := range urgent {
			w.owner.Encode(b, m)
		}
		clear(urgent)
		for i := range queued {
			w.owner.Encode(b, queued[i].m)
		}
		w.write(b.Buf)
		b.Buf = b.Buf[:0]
	}
	b.w = nil
	if cap(b.Buf) <= 4*BatchSize {
		batches.Put(b)
	}
	w.owner.DrainEnded()
}

// take returns the messages of the next batch: the urgent ones, which are moved
// to spare, and some of the queue, which stay in it until the next call. It
// reports false if there is nothing to write, and then the draining has ended.
func (w *Writer[T]) take(b *Batch, spare []T) (urgent []T, queued []entry[T], ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetWritten()
	if w.dead || !w.waiting() {
		w.endDrain()
		return nil, nil, false
	}
	if w.hasPong {
		b.Frame(OpPong, w.pong)
		w.hasPong = false
	}
	urgent = append(spare, w.urgent...)
	clear(w.urgent)
	w.urgent = w.urgent[:0]
	for size := 0; w.next < len(w.queue) && w.next-w.head < batchMessages && size < BatchSize; w.next++ {
		e := &w.queue[w.next]
		if size > 0 && size+e.size > BatchSize {
			break
		}
		size += e.size
		w.unbound(e)
	}
	w.makeRoom()
	return urgent, w.queue[w.head:w.next:w.next], true
}

// forgetWritten removes the messages of the last batch from the queue. Only here
// are messages moved, since the last batch is read without the lock.
func (w *Writer[T]) forgetWritten() {
	clear(w.queue[w.head:w.next])
	w.head = w.next
	switch {
	case w.head == len(w.queue):
		w.queue = w.queue[:0]
	case w.head > batchMessages && w.head > len(w.queue)/2:
		// Moving the rest down costs less than what was written since last time.
		n := copy(w.queue, w.queue[w.head:])
		clear(w.queue[n:])
		w.queue = w.queue[:n]
	default:
		return
	}
	w.head, w.next = 0, 0
}

func (w *Writer[T]) endDrain() {
	if w.hangUp {
		w.dead = true
		_ = w.conn.Close()
	}
	w.draining = false
	if cap(w.queue) > keptQueue {
		w.queue = nil
	}
	w.urgent, w.pong = nil, nil
	if w.drained != nil {
		close(w.drained)
		w.drained = nil
	}
}

// write writes a batch. It reports false if the connection cannot be written to
// any more.
func (w *Writer[T]) write(b []byte) bool {
	w.mu.Lock()
	if !w.dead && len(b) > 0 {
		w.renew(len(b))
	}
	dead := w.dead
	w.mu.Unlock()
	if dead || len(b) == 0 {
		return !dead
	}
	_, err := w.conn.Write(b)
	if err == nil {
		return true
	}
	w.mu.Lock()
	dead = w.dead
	w.abort()
	w.mu.Unlock()
	if !dead { // the error is not the consequence of Abort
		w.owner.WriteFailed(err)
	}
	return false
}

// renew moves the deadline for a batch of n bytes, unless it is far enough
// away: setting it costs more than reading the clock.
func (w *Writer[T]) renew(n int) {
	stall := w.settings.Stall
	if stall <= 0 || !w.expires.IsZero() {
		return
	}
	now := time.Now()
	need := stall + time.Duration(n/minRate)*time.Second
	if w.deadline.Sub(now) < need {
		w.deadline = now.Add(need + stall)
		_ = w.conn.SetWriteDeadline(w.deadline)
	}
}
