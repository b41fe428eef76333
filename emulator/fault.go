package emulator

import (
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/endpoint"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/tunnelwire"
)

// FaultPoint is where a [Fault] is applied.
type FaultPoint int

const (
	// AtHandshake is after the access token of a new client was accepted, and
	// before its connect event.
	AtHandshake = FaultPoint(fault.AtHandshake)
	// AtRecovery is the handshake of a reliable client that recovers.
	AtRecovery = FaultPoint(fault.AtRecovery)
	// AtReceive is before a client's message is processed. A message at which the
	// connection is reset or closed at this point is not processed.
	AtReceive = FaultPoint(fault.AtReceive)
	// AtSend is before a frame is written to a client. At this point the operation
	// has completed, but the client does not receive the frame.
	AtSend = FaultPoint(fault.AtSend)
)

func (p FaultPoint) String() string { return fault.Point(p).String() }

// FaultAction is what a [Fault] does: use [ResetConnection], [Delay], [Stall],
// [RejectHandshake], [CloseWith] or [FailRecovery], or one of the actions on tunnels:
// [ReconnectTunnel], [RebalanceTunnel], [CloseTunnel] and [ResetTunnel].
type FaultAction struct {
	action fault.Action
	tunnel tunnelwire.Message // of an action on tunnels
}

func (a FaultAction) String() string {
	switch a.tunnel.(type) {
	case nil:
		return a.action.String()
	case *tunnelwire.Reconnect:
		return "reconnect tunnel"
	case *tunnelwire.Rebalance:
		return "rebalance tunnel"
	case *tunnelwire.Close:
		return "close tunnel"
	}
	return "reset tunnel"
}

// ResetConnection resets the network connection, as a lost network would: what
// the client has not read yet may be lost too. A reliable client can recover.
func ResetConnection() FaultAction { return FaultAction{action: fault.Action{Kind: fault.Reset}} }

// Delay waits, and continues. At [AtSend] it makes a slow client: each frame takes
// that long.
func Delay(d time.Duration) FaultAction {
	return FaultAction{action: fault.Action{Kind: fault.Delay, Delay: d}}
}

// Stall waits until the fault is removed. At [AtSend] it makes a client that
// does not read, at [AtReceive] an emulator that does not.
func Stall() FaultAction { return FaultAction{action: fault.Action{Kind: fault.Stall}} }

// RejectHandshake rejects a handshake with the HTTP status, 400 to 599.
func RejectHandshake(status int) FaultAction {
	return FaultAction{action: fault.Action{Kind: fault.Reject, Code: status}}
}

// CloseWith closes with the close code and reason, and ends the connection; at
// [AtRecovery] only the attempt fails, and the connection remains. A handshake
// succeeds first, because a WebSocket cannot be closed before.
func CloseWith(code int, reason string) FaultAction {
	return FaultAction{action: fault.Action{Kind: fault.Close, Code: code, Reason: reason}}
}

// FailRecovery closes with the code that makes a reliable client open a new
// connection. It is for [AtRecovery].
func FailRecovery() FaultAction {
	return CloseWith(websocket.ClosePolicyViolation, endpoint.NotRecovered)
}

// Fault is an error to inject, to test how a client handles it. See
// [Server.Inject] and [Server.InjectNow].
type Fault struct {
	// At is where it is applied.
	At FaultPoint
	// Action is what happens.
	Action FaultAction
	// Hub, UserID and ConnectionID select the clients. A new client has no
	// connection id before its handshake is over. Default: all.
	Hub, UserID, ConnectionID string
	// Frame, at AtReceive and AtSend, is the type of the frames that it is applied
	// to, as in the client protocol: "sendToGroup", "event", "ack", "message",
	// "connected", "groupState" and so on. What a simple client sends and receives
	// is a "message". The frames of MQTT are its packets except CONNECT, by the names
	// of the specification: "PUBLISH", "PUBACK" and so on. WebSocket control frames
	// are never selected. Default: every frame.
	Frame string
	// Skip is the number of times that it is skipped first, and Times how often it is
	// then applied. Default: from the first time on, always.
	Skip, Times int
}

func (f Fault) internal() fault.Fault {
	return fault.Fault{
		At: fault.Point(f.At), Do: f.Action.action, Hub: f.Hub, UserID: f.UserID, ConnectionID: f.ConnectionID,
		Frame: f.Frame, Skip: f.Skip, Times: f.Times,
	}
}

func (f Fault) String() string { return f.internal().String() }

// InjectedFault is a [Fault] in force.
type InjectedFault struct{ injected *fault.Injected }

// Inject applies a fault until it is removed. If several match, they are applied
// in the order in which they were injected, up to one that resets, closes or
// rejects. Each is an entry in the journal.
//
// It panics if the fault is invalid: an action that the point does not support.
func (s *Server) Inject(f Fault) *InjectedFault {
	if f.Action.tunnel != nil {
		panic("emulator: Inject: actions on tunnels are for InjectNow")
	}
	in, err := s.faults.Inject(f.internal())
	if err != nil {
		panic("emulator: Inject: " + err.Error())
	}
	return &InjectedFault{in}
}

// Remove ends the fault. Clients that it delays continue immediately.
func (f *InjectedFault) Remove() { f.injected.Remove() }

// Count returns how often the fault has been applied.
func (f *InjectedFault) Count() int { return f.injected.Hits() }

// InjectNow applies f.Action, a [ResetConnection] or [CloseWith] action,
// immediately to all matching connections with a WebSocket, or an action on tunnels
// to all matching tunnels, and returns their number. It ignores f.At, Frame, Skip and
// Times.
func (s *Server) InjectNow(f Fault) int {
	if f.Action.tunnel != nil {
		return s.injectTunnels(f)
	}
	in := f.internal()
	if in.Do.Kind != fault.Reset && in.Do.Kind != fault.Close {
		panic("emulator: InjectNow: Action must be ResetConnection(), CloseWith(code, reason) or an action on tunnels")
	}
	if !s.tasks.Enter() {
		return 0
	}
	defer s.tasks.Leave()
	n := 0
	for _, c := range s.broker.Conns() {
		if !in.Matches(fault.Target{Hub: c.Hub.Name, UserID: c.UserID, ConnectionID: c.ID}) || c.Session.Status().Detached {
			continue
		}
		c.Journal(journal.Entry{Kind: journal.Fault, Name: in.Do.String()})
		if in.Do.Kind == fault.Close {
			c.Session.Close(in.Do.Code, in.Do.Reason, "a fault closed the connection", nil)
		} else {
			c.Session.Drop("a fault reset the connection", nil)
		}
		n++
	}
	return n
}
