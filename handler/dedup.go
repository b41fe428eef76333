package handler

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// DedupOptions bounds what a [Handler] remembers to recognise repeated events.
// The service repeats an event with the same id when the answer was 408 or 5xx,
// or got lost on the way: without memory a lost answer runs the callback twice.
//
// The memory is that of one process. Where several instances run, a repeated
// event may reach another one, so a callback that must not run twice still has
// to be idempotent by connection and event id.
type DedupOptions struct {
	// MaxReplies is how many answers are remembered. Zero means 4096.
	MaxReplies int
	// MaxBytes bounds them together. Zero means 16 MiB. A larger answer is not
	// remembered.
	MaxBytes int
	// TTL is how long an answer is remembered. Zero means two minutes, which is
	// longer than the service repeats.
	TTL time.Duration
}

// dedupKey identifies one event. The physical connection is part of it because
// an MQTT client id, which is the connection id, starts counting again with
// every connection.
type dedupKey struct{ hub, connection, physical, session, typ, id string }

type dedupEntry struct {
	key     dedupKey
	done    chan struct{}
	reply   reply
	expires time.Time
}

// dedup remembers successful answers, oldest first, and events in flight.
type dedup struct {
	o       DedupOptions
	mu      sync.Mutex
	entries map[dedupKey]*dedupEntry
	oldest  []*dedupEntry
	bytes   int
}

func newDedup(o DedupOptions) *dedup {
	if o.MaxReplies <= 0 {
		o.MaxReplies = 4096
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 16 << 20
	}
	if o.TTL <= 0 {
		o.TTL = 2 * time.Minute
	}
	return &dedup{o: o, entries: make(map[dedupKey]*dedupEntry)}
}

func dedupKeyOf(e *Event) dedupKey {
	return dedupKey{strings.ToLower(e.Hub), e.ConnectionID, e.PhysicalConnectionID, e.SessionID, e.Type, e.ID}
}

// do answers from memory or calls f. An event that is still being handled makes
// its repetition wait for the same answer; if that one fails, the repetition
// runs f itself.
func (d *dedup) do(ctx context.Context, key dedupKey, f func() reply) (out reply, replayed bool) {
	if key.id == "" {
		return f(), false
	}
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
			return reply{status: http.StatusServiceUnavailable}, true
		}
	}
	// Deferred, so that a callback that ends its goroutine leaves nobody waiting.
	defer func() { d.finish(mine, out) }()
	return f(), false
}

func (d *dedup) finish(e *dedupEntry, r reply) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if success := r.status >= 200 && r.status < 300; success {
		e.reply = r
	}
	if e.reply.status == 0 || r.size() > d.o.MaxBytes {
		delete(d.entries, e.key)
	} else {
		e.expires = time.Now().Add(d.o.TTL)
		d.oldest = append(d.oldest, e)
		d.bytes += r.size()
		d.expire()
	}
	close(e.done)
}

// expire forgets the oldest answers until the limits hold.
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
}
