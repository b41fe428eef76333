package handler

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// DedupOptions configures the deduplication of retried events. The service sends an
// event again, with the same ID, if the response was 408 or 5xx or was lost.
// Without deduplication the callback is called again, even if it succeeded and only
// the response was lost.
//
// A retry is an event that is equal in hub, connection, type, ID, user, connection
// state, content type, metadata and body. Headers that a host or proxy adds to each
// request are ignored. An event with the ID of another one and different content is
// a different event: ce-signature covers only the connection ID, so an attacker who
// has captured one could otherwise send events with the IDs of a client's next
// events, which would then be treated as retries. SECURITY.md describes what this
// does not prevent.
//
// Responses are cached in memory, in one process. If several instances run, a retry
// can reach another one, so a callback that must not run twice has to be idempotent
// by connection and event ID.
type DedupOptions struct {
	// MaxEntries is the maximum number of cached responses. Default: 4096.
	MaxEntries int
	// MaxBytes is the maximum memory of all cached responses. A larger response is
	// not cached. Default: 16 MiB.
	MaxBytes int
	// TTL is how long a response is cached. Default: two minutes, which is longer
	// than the service retries.
	TTL time.Duration
}

// dedupKey identifies an event. It is a hash, so that its size does not depend on
// the event.
type dedupKey [sha256.Size]byte

type dedupEntry struct {
	key      dedupKey
	done     chan struct{}
	response response
	expires  time.Time
}

// dedup caches successful responses, oldest first, and contains the events that are
// in progress.
type dedup struct {
	o       DedupOptions
	mu      sync.Mutex
	entries map[dedupKey]*dedupEntry
	oldest  []*dedupEntry
	bytes   int
	timer   bool // runs while oldest is not empty
}

func newDedup(o DedupOptions) (*dedup, error) {
	if o.MaxEntries < 0 || o.MaxBytes < 0 || o.TTL < 0 {
		return nil, errors.New("Options.Dedup: MaxEntries, MaxBytes and TTL must not be negative")
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 4096
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 16 << 20
	}
	if o.TTL == 0 {
		o.TTL = 2 * time.Minute
	}
	return &dedup{o: o, entries: make(map[dedupKey]*dedupEntry)}, nil
}

// dedupKeyOf returns the key of an event. It includes the physical connection,
// because an MQTT client ID is a connection ID whose event IDs start over with every
// connection.
func dedupKeyOf(e *Event) (key dedupKey) {
	m := sha256.New()
	for _, s := range [...]string{
		strings.ToLower(e.Hub), e.ConnectionID, e.PhysicalConnectionID, e.SessionID, e.Type, e.ID,
		e.UserID, e.state.header, value(e.header, headerContentType),
	} {
		hashField(m, s)
	}
	if e.more {
		hashExtra(m, e.header)
	}
	m.Write(e.body) // the last field, which needs no length
	m.Sum(key[:0])
	return key
}

// hashExtra adds metadata and MQTT user properties.
func hashExtra(m hash.Hash, header http.Header) {
	var keys []string
	for k := range header {
		if isExtra(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		for _, v := range header[k] {
			hashField(m, k)
			hashField(m, v)
		}
	}
	hashField(m, "")
}

// hashField adds the length of a field and the field, so that "ab" and "c" differ
// from "a" and "bc".
func hashField(m hash.Hash, s string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
	m.Write(n[:])
	m.Write([]byte(s))
}

// do returns the cached response or calls f. If the event is still being handled,
// its retry waits for that response; if it is a failure, the retry calls f itself.
func (d *dedup) do(ctx context.Context, e *Event, f func() response) (out response, cached bool) {
	if e.ID == "" {
		return f(), false
	}
	key := dedupKeyOf(e)
	var mine *dedupEntry
	for mine == nil {
		d.mu.Lock()
		d.expire()
		known, ok := d.entries[key]
		if !ok {
			mine = &dedupEntry{key: key, done: make(chan struct{})}
			d.entries[key] = mine
		}
		d.mu.Unlock()
		if !ok {
			break
		}
		select {
		case <-known.done:
			if known.response.status != 0 {
				return known.response, true
			}
		case <-ctx.Done():
			return rejectionResponse(reject(http.StatusServiceUnavailable, "the first delivery of the event is still being handled",
				"the callback takes longer than Options.Timeout, or than the service waits: make it return sooner")), false
		}
	}
	// Deferred so that waiters are released even if the callback calls
	// runtime.Goexit.
	defer func() { d.finish(mine, out) }()
	return f(), false
}

func (d *dedup) finish(e *dedupEntry, r response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer close(e.done)
	if success := r.status >= 200 && r.status < 300; !success || r.size() > d.o.MaxBytes {
		delete(d.entries, e.key)
		if success {
			e.response = r // for retries that are waiting
		}
		return
	}
	e.response = r.clone()
	e.expires = time.Now().Add(d.o.TTL)
	d.oldest = append(d.oldest, e)
	d.bytes += r.size()
	d.expire()
	d.startTimer()
}

// startTimer makes responses expire even if no further event is received.
func (d *dedup) startTimer() {
	if d.timer || len(d.oldest) == 0 {
		return
	}
	d.timer = true
	time.AfterFunc(time.Until(d.oldest[0].expires), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.timer = false
		d.expire()
		d.startTimer()
	})
}

// expire removes the oldest responses until the limits are met.
func (d *dedup) expire() {
	now := time.Now()
	for len(d.oldest) > 0 {
		e := d.oldest[0]
		if len(d.oldest) <= d.o.MaxEntries && d.bytes <= d.o.MaxBytes && now.Before(e.expires) {
			return
		}
		d.oldest[0] = nil
		d.oldest = d.oldest[1:]
		d.bytes -= e.response.size()
		delete(d.entries, e.key)
	}
	d.oldest = nil
}
