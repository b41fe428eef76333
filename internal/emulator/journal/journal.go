package journal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/clip"
)

// Size is the number of entries that are kept unless another one is set.
const Size = 1000

// Journal keeps the newest entries and hands each to its observer and logger.
//
// Its lock is a leaf. Observers are called outside it, and must not be called
// under any other lock: they may query the emulator.
type Journal struct {
	logger    *slog.Logger
	observe   func(Entry)
	size      int
	maxDetail int // bytes of details; 0: none are kept
	causes    atomic.Uint64

	mu      sync.Mutex
	entries []Entry       // a ring: entry n is at (n-1-base) % size
	base    uint64        // id of the last entry before the last reset
	added   uint64        // id of the newest entry
	resets  int           // since the start
	grown   chan struct{} // closed by the next entry; nil if there is no waiter

	detailBytes     int    // of the entries that are kept
	nextStrip       uint64 // id of the oldest entry whose detail may be kept
	detailsStripped uint64 // since the last reset
}

// New returns an empty journal of [Size] entries without details. observe may be
// nil.
func New(logger *slog.Logger, observe func(Entry)) *Journal {
	return &Journal{logger: logger, observe: observe, size: Size, nextStrip: 1}
}

// Limit sets the number of entries that are kept, and the memory in bytes that
// their details may take. Without memory for details, causes are not recorded.
// Call it before the first entry.
func (j *Journal) Limit(entries, detailBytes int) { j.size, j.maxDetail = entries, detailBytes }

// Detailed reports whether details are kept.
func (j *Journal) Detailed() bool { return j.maxDetail > 0 }

// Begin returns a new cause of entries, or nil if details are not kept.
func (j *Journal) Begin(kind CauseKind) *Cause {
	if j.maxDetail == 0 {
		return nil
	}
	return &Cause{ID: j.causes.Add(1), Kind: kind, journal: j}
}

// Add completes the entry by its id and time, and records it. It returns the id.
func (j *Journal) Add(e Entry) uint64 {
	e.Time = time.Now()
	e = j.add(e)
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
	return e.ID
}

// Import records an entry that another journal made, with its time. It is neither
// observed nor logged.
func (j *Journal) Import(e Entry) uint64 { return j.add(e).ID }

func (j *Journal) add(e Entry) Entry {
	e.Hub, e.Name, e.Reason = bounded(e.Hub), bounded(e.Name), bounded(e.Reason)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.added++
	e.ID = j.added
	if len(j.entries) < j.size {
		j.entries = append(j.entries, e)
	} else {
		at := j.at(e.ID)
		j.release(at)
		*at = e
	}
	if e.Detail != nil || e.Cause != nil {
		j.detailBytes += e.Detail.size()
		if c := e.Cause; c != nil {
			if c.entries == 0 {
				j.detailBytes += c.size
			}
			c.entries++
		}
		j.strip()
	}
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	return e
}

// at returns the place of an entry. The lock must be held.
func (j *Journal) at(id uint64) *Entry { return &j.entries[(id-1-j.base)%uint64(j.size)] }

// oldest returns the id of the oldest entry that is kept; if there is none, that
// of the next. The lock must be held.
func (j *Journal) oldest() uint64 { return j.added - uint64(len(j.entries)) + 1 }

// release ends the use that an entry makes of the memory for details. It reports
// whether it did. The lock must be held.
func (j *Journal) release(e *Entry) bool {
	if e.stripped || e.Detail == nil && e.Cause == nil {
		return false
	}
	j.detailBytes -= e.Detail.size()
	if c := e.Cause; c != nil {
		if c.entries--; c.entries == 0 {
			j.detailBytes -= c.size
		}
	}
	return true
}

// strip removes the oldest details until the rest fits. The lock must be held.
func (j *Journal) strip() {
	for ; j.detailBytes > j.maxDetail && j.nextStrip <= j.added; j.nextStrip++ {
		if j.nextStrip < j.oldest() {
			j.nextStrip = j.oldest()
		}
		e := j.at(j.nextStrip)
		had := e.DetailState() == DetailKept
		if !j.release(e) {
			continue
		}
		e.Detail = nil
		if c := e.Cause; c != nil { // what it recorded is for the other entries with it
			e.Cause = &Cause{ID: c.ID, Kind: c.Kind}
		}
		if e.stripped = true; had {
			j.detailsStripped++
		}
	}
}

// Reset removes all entries. Ids continue.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.entries {
		j.release(&j.entries[i])
	}
	j.entries, j.base, j.nextStrip = nil, j.added, j.added+1
	j.detailsStripped = 0
	j.resets++
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// Stats describes a journal at one moment.
type Stats struct {
	Oldest, Newest  uint64 // ids; Oldest is 0 if there is no entry
	Entries         int
	MaxEntries      int
	Dropped         uint64 // entries, since the last reset
	DetailBytes     int
	MaxDetailBytes  int
	DetailsStripped uint64 // since the last reset
	Resets          int
}

// Stats returns what is kept and what was dropped.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := Stats{
		Newest: j.added, Entries: len(j.entries), MaxEntries: j.size,
		Dropped:     j.added - j.base - uint64(len(j.entries)),
		DetailBytes: j.detailBytes, MaxDetailBytes: j.maxDetail, DetailsStripped: j.detailsStripped,
		Resets: j.resets,
	}
	if s.Entries > 0 {
		s.Oldest = j.oldest()
	}
	return s
}

// bounded bounds what an unauthenticated caller can write into the journal, such as
// a path. Valid names are shorter.
func bounded(s string) string { return clip.Text(s, 8<<10) }

// Since returns the entries after the one with that id, oldest first, as far as
// they are kept, and the id of the newest entry.
func (j *Journal) Since(id uint64) ([]Entry, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := max(id+1, j.oldest())
	if first > j.added {
		return nil, j.added
	}
	out := make([]Entry, 0, j.added-first+1)
	for i := first; i <= j.added; i++ {
		out = append(out, *j.at(i))
	}
	return out, j.added
}

// Get returns an entry, with the frame and the request of its cause, if it is kept.
func (j *Journal) Get(id uint64) (e Entry, frame *Frame, request *Exchange, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id < j.oldest() || id > j.added {
		return Entry{}, nil, nil, false
	}
	e = *j.at(id)
	if e.Cause != nil && !e.stripped {
		frame, request = e.Cause.frame, e.Cause.request
	}
	return e, frame, request, true
}

// Grown returns a channel that is closed when there are entries after the one
// with that id, or when the journal is reset.
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
			return Entry{}, fmt.Errorf("no such entry was added: %w", context.Cause(ctx))
		}
	}
}
