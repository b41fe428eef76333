// Package network contains the network conditions that an emulator simulates: how slow
// the connections of its clients and the requests to its event handlers are. Packages
// transport and events apply them.
package network

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Conditions are those of one moment. The public type of the same name documents the
// fields.
type Conditions struct {
	Latency, Jitter time.Duration
	Bandwidth       int
	HandlerLatency  time.Duration
}

// MaxDelay is the largest latency and the largest jitter: what takes longer is an
// interruption, for which there are faults.
const MaxDelay = time.Minute

// Check returns the rule that the conditions break, if they do.
func (c Conditions) Check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Latency", c.Latency}, {"Jitter", c.Jitter}, {"HandlerLatency", c.HandlerLatency}} {
		if d.value < 0 || d.value > MaxDelay {
			return fmt.Errorf("network conditions: %s is %v: 0 to %v are allowed", d.name, d.value, MaxDelay)
		}
	}
	if c.Bandwidth < 0 {
		return fmt.Errorf("network conditions: Bandwidth is %d bytes per second: it must not be negative; 0 is no limit", c.Bandwidth)
	}
	return nil
}

// Delay returns how long the next bytes are on their way, a different time for each
// call if there is jitter.
func (c *Conditions) Delay() time.Duration {
	d := c.Latency
	if c.Jitter > 0 {
		d += rand.N(c.Jitter + 1)
	}
	return d
}

// Simulator contains the conditions in force. It is read for every write, without a
// lock.
type Simulator struct {
	initial Conditions
	all     atomic.Pointer[Conditions]
	links   atomic.Pointer[Conditions] // nil if they do not affect links
}

// New returns a simulator of valid conditions.
func New(c Conditions) *Simulator {
	s := &Simulator{initial: c}
	s.set(c)
	return s
}

// Set changes the conditions. It fails, and changes nothing, if they break a rule.
func (s *Simulator) Set(c Conditions) error {
	if err := c.Check(); err != nil {
		return err
	}
	s.set(c)
	return nil
}

func (s *Simulator) set(c Conditions) {
	s.all.Store(&c)
	if c.Latency > 0 || c.Jitter > 0 || c.Bandwidth > 0 {
		s.links.Store(&c)
	} else {
		s.links.Store(nil)
	}
}

// Reset returns to the first conditions.
func (s *Simulator) Reset() { s.set(s.initial) }

// Conditions returns the conditions in force.
func (s *Simulator) Conditions() Conditions { return *s.all.Load() }

// Links returns the conditions in force if they affect links, else nil.
func (s *Simulator) Links() *Conditions { return s.links.Load() }

// HandlerLatency returns how long a request is on its way to an event handler.
func (s *Simulator) HandlerLatency() time.Duration { return s.all.Load().HandlerLatency }
