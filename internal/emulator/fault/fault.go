// Package fault injects faults: the handshake, the reader and the writer of a
// connection apply those of a [Set] at named points.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Point is where a fault is applied. The constants of package emulator document
// the points.
type Point int

// The points.
const (
	AtHandshake Point = iota + 1
	AtRecovery
	AtReceive
	AtSend
)

var points = [...]string{AtHandshake: "handshake", AtRecovery: "recovery", AtReceive: "receive", AtSend: "send"}

func (p Point) known() bool { return AtHandshake <= p && p <= AtSend }

func (p Point) String() string {
	if !p.known() {
		return fmt.Sprintf("Point(%d)", int(p))
	}
	return points[p]
}

// ParsePoint returns the point of that name.
func ParsePoint(s string) (Point, error) {
	for p, name := range points {
		if name != "" && strings.EqualFold(name, s) {
			return Point(p), nil
		}
	}
	return 0, fmt.Errorf("the point %q is not one of handshake, recovery, receive and send", s)
}

// ActionKind is what an [Action] does.
type ActionKind int

// The kinds of actions.
const (
	Reset  ActionKind = iota + 1 // reset the network connection
	Delay                        // wait, and go on
	Stall                        // wait until the fault is removed
	Reject                       // reject a handshake with an HTTP status
	Close                        // close the WebSocket
)

// Action is what a fault does.
type Action struct {
	Kind   ActionKind
	Delay  time.Duration // of Delay
	Code   int           // the HTTP status of Reject, the close code of Close
	Reason string        // of Close
}

// ends reports whether nothing can follow the action.
func (a Action) ends() bool { return a.Kind != Delay && a.Kind != Stall }

func (a Action) String() string {
	switch a.Kind {
	case Reset:
		return "reset connection"
	case Delay:
		return fmt.Sprintf("delay %v", a.Delay)
	case Stall:
		return "stall"
	case Reject:
		return fmt.Sprintf("reject with %d", a.Code)
	case Close:
		return fmt.Sprintf("close with %d", a.Code)
	}
	return "nothing"
}

// Target is whom a fault could be applied to.
type Target struct{ Hub, UserID, ConnectionID string }

// Fault is a fault to inject. The public type of the same name documents the
// fields.
type Fault struct {
	At                        Point
	Do                        Action
	Hub, UserID, ConnectionID string
	Frame                     string
	Skip, Times               int
}

func (f Fault) String() string {
	s := f.Do.String() + " at " + f.At.String()
	if f.Frame != "" {
		s += " of " + f.Frame
	}
	return s
}

// Check returns the rule that the fault breaks, if it does.
func (f Fault) Check() error {
	handshake := f.At == AtHandshake || f.At == AtRecovery
	switch {
	case !f.At.known():
		return errors.New("the point (At) is missing: give AtHandshake, AtRecovery, AtReceive or AtSend")
	case f.Do.Kind < Reset || f.Do.Kind > Close:
		return errors.New("the action is missing: give ResetConnection(), Delay(d), Stall(), RejectHandshake(status), CloseWith(code, reason) or FailRecovery()")
	case f.Do.Kind == Reject && !handshake:
		return errors.New("the action RejectHandshake rejects a handshake: use it at AtHandshake or AtRecovery")
	case f.Do.Kind == Reject && (f.Do.Code < 400 || f.Do.Code > 599):
		return fmt.Errorf("the action RejectHandshake takes an HTTP status from 400 to 599, not %d", f.Do.Code)
	case f.Do.Delay < 0:
		return fmt.Errorf("the action Delay takes a duration of 0 or more, not %v", f.Do.Delay)
	case f.Frame != "" && handshake:
		return errors.New("the field Frame is for AtReceive and AtSend only")
	case f.At == AtHandshake && f.ConnectionID != "":
		return errors.New("a new client has no ConnectionID yet at AtHandshake: use Hub or UserID")
	case f.Skip < 0 || f.Times < 0:
		return errors.New("the fields Skip and Times must not be negative")
	}
	return nil
}

// Matches reports whether the fault selects the target.
func (f *Fault) Matches(t Target) bool {
	return (f.Hub == "" || strings.EqualFold(f.Hub, t.Hub)) &&
		(f.UserID == "" || f.UserID == t.UserID) &&
		(f.ConnectionID == "" || f.ConnectionID == t.ConnectionID)
}
