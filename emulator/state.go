package emulator

import (
	"slices"
	"strings"
)

// HubState is what a hub holds at one moment.
type HubState struct {
	// Name is in lower case.
	Name string
	// Connections are those that are open and those that may come back, in the
	// order of their ids.
	Connections []ConnectionState
}

// ConnectionState is one connection at one moment.
type ConnectionState struct {
	ID string
	// UserID is empty for an anonymous client.
	UserID string
	// Subprotocol is the one that was selected; empty for none.
	Subprotocol string
	// Groups are in alphabetical order.
	Groups []string
	// Detached says that a reliable client has lost its WebSocket and may come back.
	Detached bool
	// Unacked is how many messages a reliable client has not acknowledged.
	Unacked int
}

// State returns the hubs that are in use, in alphabetical order. Each hub is
// seen at one moment, different hubs at slightly different ones.
func (s *Server) State() []HubState {
	s.mu.RLock()
	hubs := s.allHubs()
	s.mu.RUnlock()
	out := make([]HubState, 0, len(hubs))
	for _, h := range hubs {
		out = append(out, h.state())
	}
	slices.SortFunc(out, func(a, b HubState) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (h *hub) state() HubState {
	h.mu.RLock()
	defer h.mu.RUnlock()
	st := HubState{Name: h.name, Connections: make([]ConnectionState, 0, len(h.conns))}
	for _, c := range h.conns {
		groups := make([]string, 0, len(c.groups))
		for g := range c.groups {
			groups = append(groups, g.name)
		}
		slices.Sort(groups)
		c.mu.Lock()
		st.Connections = append(st.Connections, ConnectionState{
			ID: c.id, UserID: c.userID, Subprotocol: c.subprotocol, Groups: groups,
			Detached: c.link == nil, Unacked: len(c.unacked),
		})
		c.mu.Unlock()
	}
	slices.SortFunc(st.Connections, func(a, b ConnectionState) int { return strings.Compare(a.ID, b.ID) })
	return st
}
