package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/wire"
)

// What is remembered of the state of a group, beside the entries.
const (
	// realTime is how long an update counts more than a snapshot, which may have
	// been taken before it.
	realTime = 5 * time.Minute
	// maxCleared bounds the entries that are remembered to have been cleared, so
	// that an older update does not bring them back.
	maxCleared = 200
)

var (
	// ErrNotJoined says that the client is not in the group.
	ErrNotJoined = errors.New("the client is not in the group: join it first")
	// ErrNotSubscribed says that there is no subscription to the group's state.
	ErrNotSubscribed = errors.New("the group's state is not subscribed to: call SubscribeGroupState first")
)

// GroupStateEntry is the state that one connection has set in a group.
type GroupStateEntry struct {
	ConnectionID string
	// UserID is empty where the connection has none.
	UserID string
	State  map[string]string
	// UpdatedAt is the time of the service.
	UpdatedAt time.Time
}

// groupState is what is known of a group. It is guarded by Client.mu.
type groupState struct {
	entries map[string]*stateEntry // by connection id
}

type stateEntry struct {
	wire.GroupStateItem
	received time.Time // of an update; zero for a snapshot
}

// SetGroupState sets this connection's own entry in the state of the group,
// which everybody gets who is subscribed to it. It replaces the entry that was
// there. The client must have joined the group. The entry ends with the
// connection: set it again in OnConnected.
//
// Group state is a preview feature of the service.
func (c *Client) SetGroupState(ctx context.Context, group string, state map[string]string) error {
	if state == nil {
		state = map[string]string{}
	}
	return c.setGroupState(ctx, "set", group, state)
}

// ClearGroupState removes this connection's own entry.
func (c *Client) ClearGroupState(ctx context.Context, group string) error {
	return c.setGroupState(ctx, "clear", group, nil)
}

func (c *Client) setGroupState(ctx context.Context, verb, group string, state map[string]string) error {
	return c.stateCall(ctx, verb+" state of group", group, &call{}, func(id *uint64) wire.Upstream {
		return wire.SetGroupState{Group: group, AckID: id, State: state}
	})
}

// SubscribeGroupState asks for the state of a group, which the client must have
// joined: all of it now, and what changes from then on. [Client.GroupState] has
// it, and OnGroupStateChanged tells when it is new. A new connection subscribes
// again.
func (c *Client) SubscribeGroupState(ctx context.Context, group string) error {
	return c.stateCall(ctx, "subscribe to state of group", group, &call{subscribe: group}, func(id *uint64) wire.Upstream {
		return wire.SubscribeGroupState{Group: group, AckID: id}
	})
}

// UnsubscribeGroupState is the opposite of SubscribeGroupState.
func (c *Client) UnsubscribeGroupState(ctx context.Context, group string) error {
	return c.stateCall(ctx, "unsubscribe from state of group", group, &call{unsubscribe: group}, func(id *uint64) wire.Upstream {
		return wire.UnsubscribeGroupState{Group: group, AckID: id}
	})
}

func (c *Client) stateCall(ctx context.Context, op, group string, k *call, frame func(id *uint64) wire.Upstream) error {
	op += " " + quote(group)
	c.mu.Lock()
	_, joined := c.groups[group]
	stopped := c.state == StateStopped || c.state == StateStopping
	first := joined && k.subscribe != "" && c.states[group] == nil
	if first {
		// The snapshot may come before the ack.
		c.states[group] = &groupState{entries: make(map[string]*stateEntry)}
	}
	c.mu.Unlock()
	switch {
	case stopped:
		return wrap(op, ErrStopped)
	case !joined:
		return wrap(op, ErrNotJoined)
	}
	err := c.callWithAck(ctx, k, frame)
	if err != nil && first {
		c.mu.Lock()
		delete(c.states, group)
		c.mu.Unlock()
	}
	return wrap(op, err)
}

// GroupState returns the state of a group as far as it is known, by connection
// id. It fails with [ErrNotSubscribed] where SubscribeGroupState was not called.
func (c *Client) GroupState(group string) ([]GroupStateEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.states[group]
	if g == nil {
		return nil, wrap("state of group "+quote(group), ErrNotSubscribed)
	}
	var out []GroupStateEntry
	for _, e := range g.entries {
		if e.State == nil {
			continue
		}
		entry := GroupStateEntry{ConnectionID: e.ConnectionID, State: maps.Clone(e.State), UpdatedAt: time.UnixMilli(e.UpdatedAt)}
		if e.UserID != nil {
			entry.UserID = *e.UserID
		}
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b GroupStateEntry) int { return strings.Compare(a.ConnectionID, b.ConnectionID) })
	return out, nil
}

// groupStateFrame takes over what the service says about a group, and reports
// whether anybody is interested.
func (c *Client) groupStateFrame(d wire.GroupState) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.states[d.Group]
	if g == nil {
		return false
	}
	if d.Snapshot {
		g.replace(d.Items, time.Now())
	} else {
		g.update(d.Items, time.Now())
	}
	return true
}

// replace takes a snapshot, which is the truth but for what changed lately.
func (g *groupState) replace(items []wire.GroupStateItem, now time.Time) {
	old := g.entries
	g.entries = make(map[string]*stateEntry, len(items))
	for _, item := range items {
		if item.State != nil {
			g.entries[item.ConnectionID] = &stateEntry{GroupStateItem: item}
		}
	}
	for id, e := range old {
		fresh := !e.received.IsZero() && now.Sub(e.received) < realTime
		if n := g.entries[id]; fresh && (n == nil || n.UpdatedAt < e.UpdatedAt) {
			g.entries[id] = e
		}
	}
}

// update takes changes. The newest of a connection wins.
func (g *groupState) update(items []wire.GroupStateItem, now time.Time) {
	cleared := false
	for _, item := range items {
		if e := g.entries[item.ConnectionID]; e == nil || e.UpdatedAt <= item.UpdatedAt {
			g.entries[item.ConnectionID] = &stateEntry{item, now}
			cleared = cleared || item.State == nil
		}
	}
	if cleared {
		g.trim()
	}
}

// trim forgets the oldest cleared entries.
func (g *groupState) trim() {
	var cleared []*stateEntry
	for _, e := range g.entries {
		if e.State == nil {
			cleared = append(cleared, e)
		}
	}
	if len(cleared) <= maxCleared {
		return
	}
	slices.SortFunc(cleared, func(a, b *stateEntry) int { return int(min(max(a.UpdatedAt-b.UpdatedAt, -1), 1)) })
	for _, e := range cleared[:len(cleared)-maxCleared] {
		delete(g.entries, e.ConnectionID)
	}
}

// resubscribe asks for the groups' states on a new connection. What was known is
// forgotten: changes may have been missed. It needs c.mu.
func (c *Client) resubscribe(s *session, l *link) {
	for group, g := range c.states {
		clear(g.entries)
		k := &call{ackID: c.nextAckID.Add(1), subscribe: group, rejoin: s.rejoin}
		frame, err := c.frame(wire.SubscribeGroupState{Group: group, AckID: &k.ackID})
		if err != nil {
			s.rejoin.settle(group, err)
			continue
		}
		k.frame = frame
		s.rejoin.calls = append(s.rejoin.calls, k)
		c.register(k)
		l.enqueueNow(k.frame, k)
	}
}

func stateError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("its state: %w", err)
}
