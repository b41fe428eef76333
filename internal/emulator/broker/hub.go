package broker

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

// Hub is one hub.
type Hub struct {
	// Name is in lower case.
	Name    string
	journal *journal.Journal

	used atomic.Bool // since the last [Broker.Forget]

	mu     sync.RWMutex
	conns  map[string]*Conn
	groups map[string]*group
	users  map[string][]*Conn

	stamped int64 // the time of the newest change of a group's state
}

// group is the members of a group.
type group struct {
	name    string
	members []*Conn
	state   *groupState // nil until it is used
	order   sync.Mutex  // held while a message is queued to all members
}

func newHub(name string, j *journal.Journal) *Hub {
	return &Hub{
		Name: name, journal: j,
		conns:  make(map[string]*Conn),
		groups: make(map[string]*group),
		users:  make(map[string][]*Conn),
	}
}

// Add registers a connection with its first groups. It reports false if its id
// is in use, which only the id of an MQTT client can be.
func (h *Hub) Add(c *Conn, groups []string, by *journal.Cause) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.ID] != nil {
		return false
	}
	h.conns[c.ID] = c
	c.Since = time.Now()
	h.used.Store(true)
	if c.UserID != "" {
		h.users[c.UserID] = append(h.users[c.UserID], c)
	}
	for _, g := range groups {
		h.join(c, g, by)
	}
	return true
}

// remove reports false if the connection was removed before.
func (h *Hub) remove(c *Conn, by *journal.Cause) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.ID] != c {
		return false
	}
	delete(h.conns, c.ID)
	if c.UserID != "" {
		others := h.users[c.UserID]
		i := slices.Index(others, c)
		if others = slices.Delete(others, i, i+1); len(others) == 0 {
			delete(h.users, c.UserID)
		} else {
			h.users[c.UserID] = others
		}
	}
	for _, name := range c.sortedGroups() { // in a definite order, as events are raised
		h.leave(c, name, by)
	}
	return true
}

// join reports whether the connection was not yet in the group. The lock must be
// held for writing.
func (h *Hub) join(c *Conn, name string, by *journal.Cause) bool {
	g := h.groups[name]
	if g == nil {
		g = &group{name: name}
		h.groups[name] = g
	}
	if _, ok := c.groups[g]; ok {
		return false
	}
	if c.groups == nil {
		c.groups = make(map[*group]int, 1)
	}
	c.groups[g] = len(g.members)
	g.members = append(g.members, c)
	c.Session.Joined(name, by)
	return true
}

// leave reports whether the connection was in the group. The lock must be held
// for writing.
func (h *Hub) leave(c *Conn, name string, by *journal.Cause) bool {
	g := h.groups[name]
	if g == nil {
		return false
	}
	i, ok := c.groups[g]
	if !ok {
		return false
	}
	delete(c.groups, g)
	h.leaveState(c, g)
	last := len(g.members) - 1
	moved := g.members[last]
	g.members[i] = moved
	if moved != c {
		moved.groups[g] = i
	}
	g.members[last] = nil
	if g.members = g.members[:last]; last == 0 {
		delete(h.groups, name)
	}
	c.Session.Left(name, by)
	return true
}

// Conn returns the connection of that id, or nil.
func (h *Hub) Conn(id string) *Conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.conns[id]
}

// Conns returns the connections that are selected, in no particular order.
func (h *Hub) Conns(sel Select) []*Conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*Conn, 0, len(h.conns))
	for _, c := range h.conns {
		if sel.selects(c) {
			out = append(out, c)
		}
	}
	return out
}

// UserConns returns the connections of a user.
func (h *Hub) UserConns(id string) []*Conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.users[id])
}

// Members returns the members of a group in the order of their ids.
func (h *Hub) Members(name string) []*Conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	g := h.groups[name]
	if g == nil {
		return nil
	}
	out := slices.Clone(g.members)
	slices.SortFunc(out, func(a, b *Conn) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Count is the size of a group or the number of connections of a user.
type Count struct {
	Name  string
	Conns int
}

// Groups returns the groups in the order of their names.
func (h *Hub) Groups() []Count {
	h.mu.RLock()
	out := make([]Count, 0, len(h.groups))
	for name, g := range h.groups {
		out = append(out, Count{name, len(g.members)})
	}
	h.mu.RUnlock()
	return sorted(out)
}

// Users returns the users in the order of their ids.
func (h *Hub) Users() []Count {
	h.mu.RLock()
	out := make([]Count, 0, len(h.users))
	for name, conns := range h.users {
		out = append(out, Count{name, len(conns)})
	}
	h.mu.RUnlock()
	return sorted(out)
}

func sorted(counts []Count) []Count {
	slices.SortFunc(counts, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	return counts
}

// Len returns the number of connections.
func (h *Hub) Len() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.conns)
}
