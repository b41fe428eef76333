package handler

import (
	"context"
	"testing"
	"time"
)

// BenchmarkDeadline compares the context of a callback that only looks at the
// deadline with an ordinary one: deadlineContext exists because of the difference.
func BenchmarkDeadline(b *testing.B) {
	parent, cancel := context.WithCancel(b.Context()) // as net/http gives a request one
	defer cancel()
	b.Run("deadlineContext", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx := withTimeout(parent, time.Minute)
			ctx.Deadline()
			ctx.end()
		}
	})
	b.Run("context.WithTimeout", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithTimeout(parent, time.Minute)
			ctx.Deadline()
			cancel()
		}
	})
}
