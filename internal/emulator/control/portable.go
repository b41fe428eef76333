package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

// Limits of an import in bytes. A line has up to six payloads, which take up to six
// times their size in JSON.
const (
	maxImport     = 256 << 20
	maxImportLine = 8 << 20
)

// exportJournal writes entries with their content, one in a line.
func (c *call) exportJournal() error {
	s, err := c.selection()
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.Header().Set("Content-Disposition", `attachment; filename="journal.jsonl"`)
	e := json.NewEncoder(c.w)
	for _, one := range s.entries(c.Journal) {
		whole, ok := c.whole(one.ID)
		if !ok {
			whole = wholeEntry{entry: showEntry(one)} // it was removed in the meantime
		}
		if e.Encode(whole) != nil {
			return nil // the client has disconnected
		}
	}
	return nil
}

// importJournal adds entries that were exported, all or none.
func (c *call) importJournal() error {
	lines := bufio.NewScanner(http.MaxBytesReader(c.w, c.r.Body, maxImport))
	lines.Buffer(make([]byte, 0, 64<<10), maxImportLine)
	var all []wholeEntry
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		e, err := readEntry(lines.Bytes())
		if err != nil {
			return invalidf("Line %d is not an entry of a journal: %v.", n, err)
		}
		all = append(all, e)
	}
	var large *http.MaxBytesError
	switch err := lines.Err(); {
	case errors.As(err, &large), errors.Is(err, bufio.ErrTooLong):
		return &apiError{http.StatusRequestEntityTooLarge, "tooLarge", fmt.Sprintf("The body may have %d bytes, and a line %d.", maxImport, maxImportLine)}
	case err != nil:
		return invalidf("The body cannot be read: %v.", err)
	}
	out := struct {
		Entries int    `json:"entries"`
		First   uint64 `json:"first,omitempty"`
		Last    uint64 `json:"last,omitempty"`
	}{Entries: len(all)}
	causes := make(map[uint64]*journal.Cause)
	ids := make(map[uint64]uint64) // by those in the file
	for i, e := range all {
		cause := causes[e.Cause]
		if cause == nil && e.Cause != 0 {
			cause = c.Journal.Begin(e.CauseKind)
			causes[e.Cause] = cause
		}
		id := c.Journal.Import(e.journal(cause, ids[e.Repeats]))
		ids[e.ID] = id
		if out.Last = id; i == 0 {
			out.First = id
		}
	}
	return c.answer(out)
}

func readEntry(line []byte) (wholeEntry, error) {
	var e wholeEntry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, errors.New(bodyError(err))
	}
	kinds := []journal.CauseKind{"", journal.CauseHandshake, journal.CauseFrame, journal.CauseREST, journal.CauseControl, journal.CauseReplay}
	switch {
	case e.ID == 0:
		return e, errors.New("it has no id")
	case !slices.Contains(journal.Kinds, e.Kind):
		return e, fmt.Errorf("the kind %q is unknown", e.Kind)
	case !slices.Contains(kinds, e.CauseKind):
		return e, fmt.Errorf("the causeKind %q is unknown", e.CauseKind)
	case e.Time.IsZero():
		return e, errors.New("it has no time")
	case len(e.ConnectionID) > maxID || len(e.UserID) > maxID:
		return e, fmt.Errorf("an id has more than %d bytes", maxID)
	}
	return e, nil
}

const maxID = 64 << 10

// journal returns the entry as the journal keeps it.
func (e wholeEntry) journal(cause *journal.Cause, repeats uint64) journal.Entry {
	out := journal.Entry{
		Time: e.Time, Kind: e.Kind, Hub: e.Hub, ConnectionID: e.ConnectionID, UserID: e.UserID,
		Name: e.Name, Status: e.Status, Duration: time.Duration(math.Round(e.DurationMs * float64(time.Millisecond))), Reason: e.Reason,
		Cause: cause, Repeats: repeats, ImportedFrom: e.ID,
	}
	if e.Receivers != nil {
		out.Receivers = *e.Receivers
	}
	if e.Bytes != nil {
		out.Bytes = *e.Bytes
	}
	if e.Content != nil {
		if b, err := json.Marshal(e.Content); err == nil {
			out.Detail = &journal.Detail{Imported: b}
		}
	}
	return out
}
