package wsconn

import (
	"net"
	"sync"
	"time"
)

// Owner is the connection that a [Writer] belongs to.
type Owner[T any] interface {
	// Encode appends the frames of a message to the batch, or nothing to drop
	// the message.
	Encode(b *Batch, m T)
	// WriteFailed is called at most once, with the error of the write. Nothing is
	// written afterwards.
	WriteFailed(err error)
	// DrainStarted is called before a draining goroutine starts, and DrainEnded
	// when it ends.
	DrainStarted()
	DrainEnded()
}

// Settings are shared by many writers and must not be modified.
type Settings struct {
	// Masked is set on the side of the client.
	Masked bool
	// MaxMessages and MaxBytes bound the queue of each writer. Default: no bound.
	MaxMessages, MaxBytes int
	// Stall is how long a write may go on without progress before it fails, at
	// least; it may be up to twice as long. Default: no limit.
	Stall time.Duration
}

// Writer writes the messages of one connection. Call Init before anything else.
// Its methods are safe for concurrent use.
type Writer[T any] struct {
	settings *Settings
	owner    Owner[T]
	drainer  func() // drain, bound once: a go statement with a receiver allocates

	mu       sync.Mutex
	conn     net.Conn   // nil before Start
	queue    []entry[T] // queue[head:next] is being written, queue[next:] waits
	head     int
	next     int
	urgent   []T
	messages int // bounded messages that wait, and their bytes
	bytes    int
	pong     []byte
	hasPong  bool
	last     bool // nothing more is queued
	dead     bool // nothing more is written
	hangUp   bool // conn is closed when the queue is empty
	draining bool
	room     chan struct{} // closed when there is room; nil without a waiter
	drained  chan struct{} // closed when draining ends; nil without a waiter
	expires  time.Time     // set by Expire

	deadline time.Time // last set on conn; used by the draining goroutine only
}

type entry[T any] struct {
	m       T
	size    int
	bounded bool
}

// Init prepares the writer. Messages can be queued from now on, and are written
// after Start.
func (w *Writer[T]) Init(s *Settings, owner Owner[T]) {
	w.settings, w.owner, w.drainer = s, owner, w.drain
}

// Start begins to write to conn.
func (w *Writer[T]) Start(conn net.Conn) {
	w.mu.Lock()
	w.conn = conn
	w.wake()
}

// Push queues a message of the given size in bytes. It reports false if the
// queue is full: see Room. A message for a connection that is closing or has
// failed is dropped, as if it had been lost on the way.
func (w *Writer[T]) Push(m T, size int) bool {
	w.mu.Lock()
	if w.full(size) {
		w.mu.Unlock()
		return false
	}
	w.add(entry[T]{m, size, true})
	return true
}

// PushAlways queues a message whether the queue is full or not.
func (w *Writer[T]) PushAlways(m T, size int) {
	w.mu.Lock()
	w.add(entry[T]{m, size, false})
}

// PushLast queues a message behind which nothing is written.
func (w *Writer[T]) PushLast(m T, size int) { w.pushLast(m, size, false) }

// PushOnly is PushLast in place of everything that is not being written yet.
func (w *Writer[T]) PushOnly(m T, size int) { w.pushLast(m, size, true) }

func (w *Writer[T]) pushLast(m T, size int, only bool) {
	w.mu.Lock()
	if w.dead || w.last {
		w.mu.Unlock()
		return
	}
	if only {
		w.clear()
	}
	w.last = true
	w.urgent, w.hasPong = nil, false
	w.queue = append(w.queue, entry[T]{m, size, false})
	w.makeRoom()
	w.wake()
}

// clear drops what is not being written yet.
func (w *Writer[T]) clear() {
	clear(w.queue[w.next:])
	w.queue, w.urgent, w.hasPong = w.queue[:w.next], nil, false
	w.messages, w.bytes = 0, 0
}

// PushUrgent queues a message that is written before those that wait.
func (w *Writer[T]) PushUrgent(m T) {
	w.mu.Lock()
	if w.dead || w.last {
		w.mu.Unlock()
		return
	}
	w.urgent = append(w.urgent, m)
	w.wake()
}

// Pong responds to a ping, in place of a pong that has not been written yet. The
// payload is copied.
func (w *Writer[T]) Pong(payload []byte) {
	w.mu.Lock()
	if w.dead || w.last {
		w.mu.Unlock()
		return
	}
	w.pong, w.hasPong = append(w.pong[:0], payload[:min(len(payload), maxControl)]...), true
	w.wake()
}

// add queues and unlocks w.mu.
func (w *Writer[T]) add(e entry[T]) {
	if w.dead || w.last {
		w.mu.Unlock()
		return
	}
	if e.bounded {
		w.messages++
		w.bytes += e.size
	}
	w.queue = append(w.queue, e)
	w.wake()
}

// wake starts a draining goroutine if there is something to do, and unlocks w.mu.
func (w *Writer[T]) wake() {
	start := !w.draining && w.conn != nil && (w.hangUp || w.waiting())
	w.draining = w.draining || start
	w.mu.Unlock()
	if start {
		w.owner.DrainStarted()
		go w.drainer()
	}
}

func (w *Writer[T]) waiting() bool {
	return len(w.queue) > w.next || len(w.urgent) > 0 || w.hasPong
}

// full reports whether a message does not fit. One always fits in an empty
// queue, however large it is.
func (w *Writer[T]) full(size int) bool {
	s := w.settings
	return w.messages > 0 && ((s.MaxMessages > 0 && w.messages >= s.MaxMessages) || (s.MaxBytes > 0 && w.bytes+size > s.MaxBytes))
}

// Room returns a channel that is closed when Push may succeed for a message of
// the size, or will drop it.
func (w *Writer[T]) Room(size int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.room == nil {
		w.room = make(chan struct{})
	}
	room := w.room
	if w.dead || w.last || !w.full(size) {
		w.makeRoom()
	}
	return room
}

func (w *Writer[T]) makeRoom() {
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// Remove drops the messages that match and are not being written yet, and
// returns their number.
func (w *Writer[T]) Remove(match func(T) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.queue[:w.next]
	for i := w.next; i < len(w.queue); i++ {
		if e := &w.queue[i]; match(e.m) {
			w.unbound(e)
		} else {
			kept = append(kept, *e)
		}
	}
	n := len(w.queue) - len(kept)
	clear(w.queue[len(kept):])
	w.queue = kept
	if n > 0 {
		w.makeRoom()
	}
	return n
}

func (w *Writer[T]) unbound(e *entry[T]) {
	if e.bounded {
		w.messages--
		w.bytes -= e.size
	}
}

// Idle reports whether everything has been written.
func (w *Writer[T]) Idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.draining && !w.waiting()
}

// Expire sets the last deadline: what has not been written by then is discarded.
func (w *Writer[T]) Expire(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expires = t
	if w.conn != nil {
		_ = w.conn.SetWriteDeadline(t)
	}
}

// HangUp closes the network connection when everything that is queued has been
// written.
func (w *Writer[T]) HangUp() {
	w.mu.Lock()
	w.hangUp, w.last = true, true
	w.wake()
}

// Abort drops what is queued. It does not close the network connection, which
// is what ends a write that is in progress.
func (w *Writer[T]) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abort()
}

func (w *Writer[T]) abort() {
	w.dead = true
	w.clear()
	w.makeRoom()
}

// Wait blocks until no goroutine writes. After Abort, and when the network
// connection has been closed, that is soon, and final.
func (w *Writer[T]) Wait() {
	w.mu.Lock()
	if !w.draining {
		w.mu.Unlock()
		return
	}
	if w.drained == nil {
		w.drained = make(chan struct{})
	}
	drained := w.drained
	w.mu.Unlock()
	<-drained
}

// Queued returns the number of messages that wait to be written.
func (w *Writer[T]) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) - w.next + len(w.urgent)
}
