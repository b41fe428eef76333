package emulator

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Clock is the emulator's time. A clock made by [NewClock] stands still until
// [Clock.Advance] moves it, so that a test can pass a recovery window or a
// message's time to live without waiting.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer
	real   bool
}

var systemClock = &Clock{real: true}

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	if c.real {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d and runs what has become due, in the order of
// its time, before it returns. Call it from one goroutine at a time. It panics on
// the system's clock.
func (c *Clock) Advance(d time.Duration) {
	if c.real {
		panic("emulator: only a clock made by NewClock can be advanced")
	}
	c.mu.Lock()
	end := c.now.Add(d)
	for len(c.timers) > 0 && !c.timers[0].at.After(end) {
		t := c.timers[0]
		c.timers = c.timers[1:]
		c.now = t.at
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// sleep returns when d has passed, or with ctx's error.
func (c *Clock) sleep(ctx context.Context, d time.Duration) error {
	passed := make(chan struct{})
	t := c.afterFunc(d, func() { close(passed) })
	defer t.stop()
	select {
	case <-passed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// timer is a pending call of a function.
type timer struct {
	clock *Clock
	at    time.Time
	f     func()
	real  *time.Timer
}

// afterFunc calls f, on a goroutine of its own or from Advance, when d has passed.
func (c *Clock) afterFunc(d time.Duration, f func()) *timer {
	if c.real {
		return &timer{real: time.AfterFunc(d, f)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{clock: c, at: c.now.Add(d), f: f}
	i, _ := slices.BinarySearchFunc(c.timers, t, func(a, b *timer) int {
		// A timer goes behind those of the same time: first come, first served.
		if a.at.After(b.at) {
			return 1
		}
		return -1
	})
	c.timers = slices.Insert(c.timers, i, t)
	return t
}

// stop cancels the call and reports whether that was in time.
func (t *timer) stop() bool {
	if t == nil {
		return false
	}
	if t.real != nil {
		return t.real.Stop()
	}
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	i := slices.Index(t.clock.timers, t)
	if i < 0 {
		return false
	}
	t.clock.timers = slices.Delete(t.clock.timers, i, i+1)
	return true
}
