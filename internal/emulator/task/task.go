// Package task counts the work of an emulator: its goroutines, so that Close
// leaves none behind, and what is in progress, so that a test can wait until
// nothing is.
//
//	var g task.Group
//	if !g.Enter() {
//		return // closed
//	}
//	defer g.Leave()
//	g.Go(func() { ... }) // counted before it starts
//
// Work that follows from other work is counted before that ends. The count is
// therefore zero only when nothing is left to do.
package task

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Group is the work of one emulator. The zero value is ready to use.
//
// Its locks are leaves: nothing is called while one is held.
type Group struct {
	wg   sync.WaitGroup
	busy atomic.Int64

	mu      sync.RWMutex
	closed  bool
	waiting atomic.Bool
	idleMu  sync.Mutex
	idle    chan struct{} // closed when busy gets to zero; nil without a waiter
}

// Enter begins work on a goroutine that the group did not start, such as an HTTP
// handler's. It reports false if the group is closed; otherwise call Leave.
func (g *Group) Enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false
	}
	g.Fork()
	return true
}

// Fork begins work for a goroutine that the caller, itself counted, starts
// next. The goroutine calls Leave when it ends.
func (g *Group) Fork() {
	g.wg.Add(1)
	g.busy.Add(1)
}

// Leave ends what Enter or Fork began.
func (g *Group) Leave() {
	g.End()
	g.wg.Done()
}

// Go runs f on a new goroutine as work. The caller is counted itself.
func (g *Group) Go(f func()) {
	g.Fork()
	go func() {
		defer g.Leave()
		f()
	}()
}

// Background runs f on a goroutine that Wait waits for, but Idle does not: a
// reader that waits for its peer. It brackets what it does by Begin and End.
func (g *Group) Background(f func()) { g.wg.Go(f) }

// Begin counts work of a goroutine that is counted already.
func (g *Group) Begin() { g.busy.Add(1) }

// End ends what Begin began.
func (g *Group) End() {
	if g.busy.Add(-1) > 0 || !g.waiting.Load() {
		return
	}
	g.idleMu.Lock()
	defer g.idleMu.Unlock()
	if g.idle != nil {
		close(g.idle)
		g.idle = nil
		g.waiting.Store(false)
	}
}

// AfterFunc calls f as work after d, unless the timer is stopped or the group is
// closed before.
func (g *Group) AfterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if !g.Enter() {
			return
		}
		defer g.Leave()
		f()
	})
}

// Close makes Enter report false. It reports false if that had happened before.
func (g *Group) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed
	g.closed = true
	return !was
}

// Closed reports whether Close was called.
func (g *Group) Closed() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.closed
}

// Wait returns when every goroutine has ended.
func (g *Group) Wait() { g.wg.Wait() }

// Idle returns when no work is in progress, or with an error when ctx ends.
func (g *Group) Idle(ctx context.Context) error {
	for {
		idle := g.wait()
		n := g.busy.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("not idle, %d operations are in progress: %w", n, context.Cause(ctx))
		}
	}
}

func (g *Group) wait() <-chan struct{} {
	g.idleMu.Lock()
	defer g.idleMu.Unlock()
	if g.idle == nil {
		g.idle = make(chan struct{})
		g.waiting.Store(true)
	}
	return g.idle
}
