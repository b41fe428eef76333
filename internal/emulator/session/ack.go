package session

import (
	"fmt"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/wire"
)

// acked runs an operation and acknowledges it if the client asked for that. Of
// operations with an ack id, one that succeeded is never run again.
func (s *PubSub) acked(id *uint64, by *journal.Cause, do func() *wire.Error) {
	if s.repeated(id) {
		return
	}
	s.finishAck(id, do(), by)
}

// repeated acknowledges an ack id that has succeeded before.
func (s *PubSub) repeated(id *uint64) bool {
	if id == nil {
		return false
	}
	s.mu.Lock()
	seen := s.acks.has(*id)
	s.mu.Unlock()
	if seen {
		s.reply(wire.Ack{AckID: *id, Error: &wire.Error{
			Name: errDuplicate, Message: fmt.Sprintf("Message with ack-id: %d has been processed", *id),
		}})
	}
	return seen
}

// finishAck reports to the client how an operation ended. A failed one is not
// remembered: its ack id may be used for another try.
func (s *PubSub) finishAck(id *uint64, e *wire.Error, by *journal.Cause) {
	if e != nil {
		s.conn.Journal(journal.Entry{Kind: journal.Rejected, Reason: e.Message, Cause: by})
	}
	if id == nil {
		return
	}
	if e == nil {
		s.mu.Lock()
		s.acks.add(*id)
		s.mu.Unlock()
	}
	s.reply(wire.Ack{AckID: *id, Error: e})
}

// ackCache remembers the newest ack ids of operations that succeeded, so that a
// client may repeat one of which it did not receive the ack (client protocol,
// acks).
type ackCache struct {
	seen map[uint64]struct{}
	ring []uint64
	next int
}

const ackCacheSize = 1000

func (a *ackCache) has(id uint64) bool { _, ok := a.seen[id]; return ok }

func (a *ackCache) add(id uint64) {
	if a.has(id) {
		return
	}
	if a.seen == nil {
		a.seen = make(map[uint64]struct{})
	}
	if len(a.ring) < ackCacheSize {
		a.ring = append(a.ring, id)
	} else {
		delete(a.seen, a.ring[a.next])
		a.ring[a.next] = id
		a.next = (a.next + 1) % ackCacheSize
	}
	a.seen[id] = struct{}{}
}
