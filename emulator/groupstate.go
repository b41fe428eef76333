package emulator

import (
	"fmt"
	"slices"
	"strings"

	"example.com/webpubsub/internal/wire"
)

// Group state is a preview of the service: each connection may set one map of
// strings per group, and whoever subscribes to the group's state gets all of
// them and then the changes. The frames are known, most rules are not. These
// hold here, chosen so that the official JavaScript client works:
//
//   - Setting and subscribing need membership of the group, and no role beside:
//     that client refuses both locally for a group that it has not joined.
//   - Leaving the group, or the end of the connection, clears the state and ends
//     the subscription; the others get an update. The loss of a reliable
//     connection's link is no end.
//   - A subscription is answered by the ack, then the snapshot. An update
//     reaches its own sender, if subscribed, before the ack.
//   - The frames carry no sequence ids, so some may be lost with a link. A
//     client that comes back gets the snapshot again, and what was cleared.
//   - updatedAt rises with every change in a hub, even where the clock does not:
//     clients ignore what is not newer than what they have.
const (
	maxStateSize = 8 << 10 // keys and values of one connection's state in a group
	// maxCleared is how many cleared states a group remembers for those who come
	// back. The JavaScript client keeps as many.
	maxCleared = 200
)

// groupState is guarded by the hub's lock.
type groupState struct {
	items    map[*conn]wire.GroupStateItem
	watchers map[*conn]struct{}
	cleared  []wire.GroupStateItem // the newest last
}

func notJoined(group string) *wire.Error {
	return &wire.Error{Name: errBadRequest, Message: fmt.Sprintf("The client has not joined group '%s', whose state it asks for.", group)}
}

// joined returns the group if c is in it, else nil. It needs the hub's lock.
func (c *conn) joined(name string) *group {
	g := c.hub.groups[name]
	if _, ok := c.groups[g]; !ok {
		return nil
	}
	return g
}

func (c *conn) setGroupState(u wire.SetGroupState) *wire.Error {
	size := 0
	for k, v := range u.State {
		size += len(k) + len(v)
	}
	if size > maxStateSize {
		return &wire.Error{Name: errBadRequest, Message: fmt.Sprintf("The state has %d bytes: %d are allowed.", size, maxStateSize)}
	}
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	g := c.joined(u.Group)
	switch {
	case g == nil:
		return notJoined(u.Group)
	case u.State == nil:
		h.clearState(c, g)
		return nil
	}
	st := g.withState()
	item := wire.GroupStateItem{ConnectionID: c.id, UserID: c.user(), State: u.State, UpdatedAt: h.stamp()}
	st.items[c] = item
	st.cleared = slices.DeleteFunc(st.cleared, func(i wire.GroupStateItem) bool { return i.ConnectionID == c.id })
	st.announce(g, item)
	return nil
}

// subscribeGroupState sends the ack by itself: it stands before the snapshot,
// and the snapshot before every later update.
func (c *conn) subscribeGroupState(u wire.SubscribeGroupState) {
	if c.repeated(u.AckID) {
		return
	}
	h := c.hub
	h.mu.Lock()
	g := c.joined(u.Group)
	if g == nil {
		h.mu.Unlock()
		c.finishAck(u.AckID, notJoined(u.Group))
		return
	}
	defer h.mu.Unlock()
	st := g.withState()
	st.watchers[c] = struct{}{}
	c.finishAck(u.AckID, nil)
	c.reply(st.snapshot(g))
}

// unsubscribeGroupState succeeds also where there is no subscription.
func (c *conn) unsubscribeGroupState(u wire.UnsubscribeGroupState) *wire.Error {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	if g := c.joined(u.Group); g != nil && g.state != nil {
		delete(g.state.watchers, c)
	}
	return nil
}

// resendGroupStates brings a client that came back up to date.
func (c *conn) resendGroupStates() {
	c.hub.mu.RLock()
	defer c.hub.mu.RUnlock()
	for g := range c.groups {
		if g.state == nil {
			continue
		}
		if _, ok := g.state.watchers[c]; !ok {
			continue
		}
		c.reply(g.state.snapshot(g))
		if len(g.state.cleared) > 0 {
			c.reply(wire.GroupState{Group: g.name, Items: slices.Clone(g.state.cleared)})
		}
	}
}

func (g *group) withState() *groupState {
	if g.state == nil {
		g.state = &groupState{items: make(map[*conn]wire.GroupStateItem), watchers: make(map[*conn]struct{})}
	}
	return g.state
}

// leaveState is what leaving a group does to its state. It needs the write lock.
func (h *hub) leaveState(c *conn, g *group) {
	if g.state != nil {
		delete(g.state.watchers, c)
		h.clearState(c, g)
	}
}

// clearState needs the write lock.
func (h *hub) clearState(c *conn, g *group) {
	st := g.state
	if st == nil {
		return
	}
	if _, ok := st.items[c]; !ok {
		return
	}
	delete(st.items, c)
	item := wire.GroupStateItem{ConnectionID: c.id, UserID: c.user(), UpdatedAt: h.stamp()}
	if len(st.cleared) == maxCleared {
		st.cleared = slices.Delete(st.cleared, 0, 1)
	}
	st.cleared = append(st.cleared, item)
	st.announce(g, item)
}

// stamp returns the time of a change. It needs the write lock.
func (h *hub) stamp() int64 {
	h.stamped = max(h.stamped+1, h.srv.opts.Clock.Now().UnixMilli())
	return h.stamped
}

func (st *groupState) snapshot(g *group) wire.GroupState {
	s := wire.GroupState{Snapshot: true, Group: g.name, Items: make([]wire.GroupStateItem, 0, len(st.items))}
	for _, item := range st.items {
		s.Items = append(s.Items, item)
	}
	slices.SortFunc(s.Items, func(a, b wire.GroupStateItem) int { return strings.Compare(a.ConnectionID, b.ConnectionID) })
	return s
}

// announce sends a change to the subscribers, encoded once per protocol.
func (st *groupState) announce(g *group, item wire.GroupStateItem) {
	update := wire.GroupState{Group: g.name, Items: []wire.GroupStateItem{item}}
	var frames [wire.ReliableProtobuf + 1]*frame
	for c := range st.watchers {
		f := frames[c.protocol]
		if f == nil {
			var err error
			if f, err = downstream(c.protocol, update); err != nil {
				continue // what was decoded from a frame can be encoded again
			}
			frames[c.protocol] = f
		}
		c.send(f)
	}
}
