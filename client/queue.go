package client

import (
	"runtime"
	"sync"
)

// Limits of the event queue, in addition to [Options.EventQueueSize]. The service
// closes the connection of a client that does not acknowledge 1,000 messages or
// 16 MiB, so the overflow of one connection stays well below its limit.
const (
	queueBytes     = 16 << 20
	overflowEvents = 2000
	overflowBytes  = 2 * queueBytes
	queueBatch     = 64
)

// queue contains the events that wait for their callbacks. Those within the limits
// are admitted, and may be acknowledged. The rest, the overflow, exists only with a
// reliable subprotocol and is not acknowledged until it has been admitted.
type queue struct {
	limit int

	mu       sync.Mutex
	ready    sync.Cond
	items    []item
	head     int // items before it have been taken
	admitted int // index after the admitted items
	count    int // admitted messages, including those that are being delivered
	bytes    int
	overflow int // bytes of the overflow
	running  []item
	closed   bool
}

// item is an event in the queue.
type item struct {
	event   any      // nil: no callback is called
	session *session // of a message with a number
	seq     uint64
	size    int // 0 for an event that is not a message, which always fits
	barrier *rejoinBarrier
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.ready.L = &q.mu
	return q
}

// push adds an event. It reports false if a message does not fit: for a reliable
// subprotocol into the overflow, otherwise within the limits. If the queue
// overflows, push yields the processor: in a burst of messages, the callbacks may
// not have had a chance to run.
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

// take blocks until there are events and returns some of them, or nil if the queue
// is closed and empty. The result is valid until the next call, by which its
// events have been delivered.
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
		// Moving the rest costs less than what has been taken since the last time.
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.admitted, q.head = q.items[:n], q.admitted-q.head, 0
	}
	return q.running
}

// close closes the queue: take returns the remaining events, then nil.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Signal()
}
