// Package journal is the in-memory log of an emulator: the one source of its log
// records, its dashboard and the assertions of tests.
package journal

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind is what an [Entry] is about.
type Kind string

// The kinds of entries.
const (
	Connected    Kind = "connected"
	Detached     Kind = "detached"
	Recovered    Kind = "recovered"
	Disconnected Kind = "disconnected"
	Refused      Kind = "refused"
	Joined       Kind = "joined"
	Left         Kind = "left"
	Sent         Kind = "sent"
	Event        Kind = "event"
	EventFailed  Kind = "event failed"
	EventRetried Kind = "event retried"
	REST         Kind = "rest"
	Reloaded     Kind = "reloaded"
	Fault        Kind = "fault"
)

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
}

// Warning reports whether the entry is about something that went wrong, or that
// will: a name that REST calls cannot reach.
func (e Entry) Warning() bool {
	switch e.Kind {
	case Refused, EventFailed, EventRetried:
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
	b.WriteString(string(e.Kind))
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
