// Package broker contains the state of the emulator: hubs with their connections,
// groups and users, permissions, and the fan-out of messages. It does not
// depend on HTTP, WebSocket or the protocols of clients: a client is a [Session].
//
// # Locking
//
// Each [Hub] has one lock, which guards its maps and, of each [Conn], the groups
// and permissions. A message is queued to its receivers while the lock is held
// for reading, so that no connection receives a message of a group after its
// departure was acknowledged. Each group has a second lock inside the first:
// messages to one group reach all members in the same order.
//
// Under these locks the broker calls [Session.Deliver], [Session.DeliverState],
// [Session.Joined] and [Session.Left], and a selection. They must not block, and
// must not call the broker. Nothing else is called under a lock; the journal is
// written after.
//
// # Invariants
//
//   - A connection is in its hub from before its client receives "connected"
//     until [Conn.Remove], which succeeds once. It leaves all its groups then.
//   - A group or user without connections does not exist.
//   - c.groups[g] is the position of c in g.members.
package broker

import (
	"slices"
	"strings"
	"sync"

	"example.com/webpubsub/internal/emulator/journal"
)

// Broker is the hubs of an emulator by their lower-case names.
type Broker struct {
	journal *journal.Journal

	mu   sync.RWMutex
	hubs map[string]*Hub
}

// New returns a broker without hubs.
func New(j *journal.Journal) *Broker {
	return &Broker{journal: j, hubs: make(map[string]*Hub)}
}

// Hub returns the hub of that name, which is compared without case, and creates
// it on first use. Call it for an authenticated caller only: names would fill
// the memory otherwise.
func (b *Broker) Hub(name string) *Hub {
	name = strings.ToLower(name)
	b.mu.RLock()
	h := b.hubs[name]
	b.mu.RUnlock()
	if h == nil {
		h = b.create(name)
	}
	if !h.used.Load() {
		h.used.Store(true)
	}
	return h
}

func (b *Broker) create(name string) *Hub {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.hubs[name]
	if h == nil {
		h = newHub(name, b.journal)
		b.hubs[name] = h
	}
	return h
}

// Existing returns the hub of that name, or nil if it is not in use.
func (b *Broker) Existing(name string) *Hub {
	b.mu.RLock()
	defer b.mu.RUnlock()
	h := b.hubs[strings.ToLower(name)]
	if h == nil || !h.used.Load() {
		return nil
	}
	return h
}

// Forget makes the hubs without connections count as not in use. They continue to
// exist: a handshake may be about to add a connection.
func (b *Broker) Forget() {
	for _, h := range b.Hubs() {
		h.mu.RLock()
		h.used.Store(len(h.conns) > 0)
		h.mu.RUnlock()
	}
}

// Hubs returns the hubs in use in the order of their names.
func (b *Broker) Hubs() []*Hub {
	b.mu.RLock()
	hubs := make([]*Hub, 0, len(b.hubs))
	for _, h := range b.hubs {
		if h.used.Load() {
			hubs = append(hubs, h)
		}
	}
	b.mu.RUnlock()
	slices.SortFunc(hubs, func(a, b *Hub) int { return strings.Compare(a.Name, b.Name) })
	return hubs
}

// Conns returns the connections of all hubs.
func (b *Broker) Conns() []*Conn {
	var out []*Conn
	for _, h := range b.Hubs() {
		out = append(out, h.Conns(nil)...)
	}
	return out
}
