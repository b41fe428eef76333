// Package testlog collects what a program logs or prints, for tests that read it while
// it runs.
package testlog

import (
	"log/slog"
	"strings"
	"sync"
)

// Buffer collects log records, or the output of a program, as text. Its methods can
// be called concurrently.
type Buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write appends to the buffer.
func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written.
func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Logger returns a logger that writes records of all levels to the buffer.
func (l *Buffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
