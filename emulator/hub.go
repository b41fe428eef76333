package emulator

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/upstream"
)

// hub is one hub: who is connected, who is in which group, and who is which user.
//
// The locks of the package, in the order in which they may be held together:
// whoever holds one takes only those behind it, and never the same lock of two
// connections.
//
//	conn.receiving   a client's message is being carried out, or a link replaced
//	conn.streams.mu  its streams
//	hub.mu           members, groups, permissions, group states
//	group.order      one message at a time is queued to a group
//	conn.mu          its link with the queue, what is not acknowledged, MQTT session
//	the leaves       conn.events.mu, conn.calls.mu, Server.mu and those of Clock,
//	                 journal, Injected, activity and hubsFile: no other lock is
//	                 taken under one, but for the clock's under Server.mu
//
// What holds at all times:
//
//   - A connection is in hub.conns from before its client hears "connected" until
//     finish, which removes it once. With it go its groups and users, and a group
//     or user without connections is deleted.
//   - conn.groups and group.members say the same: c.groups[g] is c's place there.
//   - hub.mu is held for reading while a message is queued to its receivers, so
//     nobody gets a message of a group after leaving it was acknowledged.
//   - Under hub.mu and those behind it nothing waits: no I/O, no event handler, no
//     call of Options.Observe, which may ask the hub. The journal is written after.
//   - A goroutine is counted in Server.tasks before it starts, by one that is
//     counted itself or after enter has seen that the server is open, so that
//     Close leaves none behind.
type hub struct {
	srv      *Server
	name     string // in lower case
	settings atomic.Pointer[hubSettings]

	mu     sync.RWMutex // also guards each member's groups and permissions
	conns  map[string]*conn
	groups map[string]*group
	users  map[string][]*conn

	stamped int64 // the time of the newest change of a group's state
}

// group is the members of a group. Messages to one group reach all members in
// the same order: order is held while one is queued to all of them.
type group struct {
	name    string
	members []*conn
	state   *groupState // nil until somebody uses it
	order   sync.Mutex
}

// newHub needs s.mu.
func newHub(s *Server, name string) *hub {
	h := &hub{
		srv:    s,
		name:   name,
		conns:  make(map[string]*conn),
		groups: make(map[string]*group),
		users:  make(map[string][]*conn),
	}
	h.settings.Store(s.hubSettings(name))
	return h
}

// add registers a connection with its first groups. It reports false where its
// id is taken, which only an MQTT client's can be.
func (h *hub) add(c *conn, groups []string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.id] != nil {
		return false
	}
	h.conns[c.id] = c
	if c.userID != "" {
		h.users[c.userID] = append(h.users[c.userID], c)
	}
	for _, g := range groups {
		h.join(c, g)
	}
	return true
}

// remove takes a connection out of the hub. It reports false where that has
// happened before, so that a connection ends once.
func (h *hub) remove(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns[c.id] != c {
		return false
	}
	delete(h.conns, c.id)
	if c.userID != "" {
		peers := h.users[c.userID]
		i := slices.Index(peers, c)
		if peers = slices.Delete(peers, i, i+1); len(peers) == 0 {
			delete(h.users, c.userID)
		} else {
			h.users[c.userID] = peers
		}
	}
	in := make([]string, 0, len(c.groups))
	for g := range c.groups {
		in = append(in, g.name)
	}
	slices.Sort(in) // the handlers hear of them in a certain order
	for _, name := range in {
		h.leave(c, name)
	}
	return true
}

// join needs the write lock. It reports whether the connection was not yet in
// the group.
func (h *hub) join(c *conn, name string) bool {
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
	c.raisePresence(upstream.GroupJoined, name)
	return true
}

// leave needs the write lock. It reports whether the connection was in the group.
func (h *hub) leave(c *conn, name string) bool {
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
	if c.mqtt != nil {
		c.unsubscribed(name)
	}
	c.raisePresence(upstream.GroupLeft, name)
	return true
}

// get returns the connection of that id, or nil.
func (h *hub) get(id string) *conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.conns[id]
}

// all returns the connections of the hub.
func (h *hub) all() []*conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*conn, 0, len(h.conns))
	for _, c := range h.conns {
		out = append(out, c)
	}
	return out
}

// user returns the connections of a user.
func (h *hub) user(id string) []*conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return slices.Clone(h.users[id])
}

// groupMembers returns the members of a group in the order of their ids.
func (h *hub) groupMembers(name string) []*conn {
	h.mu.RLock()
	defer h.mu.RUnlock()
	g := h.groups[name]
	if g == nil {
		return nil
	}
	out := slices.Clone(g.members)
	slices.SortFunc(out, func(a, b *conn) int { return strings.Compare(a.id, b.id) })
	return out
}

// The sends. keep decides who gets the message; nil means everybody. It runs
// under the hub's lock and may look at groups. They return how many got it.

func (h *hub) sendAll(b *broadcast, keep func(*conn) bool) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := 0
	for _, c := range h.conns {
		n += b.to(c, keep)
	}
	return n
}

func (h *hub) sendUser(id string, b *broadcast, keep func(*conn) bool) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := 0
	for _, c := range h.users[id] {
		n += b.to(c, keep)
	}
	return n
}

func (h *hub) sendConnection(id string, b *broadcast) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if c := h.conns[id]; c != nil {
		return b.to(c, nil)
	}
	return 0
}

func (h *hub) sendGroup(name string, b *broadcast, keep func(*conn) bool) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sendGroupLocked(name, b, keep)
}

// sendGroupLocked needs the lock, for reading at least.
func (h *hub) sendGroupLocked(name string, b *broadcast, keep func(*conn) bool) int {
	g := h.groups[name]
	if g == nil {
		return 0
	}
	g.order.Lock()
	defer g.order.Unlock()
	n := 0
	for _, c := range g.members {
		n += b.to(c, keep)
	}
	return n
}

// The sweep: one for the keep-alive of all connections, instead of a timer for
// each, and for the file of settings.

const sweepInterval = time.Second

// scheduleSweep needs s.mu.
func (s *Server) scheduleSweep() {
	s.sweep = s.opts.Clock.afterFunc(sweepInterval, func() {
		if !s.enter() {
			return
		}
		defer s.leave()
		s.mu.Lock()
		hubs := s.allHubs()
		if !s.closed {
			s.scheduleSweep()
		}
		s.mu.Unlock()
		now := s.opts.Clock.Now()
		for _, h := range hubs {
			for _, c := range h.all() {
				c.keepAlive(now)
				if c.mqtt != nil {
					c.keepAliveMQTT(now)
				}
			}
		}
		if s.file != nil {
			s.reloadHubs()
		}
	})
}
