package journal_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"example.com/webpubsub/internal/emulator/journal"
)

func TestTheNewestEntriesAreKept(t *testing.T) {
	observed := 0
	j := journal.New(slog.New(slog.DiscardHandler), func(journal.Entry) { observed++ })
	for range journal.Size + 5 {
		j.Add(journal.Entry{Kind: journal.Sent})
	}
	all, newest := j.Since(0)
	if len(all) != journal.Size || all[0].ID != 6 || newest != journal.Size+5 || observed != journal.Size+5 {
		t.Errorf("%d entries from %d, newest %d, %d observed", len(all), all[0].ID, newest, observed)
	}
	if last, _ := j.Since(newest - 2); len(last) != 2 || last[1].ID != newest {
		t.Errorf("the last two: %v", last)
	}
	if none, _ := j.Since(newest); len(none) != 0 {
		t.Errorf("after the newest: %v", none)
	}
}

// A user id with a line break could otherwise forge a log record, and a path of
// a megabyte would fill the log.
func TestForeignTextIsOneBoundedLine(t *testing.T) {
	var log bytes.Buffer
	j := journal.New(slog.New(slog.NewTextHandler(&log, nil)), nil)
	j.Add(journal.Entry{Kind: journal.Rejected, UserID: "a\nlevel=ERROR", Name: strings.Repeat("é", 1<<20), Reason: "\x1b[2J"})
	if n := strings.Count(log.String(), "\n"); n != 1 || log.Len() > 20<<10 || strings.Contains(log.String(), "\x1b") {
		t.Errorf("%d lines, %d bytes", n, log.Len())
	}
}
