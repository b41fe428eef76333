package emulator

import (
	"context"
	"fmt"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

// EntryKind is what an [Entry] is about.
type EntryKind string

// The kinds of journal entries.
const (
	EntryConnected    = EntryKind(journal.Connected)    // a client connected
	EntryInterrupted  = EntryKind(journal.Detached)     // a reliable or MQTT client lost its WebSocket and may recover
	EntryRecovered    = EntryKind(journal.Recovered)    // a reliable or MQTT client recovered
	EntryDisconnected = EntryKind(journal.Disconnected) // a connection ended
	EntryRejected     = EntryKind(journal.Rejected)     // a handshake, a frame, a REST call or a file of settings was rejected
	EntryJoined       = EntryKind(journal.Joined)       // a connection joined a group
	EntryLeft         = EntryKind(journal.Left)         // a connection left a group
	EntrySent         = EntryKind(journal.Sent)         // a message was sent, by a client or by REST
	EntryEvent        = EntryKind(journal.Event)        // an event was delivered to an event handler
	EntryEventFailed  = EntryKind(journal.EventFailed)  // an event handler could not be reached or rejected the event
	EntryEventRetried = EntryKind(journal.EventRetried) // an attempt failed and another one follows
	EntryREST         = EntryKind(journal.REST)         // a REST call was served
	EntryReloaded     = EntryKind(journal.Reloaded)     // the file of hub settings had changed
	EntryFault        = EntryKind(journal.Fault)        // an injected fault was applied
	EntryControl      = EntryKind(journal.Control)      // a call of the control API changed something
	EntryTunnelOpened = EntryKind(journal.TunnelOpened) // an event handler opened a tunnel
	EntryTunnelClosed = EntryKind(journal.TunnelClosed) // a tunnel ended
	EntryWarned       = EntryKind(journal.Warned)       // something was accepted that the service may reject
)

// Entry is one entry of the journal, the in-memory log of the last entries, see
// [Options.JournalSize].
type Entry struct {
	// ID counts the entries of an emulator from 1.
	ID   uint64
	Time time.Time
	Kind EntryKind
	// Hub, ConnectionID and UserID are those of the client, empty if the entry is
	// not about a client.
	Hub, ConnectionID, UserID string
	// Name is the group, the event or the REST operation.
	Name string
	// Status is the HTTP status of an event or a REST call, the close code of a
	// connection, or the reason code with which an MQTT packet was rejected; zero if
	// there is none.
	Status int
	// Receivers and Bytes are those of a message.
	Receivers, Bytes int
	// Duration is how long a call took.
	Duration time.Duration
	// Reason names the broken rule and the remedy, or why a connection ended.
	Reason string
}

func publicEntry(e journal.Entry) Entry {
	return Entry{
		ID: e.ID, Time: e.Time, Kind: EntryKind(e.Kind),
		Hub: e.Hub, ConnectionID: e.ConnectionID, UserID: e.UserID,
		Name: e.Name, Status: e.Status, Receivers: e.Receivers, Bytes: e.Bytes, Duration: e.Duration, Reason: e.Reason,
	}
}

// String returns the entry as one readable line, without its time. It contains no
// secrets.
func (e Entry) String() string {
	return journal.Entry{
		Kind: journal.Kind(e.Kind), Hub: e.Hub, ConnectionID: e.ConnectionID, UserID: e.UserID,
		Name: e.Name, Status: e.Status, Receivers: e.Receivers, Bytes: e.Bytes, Duration: e.Duration, Reason: e.Reason,
	}.String()
}

// Journal returns the entries that are kept, oldest first: the newest 1,000, or at
// most [Options.JournalSize].
func (s *Server) Journal() []Entry {
	entries, _ := s.journal.Since(0)
	out := make([]Entry, len(entries))
	for i, e := range entries {
		out[i] = publicEntry(e)
	}
	return out
}

// WaitFor returns the first entry of the journal that match accepts: one of
// those that [Server.Journal] returns, or else the next one to come. It calls
// match once for each entry, and fails with the context's error.
func (s *Server) WaitFor(ctx context.Context, match func(Entry) bool) (Entry, error) {
	e, err := s.journal.WaitFor(ctx, func(e journal.Entry) bool { return match(publicEntry(e)) })
	if err != nil {
		return Entry{}, fmt.Errorf("emulator: %w", err)
	}
	return publicEntry(e), nil
}
