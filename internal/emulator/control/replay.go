package control

import (
	"errors"
	"net/http"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/upstream"
)

// replay sends the event of an entry to its event handler again.
func (c *call) replay() error {
	id, err := c.entryID()
	if err != nil {
		return err
	}
	e, _, _, ok := c.Journal.Get(id)
	if !ok {
		return noEntry(id, c.Journal.Stats())
	}
	conflict := func(why string) error { return &apiError{http.StatusConflict, "conflict", why} }
	switch {
	case e.Kind != journal.Event && e.Kind != journal.EventFailed:
		return conflict("Only the entries of the kinds event and eventFailed can be replayed.")
	case e.ImportedFrom != 0:
		return conflict("An imported entry cannot be replayed: its event belongs to another emulator.")
	case e.Detail == nil:
		return conflict("The event is not kept any more: details of newer entries have taken its place.")
	case e.Detail.Event == nil:
		return conflict("The event was too large to be kept whole.")
	}
	start := time.Now()
	r, entry, err := c.Events.Replay(c.r.Context(), *e.Detail.Event, id, c.by)
	if errors.Is(err, upstream.ErrNoHandler) {
		return conflict("No event handler is configured for the event now.")
	}
	out := struct {
		Entry      uint64  `json:"entry"`
		Status     int     `json:"status,omitempty"`
		Error      string  `json:"error,omitempty"`
		DurationMs float64 `json:"durationMs"`
	}{Entry: entry, Status: r.Status, DurationMs: journal.Milliseconds(time.Since(start))}
	if err != nil {
		out.Error = err.Error()
	}
	return c.answer(out)
}
