// Package journal is the in-memory log of an emulator: the one source of its log
// records, its dashboard and the assertions of tests.
package journal

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind is what an [Entry] is about. Its text is that of the control API.
type Kind string

// The kinds of entries.
const (
	Connected    Kind = "connected"
	Detached     Kind = "interrupted"
	Recovered    Kind = "recovered"
	Disconnected Kind = "disconnected"
	Rejected     Kind = "rejected"
	Joined       Kind = "joined"
	Left         Kind = "left"
	Sent         Kind = "sent"
	Event        Kind = "event"
	EventFailed  Kind = "eventFailed"
	EventRetried Kind = "eventRetried"
	REST         Kind = "rest"
	Reloaded     Kind = "reloaded"
	Fault        Kind = "fault"
	Control      Kind = "control"
	TunnelOpened Kind = "tunnelOpened"
	TunnelClosed Kind = "tunnelClosed"
	Warned       Kind = "warned"
)

// Kinds are all kinds.
var Kinds = []Kind{
	Connected, Detached, Recovered, Disconnected, Rejected, Joined, Left, Sent,
	Event, EventFailed, EventRetried, REST, Reloaded, Fault, Control, TunnelOpened, TunnelClosed, Warned,
}

// words is the kind as the beginning of a line.
func (k Kind) words() string {
	switch k {
	case EventFailed:
		return "event failed"
	case EventRetried:
		return "event retried"
	case TunnelOpened:
		return "tunnel opened"
	case TunnelClosed:
		return "tunnel closed"
	}
	return string(k)
}

// Entry is one thing that happened. The public type of the same name documents
// the fields.
type Entry struct {
	ID                        uint64 // counts from 1
	Time                      time.Time
	Kind                      Kind
	Hub, ConnectionID, UserID string
	Name                      string
	Status                    int
	Receivers, Bytes          int
	Duration                  time.Duration
	Reason                    string

	// Cause is what the entry follows from; nil if that was not recorded.
	Cause *Cause
	// Detail is what the entry is about, beyond its fields; nil if nothing is kept.
	Detail *Detail
	// Repeats is the id of the entry whose event was replayed, and ImportedFrom the
	// id that an imported entry had; else zero.
	Repeats, ImportedFrom uint64

	stripped bool // its detail was removed
}

// DetailState reports what is kept of an entry's detail.
func (e Entry) DetailState() DetailState {
	switch {
	case e.stripped:
		return DetailDropped
	case e.Detail != nil || e.Cause != nil && e.Cause.recorded.Load():
		return DetailKept
	}
	return DetailNone
}

// Warning reports whether the entry is about something that went wrong, or that
// will: a name that REST calls cannot reach.
func (e Entry) Warning() bool {
	switch e.Kind {
	case Rejected, EventFailed, EventRetried, Warned:
		return true
	case Connected, Joined:
		return e.Reason != ""
	}
	return false
}

// String returns the entry as one line without its time. It contains no secrets
// and no control characters.
func (e Entry) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.words())
	who := e.UserID
	if who == "" {
		who = e.ConnectionID
	} else if e.ConnectionID != "" {
		who += " (" + e.ConnectionID + ")"
	}
	for _, s := range []string{who, e.Name} {
		if s != "" {
			b.WriteString(" ")
			b.WriteString(s)
		}
	}
	if e.Hub != "" {
		b.WriteString(" in ")
		b.WriteString(e.Hub)
	}
	if e.Kind == Sent {
		fmt.Fprintf(&b, ", %d bytes to %d", e.Bytes, e.Receivers)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " -> %d", e.Status)
	}
	if e.Duration != 0 {
		fmt.Fprintf(&b, " in %v", e.Duration.Round(10*time.Microsecond))
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	return strings.Map(printable, b.String())
}

// printable replaces characters that would break the line or control a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return '\uFFFD'
	}
	return r
}
