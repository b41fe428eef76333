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

// DedupOptions bounds what a [Handler] remembers to recognise retried events.
// The service sends an event again, with the same id, if the response was 408
// or 5xx or was lost: without deduplication a lost response runs the callback
// twice.
//
// A retry is an event that is equal in hub, connection, type, id, user,
// connection state, content type, metadata and body. Headers that a host or a
// proxy adds to each request do not matter. An event that has the id of another
// one and differs in anything else is a different event: ce-signature covers
// the connection id only, so whoever has captured one could otherwise send
// events with the ids that a client's next events will have, and have those
// answered in advance. See SECURITY.md for what this does not prevent.
//
// The memory is that of one process. With several instances a retry may reach
// another one, so a callback that must not run twice still has to be idempotent
// by connection and event id.
type DedupOptions struct {
	// MaxReplies is the number of responses that are remembered. Default: 4096.
	MaxReplies int
	// MaxBytes bounds their memory together. A larger response is not remembered.
	// Default: 16 MiB.
	MaxBytes int
	// TTL is how long a response is remembered. Default: two minutes, which is
	// longer than the service retries.
	TTL time.Duration
}

// maxEventID bounds ce-id, which the service makes a decimal counter.
const maxEventID = 128

// dedupKey identifies one event. It is a hash, so that its size does not depend
// on the event.
type dedupKey [sha256.Size]byte

type dedupEntry struct {
	key     dedupKey
	done    chan struct{}
	reply   reply
	expires time.Time
}

// dedup remembers successful responses, oldest first, and events in flight.
type dedup struct {
	o       DedupOptions
	mu      sync.Mutex
	entries map[dedupKey]*dedupEntry
	oldest  []*dedupEntry
	bytes   int
	timer   bool // runs while oldest is not empty
}

func newDedup(o DedupOptions) (*dedup, error) {
	if o.MaxReplies < 0 || o.MaxBytes < 0 || o.TTL < 0 {
		return nil, errors.New("Options.Dedup: MaxReplies, MaxBytes and TTL must not be negative")
	}
	if o.MaxReplies == 0 {
		o.MaxReplies = 4096
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 16 << 20
	}
	if o.TTL == 0 {
		o.TTL = 2 * time.Minute
	}
	return &dedup{o: o, entries: make(map[dedupKey]*dedupEntry)}, nil
}

// dedupKeyOf returns the key of an event. The physical connection is part of it
// because an MQTT client id, which is the connection id, starts counting again
// with every connection.
func dedupKeyOf(e *Event) (key dedupKey) {
	m := sha256.New()
	for _, s := range [...]string{
		strings.ToLower(e.Hub), e.ConnectionID, e.PhysicalConnectionID, e.SessionID, e.Type, e.ID,
		e.UserID, e.state.header, value(e.header, headerContentType),
	} {
		hashField(m, s)
	}
	if e.more {
		hashMore(m, e.header)
	}
	m.Write(e.body) // the last one, so that its end needs no mark
	m.Sum(key[:0])
	return key
}

// hashMore adds metadata and MQTT properties.
func hashMore(m hash.Hash, header http.Header) {
	var keys []string
	for k := range header {
		if strings.HasPrefix(k, headerMetadata) || strings.HasPrefix(k, headerPrefixMQTT) {
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

// hashField adds a field after its length: "ab" and "c" are not "a" and "bc".
func hashField(m hash.Hash, s string) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
	m.Write(n[:])
	m.Write([]byte(s))
}

// do responds from memory or calls f. If the event is still being handled, its
// retry waits for the same response; if that one fails, the retry calls f
// itself.
func (d *dedup) do(ctx context.Context, e *Event, f func() reply) (out reply, replayed bool) {
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
			if known.reply.status != 0 {
				return known.reply, true
			}
		case <-ctx.Done():
			return refused(refuse(http.StatusServiceUnavailable, "the first delivery of the event is still being handled",
				"the callback takes longer than Options.Timeout or than the service waits: make it return sooner")), false
		}
	}
	// Deferred so that waiters are released even if the callback calls
	// runtime.Goexit.
	defer func() { d.finish(mine, out) }()
	return f(), false
}

func (d *dedup) finish(e *dedupEntry, r reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer close(e.done)
	if success := r.status >= 200 && r.status < 300; !success || r.size() > d.o.MaxBytes {
		delete(d.entries, e.key)
		if success {
			e.reply = r // for those that wait already
		}
		return
	}
	e.reply = r.clone()
	e.expires = time.Now().Add(d.o.TTL)
	d.oldest = append(d.oldest, e)
	d.bytes += r.size()
	d.expire()
	d.startTimer()
}

// startTimer makes responses expire even if no event comes any more.
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

// expire forgets the oldest responses until the limits hold.
func (d *dedup) expire() {
	now := time.Now()
	for len(d.oldest) > 0 {
		e := d.oldest[0]
		if len(d.oldest) <= d.o.MaxReplies && d.bytes <= d.o.MaxBytes && now.Before(e.expires) {
			return
		}
		d.oldest[0] = nil
		d.oldest = d.oldest[1:]
		d.bytes -= e.reply.size()
		delete(d.entries, e.key)
	}
	d.oldest = nil
}
