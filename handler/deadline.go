package handler

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is [context.WithDeadline] put off until somebody wants more
// than the deadline of it. Most callbacks answer without waiting for anything,
// and the timer alone took a third of the time of such an event.
type deadlineContext struct {
	parent   context.Context
	deadline time.Time

	mu     sync.Mutex
	ctx    context.Context // nil until it is wanted
	cancel context.CancelFunc
	ended  bool
}

func withTimeout(parent context.Context, d time.Duration) *deadlineContext {
	return &deadlineContext{parent: parent, deadline: time.Now().Add(d)}
}

// end cancels the context, as the CancelFunc of an ordinary one does.
func (c *deadlineContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// real returns the context that does the work.
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

// Value goes through the real context too: package context itself looks there
// for what it has to cancel.
func (c *deadlineContext) Value(key any) any { return c.real().Value(key) }
