package journal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Size is the number of entries that are kept.
const Size = 1000

// Journal keeps the newest entries and hands each to its observer and logger.
//
// Its lock is a leaf. Observers are called outside it, and must not be called
// under any other lock: they may query the emulator.
type Journal struct {
	logger  *slog.Logger
	observe func(Entry)

	mu      sync.Mutex
	entries []Entry
	added   uint64        // since the start; entry n is at (n-1) % Size
	grown   chan struct{} // closed by the next entry; nil if nobody waits
}

// New returns an empty journal. observe may be nil.
func New(logger *slog.Logger, observe func(Entry)) *Journal {
	return &Journal{logger: logger, observe: observe}
}

// Add completes the entry by its id and time, and records it.
func (j *Journal) Add(e Entry) {
	e.Time = time.Now()
	e.Hub, e.Name, e.Reason = clip(e.Hub), clip(e.Name), clip(e.Reason)
	j.mu.Lock()
	j.added++
	e.ID = j.added
	if len(j.entries) < Size {
		j.entries = append(j.entries, e)
	} else {
		j.entries[(e.ID-1)%Size] = e
	}
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	j.mu.Unlock()
	if j.observe != nil {
		j.observe(e)
	}
	level := slog.LevelDebug
	if e.Warning() {
		level = slog.LevelWarn
	}
	if j.logger.Enabled(context.Background(), level) {
		j.logger.LogAttrs(context.Background(), level, e.String(), slog.String("hub", e.Hub), slog.String("connection", e.ConnectionID))
	}
}

// clip bounds what an unauthenticated caller can write into the journal, such as
// a path. Valid names are shorter.
func clip(s string) string {
	const limit = 8 << 10
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// Since returns the entries after the one with that id, oldest first, as far as
// they are kept, and the id of the newest entry.
func (j *Journal) Since(id uint64) ([]Entry, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(id, j.added-uint64(len(j.entries)))
	var out []Entry
	for i := first; i < j.added; i++ {
		out = append(out, j.entries[i%Size])
	}
	return out, j.added
}

// Grown returns a channel that is closed when there are entries after the one
// with that id.
func (j *Journal) Grown(id uint64) <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	grown := j.grown
	if j.added > id {
		close(j.grown)
		j.grown = nil
	}
	return grown
}

// WaitFor returns the first entry that match accepts: one of those that are kept,
// or else the next one to come. It calls match once for each entry, and fails
// with the context's error.
func (j *Journal) WaitFor(ctx context.Context, match func(Entry) bool) (Entry, error) {
	for id := uint64(0); ; {
		entries, newest := j.Since(id)
		for _, e := range entries {
			if match(e) {
				return e, nil
			}
		}
		id = newest
		select {
		case <-j.Grown(id):
		case <-ctx.Done():
			return Entry{}, fmt.Errorf("no such entry has come: %w", context.Cause(ctx))
		}
	}
}
