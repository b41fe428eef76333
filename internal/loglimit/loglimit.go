// Package loglimit bounds the number of log records that a flood of requests
// causes. Without a bound, any caller of a public URL can fill the disk of the log.
//
//	l := loglimit.New(func(key string, n int) {
//		log.Warn("similar requests were rejected", "hint", key, "count", n)
//	})
//	if l.Allow(hint) {
//		log.Warn("request rejected", "hint", hint, …)
//	}
package loglimit

import (
	"sync"
	"time"
)

const (
	// Burst is the number of records per key and [Interval] that are logged.
	Burst = 10
	// Interval begins with the first record of a key.
	Interval = 10 * time.Second
	// MaxKeys bounds the keys of one Limiter. Records of further keys are
	// counted together, under the key "".
	MaxKeys = 64
)

// Limiter decides which records are logged. It may be used by several
// goroutines.
type Limiter struct {
	report func(key string, suppressed int)

	mu     sync.Mutex
	counts map[string]int // records in the current interval of each key
}

// New returns a Limiter that calls report at the end of an interval in which
// records of a key were suppressed, with their number. report may be called
// concurrently.
func New(report func(key string, suppressed int)) *Limiter {
	return &Limiter{report: report, counts: make(map[string]int)}
}

// Allow reports whether a record is to be logged. Records with the same key are
// about the same thing; a key should not contain text of a request.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key] == 0 && len(l.counts) >= MaxKeys {
		key = ""
	}
	if l.counts[key] == 0 {
		time.AfterFunc(Interval, func() { l.end(key) })
	}
	l.counts[key]++
	return l.counts[key] <= Burst
}

// end ends the interval of a key.
func (l *Limiter) end(key string) {
	l.mu.Lock()
	suppressed := l.counts[key] - Burst
	delete(l.counts, key)
	l.mu.Unlock()
	if suppressed > 0 {
		l.report(key, suppressed)
	}
}
