package emulator

import (
	"slices"
	"strings"

	"example.com/webpubsub/internal/emulator/broker"
)

// HubState is the state of a hub at one moment.
type HubState struct {
	// Name is in lower case.
	Name string
	// Connections are those that are open and those that may recover, in the order of
	// their ids.
	Connections []ConnectionState
}

// ConnectionState is the state of a connection at one moment.
type ConnectionState struct {
	ID string
	// UserID is empty for an anonymous client.
	UserID string
	// Subprotocol is the one that was selected; empty for none.
	Subprotocol string
	// Groups are in alphabetical order.
	Groups []string
	// Interrupted reports whether a reliable or MQTT client has lost its WebSocket and
	// may recover.
	Interrupted bool
	// Unacked is the number of messages that the client has not acknowledged.
	Unacked int
}

// State returns the hubs that are in use, in alphabetical order. The
// connections are read one after another, so the result is not one snapshot.
func (s *Server) State() []HubState {
	hubs := s.broker.Hubs()
	out := make([]HubState, 0, len(hubs))
	for _, h := range hubs {
		out = append(out, hubState(h))
	}
	return out
}

func hubState(h *broker.Hub) HubState {
	conns := h.Conns(nil)
	st := HubState{Name: h.Name, Connections: make([]ConnectionState, 0, len(conns))}
	for _, c := range conns {
		status := c.Session.Status()
		st.Connections = append(st.Connections, ConnectionState{
			ID: c.ID, UserID: c.UserID, Subprotocol: c.Subprotocol, Groups: c.Groups(),
			Interrupted: status.Detached, Unacked: status.Unacked,
		})
	}
	slices.SortFunc(st.Connections, func(a, b ConnectionState) int { return strings.Compare(a.ID, b.ID) })
	return st
}
