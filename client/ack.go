package client

import "time"

const (
	// ackInterval is the time between sequence acks, and ackGap the number of
	// messages after which one is sent immediately, as in the official clients.
	ackInterval = time.Second
	ackGap      = 300
)

// isNew reports whether a message is received for the first time. After a
// recovery the service repeats what was not acknowledged.
func (s *session) isNew(seq uint64) bool {
	if seq == 0 {
		return true
	}
	if !s.ackPending.Load() {
		s.ackPending.Store(true)
	}
	if seq <= s.lastSeq {
		return false
	}
	s.lastSeq = seq
	return true
}

// takeAck returns the sequence ID to acknowledge. All messages up to it have been
// added to the event queue.
func (s *session) takeAck() uint64 {
	s.ackPending.Store(false)
	n := s.queuedSeq.Load()
	s.ackedSeq.Store(n)
	return n
}

// acknowledge queues a sequence ack if there are messages to acknowledge, or only if
// there are many. At most one ack is queued, and its sequence ID is chosen when it
// is written, so that the memory is bounded if the service does not read.
func (l *link) acknowledge(onlyGap bool) {
	s := l.session.Load()
	if s == nil {
		return
	}
	n, acked := s.queuedSeq.Load(), s.ackedSeq.Load()
	if n == 0 || (onlyGap && n-acked <= ackGap) || (n == acked && !s.ackPending.Load()) {
		return
	}
	if !l.ackQueued.Swap(true) {
		l.writer.PushUrgent(outgoing{kind: ackOut})
	}
}
