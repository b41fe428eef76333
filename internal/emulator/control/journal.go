package control

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

type entry struct {
	ID           uint64              `json:"id"`
	Time         time.Time           `json:"time"`
	Kind         journal.Kind        `json:"kind"`
	Text         string              `json:"text"`
	Warning      bool                `json:"warning"`
	Cause        uint64              `json:"cause,omitempty"`
	CauseKind    journal.CauseKind   `json:"causeKind,omitempty"`
	Hub          string              `json:"hub,omitempty"`
	ConnectionID string              `json:"connectionId,omitempty"`
	UserID       string              `json:"userId,omitempty"`
	Name         string              `json:"name,omitempty"`
	Status       int                 `json:"status,omitempty"`
	Receivers    *int                `json:"receivers,omitempty"`
	Bytes        *int                `json:"bytes,omitempty"`
	DurationMs   float64             `json:"durationMs,omitempty"`
	Reason       string              `json:"reason,omitempty"`
	Detail       journal.DetailState `json:"detail"`
	Repeats      uint64              `json:"repeats,omitempty"`
	ImportedFrom uint64              `json:"importedFrom,omitempty"`
}

func showEntry(e journal.Entry) entry {
	out := entry{
		ID: e.ID, Time: e.Time.UTC(), Kind: e.Kind, Text: e.String(), Warning: e.Warning(),
		Hub: e.Hub, ConnectionID: e.ConnectionID, UserID: e.UserID, Name: e.Name, Status: e.Status,
		DurationMs: journal.Milliseconds(e.Duration), Reason: e.Reason, Detail: e.DetailState(),
		Repeats: e.Repeats, ImportedFrom: e.ImportedFrom,
	}
	if e.Cause != nil {
		out.Cause, out.CauseKind = e.Cause.ID, e.Cause.Kind
	}
	if e.Kind == journal.Sent {
		out.Receivers, out.Bytes = &e.Receivers, &e.Bytes
	}
	return out
}

type entryPage struct {
	list[entry]
	Instance string      `json:"instance"`
	Journal  journalInfo `json:"journal"`
}

// selection is which entries are asked for.
type selection struct {
	after uint64
	match func(journal.Entry) bool
}

func (c *call) selection() (selection, error) {
	q := c.query
	var s selection
	var cause uint64
	for name, into := range map[string]*uint64{"after": &s.after, "cause": &cause} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.ParseUint(q.Get(name), 10, 63)
		if err != nil {
			return s, invalidf("The parameter %s must be a number, 0 or more.", name)
		}
		*into = n
	}
	warning, err := c.oneOf("warning", "false", "true")
	if err != nil {
		return s, err
	}
	kinds := q["kind"]
	for _, k := range kinds {
		if !slices.Contains(journal.Kinds, journal.Kind(k)) {
			return s, invalidf("The kind %q is unknown.", k)
		}
	}
	found := c.searcher()
	s.match = func(e journal.Entry) bool {
		switch {
		case q.Has("hub") && !strings.EqualFold(e.Hub, q.Get("hub")),
			q.Has("connectionId") && e.ConnectionID != q.Get("connectionId"),
			q.Has("userId") && e.UserID != q.Get("userId"),
			q.Has("name") && e.Name != q.Get("name"),
			cause > 0 && (e.Cause == nil || e.Cause.ID != cause),
			len(kinds) > 0 && !slices.Contains(kinds, string(e.Kind)),
			warning == "true" && !e.Warning():
			return false
		}
		return found(e.String())
	}
	return s, nil
}

// entries returns the entries that are asked for, oldest first.
func (s selection) entries(j *journal.Journal) []journal.Entry {
	all, _ := j.Since(s.after)
	return slices.DeleteFunc(all, func(e journal.Entry) bool { return !s.match(e) })
}

func (c *call) listJournal() error {
	s, err := c.selection()
	if err != nil {
		return err
	}
	if acceptsStream(c.r) {
		return c.stream(s)
	}
	direction, err := c.oneOf("order", "asc", "desc")
	if err != nil {
		return err
	}
	values, next, err := page(c, s.entries(c.Journal), func(e journal.Entry) string { return ordinal(e.ID) }, direction == "desc")
	if err != nil {
		return err
	}
	out := entryPage{list: list[entry]{Value: make([]entry, len(values)), NextLink: next}, Instance: c.instance, Journal: c.journalInfo()}
	for i, e := range values {
		out.Value[i] = showEntry(e)
	}
	return c.answer(out)
}

func (c *call) getEntry() error {
	id, err := c.entryID()
	if err != nil {
		return err
	}
	whole, ok := c.whole(id)
	if !ok {
		return noEntry(id, c.Journal.Stats())
	}
	return c.answer(whole)
}
