package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/wire"
)

// Group state is a preview of the service: each connection may set one map of
// strings per group, and the subscribers of the group's state receive all of
// them and then the changes. The frames are known, most rules are not. These
// apply here, chosen so that the official JavaScript client works:
//
//   - Setting and subscribing require membership of the group: that client
//     rejects both locally for a group that it has not joined.
//   - Leaving the group, or the end of the connection, clears the state and ends
//     the subscription; the others receive an update. The loss of a reliable
//     connection's WebSocket does not.
//   - The response to a subscription is the ack, then the snapshot. An update
//     reaches its own sender, if subscribed, before the ack.
//   - The frames carry no sequence ids, so some may be lost with a WebSocket. A
//     client that recovers receives the snapshot again, and what was cleared.
//   - updatedAt increases with every change in a hub, even if the clock does not:
//     clients ignore what is not newer than what they have.
const (
	maxStateSize = 8 << 10 // keys and values of one connection's state in a group
	// maxCleared is the number of cleared states that a group remembers for
	// clients that recover. The JavaScript client keeps as many.
	maxCleared = 200
)

// groupState is guarded by the hub's lock.
type groupState struct {
	items    map[*Conn]wire.GroupStateItem
	watchers map[*Conn]struct{}
	cleared  []wire.GroupStateItem // the newest last
}

// StateUpdate is a change, or a snapshot, of a group's state. The frames are
// made by the first session of each protocol.
type StateUpdate struct {
	Data   wire.GroupState
	Frames [wire.ReliableProtobuf + 1]*frame.Frame
}

func notJoined(group string) *wire.Error {
	return &wire.Error{Name: "BadRequest", Message: fmt.Sprintf("The client has not joined group '%s', whose state it asks for.", group)}
}

// joined returns the group if c is in it, else nil. The hub's lock must be held.
func (c *Conn) joined(name string) *group {
	g := c.Hub.groups[name]
	if _, ok := c.groups[g]; !ok {
		return nil
	}
	return g
}

// SetState sets the client's entry in the state of a group. nil clears it.
func (c *Conn) SetState(group string, state map[string]string) *wire.Error {
	size := 0
	for k, v := range state {
		size += len(k) + len(v)
	}
	if size > maxStateSize {
		return &wire.Error{Name: "BadRequest", Message: fmt.Sprintf("The state has %d bytes: %d are allowed.", size, maxStateSize)}
	}
	h := c.Hub
	h.mu.Lock()
	defer h.mu.Unlock()
	g := c.joined(group)
	switch {
	case g == nil:
		return notJoined(group)
	case state == nil:
		h.clearState(c, g)
		return nil
	}
	st := g.withState()
	item := wire.GroupStateItem{ConnectionID: c.ID, UserID: c.User(), State: state, UpdatedAt: h.stamp()}
	st.items[c] = item
	st.cleared = slices.DeleteFunc(st.cleared, func(i wire.GroupStateItem) bool { return i.ConnectionID == c.ID })
	st.announce(g, item)
	return nil
}

// SubscribeState calls accepted and then delivers the snapshot, under the hub's
// lock so that no update comes between.
func (c *Conn) SubscribeState(group string, accepted func()) *wire.Error {
	c.Hub.mu.Lock()
	defer c.Hub.mu.Unlock()
	g := c.joined(group)
	if g == nil {
		return notJoined(group)
	}
	st := g.withState()
	st.watchers[c] = struct{}{}
	accepted()
	c.Session.DeliverState(&StateUpdate{Data: st.snapshot(g)})
	return nil
}

// UnsubscribeState ends a subscription, if there is one.
func (c *Conn) UnsubscribeState(group string) {
	c.Hub.mu.Lock()
	defer c.Hub.mu.Unlock()
	if g := c.joined(group); g != nil && g.state != nil {
		delete(g.state.watchers, c)
	}
}

// ResendStates delivers the states that a recovered client is subscribed to.
func (c *Conn) ResendStates() {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	for g := range c.groups {
		if g.state == nil {
			continue
		}
		if _, ok := g.state.watchers[c]; !ok {
			continue
		}
		c.Session.DeliverState(&StateUpdate{Data: g.state.snapshot(g)})
		if len(g.state.cleared) > 0 {
			c.Session.DeliverState(&StateUpdate{Data: wire.GroupState{Group: g.name, Items: slices.Clone(g.state.cleared)}})
		}
	}
}

func (g *group) withState() *groupState {
	if g.state == nil {
		g.state = &groupState{items: make(map[*Conn]wire.GroupStateItem), watchers: make(map[*Conn]struct{})}
	}
	return g.state
}

// leaveState is what leaving a group does to its state. The write lock must be
// held.
func (h *Hub) leaveState(c *Conn, g *group) {
	if g.state != nil {
		delete(g.state.watchers, c)
		h.clearState(c, g)
	}
}

// clearState must be called with the write lock held.
func (h *Hub) clearState(c *Conn, g *group) {
	st := g.state
	if st == nil {
		return
	}
	if _, ok := st.items[c]; !ok {
		return
	}
	delete(st.items, c)
	item := wire.GroupStateItem{ConnectionID: c.ID, UserID: c.User(), UpdatedAt: h.stamp()}
	if len(st.cleared) == maxCleared {
		st.cleared = slices.Delete(st.cleared, 0, 1)
	}
	st.cleared = append(st.cleared, item)
	st.announce(g, item)
}

// stamp returns the time of a change. The write lock must be held.
func (h *Hub) stamp() int64 {
	h.stamped = max(h.stamped+1, time.Now().UnixMilli())
	return h.stamped
}

// State returns what the members of a group have set, without items if there is no
// such group.
func (h *Hub) State(name string) wire.GroupState {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if g := h.groups[name]; g != nil && g.state != nil {
		return g.state.snapshot(g)
	}
	return wire.GroupState{Group: name}
}

// States returns what the client has set, by group.
func (c *Conn) States() map[string]wire.GroupStateItem {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	out := make(map[string]wire.GroupStateItem)
	for g := range c.groups {
		if g.state == nil {
			continue
		}
		if item, ok := g.state.items[c]; ok {
			out[g.name] = item
		}
	}
	return out
}

func (st *groupState) snapshot(g *group) wire.GroupState {
	s := wire.GroupState{Snapshot: true, Group: g.name, Items: make([]wire.GroupStateItem, 0, len(st.items))}
	for _, item := range st.items {
		s.Items = append(s.Items, item)
	}
	slices.SortFunc(s.Items, func(a, b wire.GroupStateItem) int { return strings.Compare(a.ConnectionID, b.ConnectionID) })
	return s
}

// announce delivers a change to the subscribers.
func (st *groupState) announce(g *group, item wire.GroupStateItem) {
	update := &StateUpdate{Data: wire.GroupState{Group: g.name, Items: []wire.GroupStateItem{item}}}
	for c := range st.watchers {
		c.Session.DeliverState(update)
	}
}
