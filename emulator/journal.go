package emulator

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Kind says what an [Entry] is about.
type Kind string

// The kinds of journal entries.
const (
	KindConnected    Kind = "connected"     // a client connected
	KindDetached     Kind = "detached"      // a reliable or MQTT client lost its WebSocket and may come back
	KindRecovered    Kind = "recovered"     // a reliable or MQTT client came back
	KindDisconnected Kind = "disconnected"  // a connection ended
	KindRefused      Kind = "refused"       // a handshake, a frame, a REST call or a file of settings was refused
	KindJoined       Kind = "joined"        // a connection joined a group
	KindLeft         Kind = "left"          // a connection left a group
	KindSent         Kind = "sent"          // a message was sent, by a client or by REST
	KindEvent        Kind = "event"         // an event was delivered to an event handler
	KindEventFailed  Kind = "event failed"  // an event handler could not be reached or refused
	KindEventRetried Kind = "event retried" // an attempt failed and another one follows
	KindREST         Kind = "rest"          // a REST call was answered
	KindReloaded     Kind = "reloaded"      // the file of hub settings had changed
	KindFault        Kind = "fault"         // an injected fault happened
)

// Entry is one line of the journal: one thing that happened.
type Entry struct {
	Time time.Time
	Kind Kind
	// Hub, ConnectionID and UserID say whom it concerns; empty where it concerns
	// no one in particular.
	Hub, ConnectionID, UserID string
	// Name is the group, the event or the REST operation.
	Name string
	// Status is the HTTP status of an event or a REST call, the close code of a
	// connection, or the reason code by which an MQTT packet was refused; zero
	// where there is none.
	Status int
	// Receivers and Bytes measure a message.
	Receivers, Bytes int
	// Took is how long a call lasted.
	Took time.Duration
	// Reason names the broken rule and the remedy, or why a connection ended.
	Reason string
}

// warning reports whether the entry is about something that went wrong, or that
// will: a name that REST calls cannot reach.
func (e Entry) warning() bool {
	switch e.Kind {
	case KindRefused, KindEventFailed, KindEventRetried:
		return true
	case KindConnected, KindJoined:
		return e.Reason != ""
	}
	return false
}

// String returns the entry as one readable line, without its time. Nothing
// secret is in it.
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
	if e.Kind == KindSent {
		fmt.Fprintf(&b, ", %d bytes to %d", e.Bytes, e.Receivers)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " -> %d", e.Status)
	}
	if e.Took != 0 {
		fmt.Fprintf(&b, " in %v", e.Took.Round(10*time.Microsecond))
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	return strings.Map(plain, b.String())
}

// plain replaces what would break the line, or speak to a terminal.
func plain(r rune) rune {
	if unicode.IsControl(r) {
		return '\uFFFD'
	}
	return r
}

// journalSize is how many entries are kept.
const journalSize = 1000

// journal keeps the newest entries and hands each to whoever listens. The log
// is made from it, so that there is one account of what happened.
type journal struct {
	clock   *Clock
	logger  *slog.Logger
	observe func(Entry)

	mu      sync.Mutex
	entries []Entry
	added   int           // since the start; entry n is at n % journalSize
	grown   chan struct{} // closed by the next entry; nil if there was one since the last look
}

func (j *journal) add(e Entry) {
	e.Time = j.clock.Now()
	e.Hub, e.Name, e.Reason = clip(e.Hub), clip(e.Name), clip(e.Reason)
	j.mu.Lock()
	if len(j.entries) < journalSize {
		j.entries = append(j.entries, e)
	} else {
		j.entries[j.added%journalSize] = e
	}
	j.added++
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	j.mu.Unlock()
	if j.observe != nil {
		j.observe(e)
	}
	level := slog.LevelDebug
	if e.warning() {
		level = slog.LevelWarn
	}
	if j.logger.Enabled(context.Background(), level) {
		j.logger.LogAttrs(context.Background(), level, e.String(), slog.String("hub", e.Hub), slog.String("connection", e.ConnectionID))
	}
}

// clip bounds what strangers can write into the journal, such as a path. What
// is legal is shorter.
func clip(s string) string {
	const most = 8 << 10
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// since returns the entries that came after the first n, as far as they are
// kept, how many there have been by now, and a channel that the next one closes.
func (j *journal) since(n int) ([]Entry, int, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(n, j.added-len(j.entries), 0)
	var out []Entry
	for i := first; i < j.added; i++ {
		out = append(out, j.entries[i%journalSize])
	}
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return out, j.added, j.grown
}

// Journal returns what happened, oldest first: the newest 1,000 entries.
func (s *Server) Journal() []Entry {
	entries, _, _ := s.journal.since(0)
	return entries
}

// WaitFor returns the first entry of the journal that match accepts: one of
// those that [Server.Journal] returns, or else the next one to come. It calls
// match once for each entry, and fails with the context's error.
func (s *Server) WaitFor(ctx context.Context, match func(Entry) bool) (Entry, error) {
	for n := 0; ; {
		entries, next, grown := s.journal.since(n)
		for _, e := range entries {
			if match(e) {
				return e, nil
			}
		}
		n = next
		select {
		case <-grown:
		case <-ctx.Done():
			return Entry{}, fmt.Errorf("emulator: no such entry has come: %w", context.Cause(ctx))
		}
	}
}
