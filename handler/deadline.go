package handler

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is a [context.WithDeadline] that is created when more than its
// deadline is needed. Most callbacks do not wait for anything, and creating the
// timer took a third of the time of such an event: see BenchmarkDeadline.
type deadlineContext struct {
	parent   context.Context
	deadline time.Time

	mu     sync.Mutex
	ctx    context.Context // nil until it is needed
	cancel context.CancelFunc
	ended  bool
}

func withTimeout(parent context.Context, d time.Duration) *deadlineContext {
	return &deadlineContext{parent: parent, deadline: time.Now().Add(d)}
}

// end cancels the context, as a [context.CancelFunc] does.
func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// real returns the underlying context and creates it if necessary.
func (c *deadlineContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithDeadline(c.parent, c.deadline)
		if c.ended {
			c.cancel()
		}
	}
	return c.ctx
}

// Deadline returns the earlier of the two deadlines.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

func (c *deadlineContext) Done() <-chan struct{} { return c.real().Done() }
func (c *deadlineContext) Err() error            { return c.real().Err() }

// Value uses the underlying context, because package context looks up in it which
// context to cancel.
func (c *deadlineContext) Value(key any) any { return c.real().Value(key) }
