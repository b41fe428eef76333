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

// Limits of what is kept of the state of a group.
const (
	// updatePrecedence is how long an update counts more than a snapshot, which
	// may have been taken before it.
	updatePrecedence = 5 * time.Minute
	// maxCleared is the number of cleared entries that are kept, so that an older
	// update does not restore them.
	maxCleared = 200
)

var (
	// ErrNotJoined is returned if the client is not a member of the group.
	ErrNotJoined = errors.New("client is not a member of the group: call JoinGroup first")
	// ErrNotSubscribed is returned if the client is not subscribed to the state of
	// the group.
	ErrNotSubscribed = errors.New("not subscribed to the state of the group: call SubscribeGroupState first")
)

// GroupStateEntry is the state that one connection has set in a group.
type GroupStateEntry struct {
	ConnectionID string
	// UserID is empty for an anonymous client.
	UserID string
	State  map[string]string
	// UpdatedAt is the time of the service.
	UpdatedAt time.Time
}

// groupState is the state of one group. Client.mu guards it.
type groupState struct {
	entries map[string]*stateEntry // by connection ID
}

type stateEntry struct {
	wire.GroupStateItem
	received time.Time // of an update; zero for a snapshot
}

// SetGroupStateOptions are the options of [Client.SetGroupState].
type SetGroupStateOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// ClearGroupStateOptions are the options of [Client.ClearGroupState].
type ClearGroupStateOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// SubscribeGroupStateOptions are the options of [Client.SubscribeGroupState].
type SubscribeGroupStateOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// UnsubscribeGroupStateOptions are the options of
// [Client.UnsubscribeGroupState].
type UnsubscribeGroupStateOptions struct {
	// Retry replaces [Options.MessageRetry] for this call. Default: nil, which
	// means Options.MessageRetry.
	Retry *RetryOptions
}

// SetGroupState sets the entry of this connection in the state of a group, in
// place of the one that it had. The service sends it to all clients that are
// subscribed to the state. The client must be a member of the group. The entry is
// removed when the connection ends: set it again in OnConnected. The options may
// be nil.
//
// Group state is a preview feature of the service.
func (c *Client) SetGroupState(ctx context.Context, group string, state map[string]string, o *SetGroupStateOptions) error {
	if o == nil {
		o = &SetGroupStateOptions{}
	}
	if state == nil {
		state = map[string]string{}
	}
	return c.stateCall(ctx, "set state of group", group, &call{}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.SetGroupState{Group: group, AckID: id, State: state}
	})
}

// ClearGroupState removes the entry of this connection from the state of a group.
// The options may be nil.
func (c *Client) ClearGroupState(ctx context.Context, group string, o *ClearGroupStateOptions) error {
	if o == nil {
		o = &ClearGroupStateOptions{}
	}
	return c.stateCall(ctx, "clear state of group", group, &call{}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.SetGroupState{Group: group, AckID: id}
	})
}

// SubscribeGroupState subscribes to the state of a group, of which the client must
// be a member. The service sends the whole state and, from then on, its changes.
// Use [Client.GroupState] to read the state and [Client.OnGroupStateChanged] to be
// notified. The client subscribes again after a reconnect. The options may be nil.
func (c *Client) SubscribeGroupState(ctx context.Context, group string, o *SubscribeGroupStateOptions) error {
	if o == nil {
		o = &SubscribeGroupStateOptions{}
	}
	return c.stateCall(ctx, "subscribe to state of group", group, &call{subscribe: group}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.SubscribeGroupState{Group: group, AckID: id}
	})
}

// UnsubscribeGroupState cancels the subscription to the state of a group. The
// options may be nil.
func (c *Client) UnsubscribeGroupState(ctx context.Context, group string, o *UnsubscribeGroupStateOptions) error {
	if o == nil {
		o = &UnsubscribeGroupStateOptions{}
	}
	return c.stateCall(ctx, "unsubscribe from state of group", group, &call{unsubscribe: group}, o.Retry, func(id *uint64) wire.Upstream {
		return wire.UnsubscribeGroupState{Group: group, AckID: id}
	})
}

func (c *Client) stateCall(ctx context.Context, op, group string, k *call, retry *RetryOptions, frame func(id *uint64) wire.Upstream) error {
	op += " " + quote(group)
	c.mu.Lock()
	_, joined := c.groups[group]
	stopped := c.state == StateStopped || c.state == StateStopping
	first := joined && k.subscribe != "" && c.states[group] == nil
	if first {
		// The snapshot may come before the acknowledgement.
		c.states[group] = &groupState{entries: make(map[string]*stateEntry)}
	}
	c.mu.Unlock()
	switch {
	case stopped:
		return wrap(op, ErrNotRunning)
	case !joined:
		return wrap(op, ErrNotJoined)
	}
	err := c.callWithAck(ctx, k, retry, frame)
	if err != nil && first {
		c.mu.Lock()
		delete(c.states, group)
		c.mu.Unlock()
	}
	return wrap(op, err)
}

// GroupState returns the state of a group as it was last received, sorted by
// connection ID. It returns an error that matches [ErrNotSubscribed] if the client
// is not subscribed to the state.
func (c *Client) GroupState(group string) ([]GroupStateEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.states[group]
	if g == nil {
		return nil, wrap("get state of group "+quote(group), ErrNotSubscribed)
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

// groupStateFrame applies a snapshot or an update, and reports whether the client
// is subscribed to the state.
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

// replace applies a snapshot: it replaces all entries except those that have been
// updated recently.
func (g *groupState) replace(items []wire.GroupStateItem, now time.Time) {
	old := g.entries
	g.entries = make(map[string]*stateEntry, len(items))
	for _, item := range items {
		if item.State != nil {
			g.entries[item.ConnectionID] = &stateEntry{GroupStateItem: item}
		}
	}
	for id, e := range old {
		fresh := !e.received.IsZero() && now.Sub(e.received) < updatePrecedence
		if n := g.entries[id]; fresh && (n == nil || n.UpdatedAt < e.UpdatedAt) {
			g.entries[id] = e
		}
	}
}

// update applies changes. The newest of a connection wins.
func (g *groupState) update(items []wire.GroupStateItem, now time.Time) {
	cleared := false
	for _, item := range items {
		if e := g.entries[item.ConnectionID]; e == nil || e.UpdatedAt <= item.UpdatedAt {
			g.entries[item.ConnectionID] = &stateEntry{item, now}
			cleared = cleared || item.State == nil
		}
	}
	if cleared {
		g.pruneCleared()
	}
}

// pruneCleared removes the oldest cleared entries.
func (g *groupState) pruneCleared() {
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

// resubscribe subscribes to the states of the groups on a new connection. The old
// entries are removed, since changes may have been missed. c.mu must be held.
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
	return fmt.Errorf("group state: %w", err)
}
