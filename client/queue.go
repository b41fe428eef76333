package client

import (
	"runtime"
	"sync"
)

// Bounds of the queue of events, beside [Options.EventQueue]. The service gives
// up on a client that leaves 1,000 messages or 16 MiB unacknowledged, so the
// overflow of one connection stays well below its bound.
const (
	queueBytes     = 16 << 20
	overflowEvents = 2000
	overflowBytes  = 2 * queueBytes
	queueBatch     = 64
)

// queue holds the events that wait for their callbacks. Its first part, within
// the bounds, is admitted: those messages may be acknowledged. The rest, which
// only a reliable protocol has, is not acknowledged before it is admitted.
type queue struct {
	limit int

	mu       sync.Mutex
	ready    sync.Cond
	items    []item
	head     int // items before it are taken
	admitted int // index behind the admitted part
	count    int // admitted messages, with those whose callbacks run now
	bytes    int
	overflow int // bytes of the rest
	running  []item
	closed   bool
}

// item is an event that waits.
type item struct {
	event   any      // nil: nothing is called
	session *session // of a message with a number
	seq     uint64
	size    int // 0 for an event that is no message, which always fits
	barrier *rejoinBarrier
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.ready.L = &q.mu
	return q
}

// push adds an event. Where the queue overflows it gives the processor away: the
// callbacks may only have had no chance to run, in a burst of messages.
//
// It reports false where a message does not fit: beyond the
// bounds, or, for one that can be left unacknowledged, beyond the overflow.
func (q *queue) push(it item, reliable bool) bool {
	ok, overflows := q.add(it, reliable)
	if overflows {
		runtime.Gosched()
	}
	return ok
}

func (q *queue) add(it item, reliable bool) (ok, overflows bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.size > 0 && (q.admitted < len(q.items) || !q.fits(it)) {
		if !reliable || len(q.items)-q.admitted >= overflowEvents || q.overflow+it.size > overflowBytes {
			return false, true
		}
	}
	q.items = append(q.items, it)
	q.overflow += it.size
	q.admit()
	if len(q.items)-q.head == 1 {
		q.ready.Signal()
	}
	return true, q.admitted < len(q.items)
}

func (q *queue) fits(it item) bool {
	return it.size == 0 || q.count == 0 || (q.count < q.limit && q.bytes+it.size <= queueBytes)
}

// admit extends the admitted part.
func (q *queue) admit() {
	for q.admitted < len(q.items) && q.fits(q.items[q.admitted]) {
		it := &q.items[q.admitted]
		q.admitted++
		q.overflow -= it.size
		if it.size > 0 {
			q.count++
			q.bytes += it.size
		}
		if it.session != nil {
			it.session.queuedSeq.Store(it.seq)
		}
	}
}

// take returns the next events, and nil when the queue is closed and empty. The
// result is valid until the next call, which tells that they are done.
func (q *queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.running {
		if size := q.running[i].size; size > 0 {
			q.count--
			q.bytes -= size
		}
	}
	clear(q.running)
	q.running = q.running[:0]
	q.admit()
	for q.head == len(q.items) {
		if q.closed {
			return nil
		}
		q.ready.Wait()
	}
	n := min(queueBatch, q.admitted-q.head)
	q.running = append(q.running, q.items[q.head:q.head+n]...)
	clear(q.items[q.head : q.head+n])
	q.head += n
	if q.head == len(q.items) {
		q.items, q.head, q.admitted = q.items[:0], 0, 0
	} else if q.head > 4*queueBatch && q.head > len(q.items)/2 {
		// Moving the rest down costs less than what was taken since last time.
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.admitted, q.head = q.items[:n], q.admitted-q.head, 0
	}
	return q.running
}

// close ends the queue: take returns what is left, then nil.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Signal()
}
