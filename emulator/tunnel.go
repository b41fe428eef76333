package emulator

import (
	"net/http"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/query"
	"example.com/webpubsub/internal/tunnelwire"
)

// Tunnel is an open tunnel: the connection of an event handler that the emulator
// does not call by address. Event handlers whose URL is tunnel:///path receive
// their events through one of their hub's tunnels. See package tunnel.
type Tunnel struct {
	Hub, ConnectionID string
	// Target is the one of [ReconnectTunnel] or [RebalanceTunnel], if the tunnel was
	// opened because of it.
	Target string
}

// Tunnels returns the open tunnels, by hub and in the order in which they were
// opened.
func (s *Server) Tunnels() []Tunnel {
	var out []Tunnel
	for _, t := range s.tunnels.Tunnels() {
		out = append(out, Tunnel(t))
	}
	return out
}

// ReconnectTunnel asks the client end of a tunnel to replace its connection by a
// new one, with this target. It is for [Server.InjectNow], as are the other actions
// on tunnels: Fault.Hub and ConnectionID select the tunnels.
func ReconnectTunnel(target string) FaultAction {
	return FaultAction{tunnel: &tunnelwire.Reconnect{Redirect: tunnelwire.Redirect{Target: target, Message: "a fault"}}}
}

// RebalanceTunnel asks the client end of a tunnel to open one more connection, with
// this target.
func RebalanceTunnel(target string) FaultAction {
	return FaultAction{tunnel: &tunnelwire.Rebalance{Redirect: tunnelwire.Redirect{Target: target, Message: "a fault"}}}
}

// CloseTunnel asks the client end of a tunnel to close the connection and to open no
// other.
func CloseTunnel(message string) FaultAction {
	return FaultAction{tunnel: &tunnelwire.Close{Message: message}}
}

// ResetTunnel drops the connection of a tunnel, as a lost network would.
func ResetTunnel() FaultAction { return FaultAction{tunnel: resetTunnel} }

// resetTunnel is not sent: it marks the action that drops a connection.
var resetTunnel = &tunnelwire.Unknown{}

func (s *Server) injectTunnels(f Fault) int {
	in := fault.Fault{Hub: f.Hub, ConnectionID: f.ConnectionID}
	n := 0
	for _, t := range s.tunnels.Tunnels() {
		if !in.Matches(fault.Target{Hub: t.Hub, ConnectionID: t.ConnectionID}) {
			continue
		}
		s.journal.Add(journal.Entry{Kind: journal.Fault, Hub: t.Hub, ConnectionID: t.ConnectionID, Name: f.Action.String()})
		act := func() error { return s.tunnels.Send(t.ConnectionID, f.Action.tunnel) }
		if f.Action.tunnel == resetTunnel {
			act = func() error { return s.tunnels.Drop(t.ConnectionID) }
		}
		if act() == nil {
			n++
		}
	}
	return n
}

func (s *Server) wireTunnels() {
	entry := func(kind journal.Kind) func(tunnels.Info, string) {
		return func(t tunnels.Info, why string) {
			s.journal.Add(journal.Entry{Kind: kind, Hub: t.Hub, ConnectionID: t.ConnectionID, Reason: why})
		}
	}
	s.tunnels = tunnels.New(tunnels.Options{
		REST:   func(string) http.Handler { return http.HandlerFunc(s.tunneledREST) },
		Opened: entry(journal.TunnelOpened),
		Closed: entry(journal.TunnelClosed),
	})
}

// tunneledREST serves a REST call that came through a tunnel. The tunnel is the
// authority: it was opened with an access key or an identity of the service.
func (s *Server) tunneledREST(w http.ResponseWriter, r *http.Request) {
	if !s.tasks.Enter() {
		http.Error(w, "the emulator is closing", http.StatusServiceUnavailable)
		return
	}
	defer s.tasks.Leave()
	s.rest.ServeHTTP(w, r.WithContext(access.WithAuthority(r.Context())))
}

// serveTunnel accepts or rejects a tunnel client. The statuses with which the service
// rejects one are not documented; these are those of its other endpoints.
func (s *Server) serveTunnel(w http.ResponseWriter, r *http.Request) {
	q := query.Parse(r.URL.RawQuery)
	hub := q.Get("hub")
	status, why := 0, ""
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		status, why = http.StatusBadRequest, "not a WebSocket handshake: "+tunnelwire.Path+" is for tunnel clients, such as webpubsub tunnel"
	case s.access.CheckOrigin(r) != "":
		status, why = http.StatusForbidden, s.access.CheckOrigin(r)
	case names.Hub(hub) != nil:
		status, why = http.StatusBadRequest, names.Hub(hub).Error()
	default:
		if why = s.access.Tunnel(r); why != "" {
			status = http.StatusUnauthorized
		}
	}
	if status != 0 {
		s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: "tunnel", Hub: hub, Status: status, Reason: why})
		http.Error(w, why, status)
		return
	}
	s.tunnels.Accept(w, r, hub)
}
