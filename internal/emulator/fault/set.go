package fault

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Set is the faults in force.
//
// The list is replaced, never changed in place: it is read on every frame,
// without a lock, and is nil if there are no faults.
type Set struct {
	ctx      context.Context
	observed func(Fault, Target)

	list   atomic.Pointer[[]*Injected]
	mu     sync.Mutex // of those who replace it
	lastID int
}

// NewSet returns an empty set. ctx ends every wait; observed is called each time
// a fault is applied.
func NewSet(ctx context.Context, observed func(Fault, Target)) *Set {
	return &Set{ctx: ctx, observed: observed}
}

// Injected is a fault in force.
type Injected struct {
	Fault
	ID      int
	set     *Set
	removed chan struct{}

	mu      sync.Mutex
	skipped int
	hits    int
}

// Inject puts a fault in force until it is removed. It fails if the fault breaks
// a rule.
func (s *Set) Inject(f Fault) (*Injected, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	in := &Injected{Fault: f, set: s, removed: make(chan struct{})}
	s.change(func(list []*Injected) []*Injected {
		s.lastID++
		in.ID = s.lastID
		return append(list, in)
	})
	return in, nil
}

// List returns the faults in force in the order of their injection.
func (s *Set) List() []*Injected {
	if list := s.list.Load(); list != nil {
		return slices.Clone(*list)
	}
	return nil
}

// Active reports whether there are faults in force.
func (s *Set) Active() bool { return s.list.Load() != nil }

func (s *Set) change(change func([]*Injected) []*Injected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := change(s.List())
	if len(list) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&list)
}

// Remove ends the fault. What it delays continues immediately.
func (in *Injected) Remove() {
	in.set.change(func(list []*Injected) []*Injected {
		if i := slices.Index(list, in); i >= 0 {
			list = slices.Delete(list, i, i+1)
			close(in.removed)
		}
		return list
	})
}

// Hits returns how often the fault has been applied.
func (in *Injected) Hits() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hits
}

// fires reports whether the fault is to be applied now, and counts.
func (in *Injected) fires(at Point, frame string, t Target) bool {
	if in.At != at || in.Frame != "" && in.Frame != frame || !in.Matches(t) {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.skipped < in.Skip {
		in.skipped++
		return false
	}
	if in.Times > 0 && in.hits == in.Times {
		return false
	}
	in.hits++
	return true
}

// Apply applies the delays of the faults that are due at the point, and returns the
// action that ends the connection, if there is one. A delay ends when gone is closed.
func (s *Set) Apply(at Point, frame string, t Target, gone <-chan struct{}) (do Action, ends bool) {
	list := s.list.Load()
	if list == nil {
		return Action{}, false
	}
	for _, in := range *list {
		if !in.fires(at, frame, t) {
			continue
		}
		s.observed(in.Fault, t)
		if in.Do.ends() {
			return in.Do, true
		}
		in.wait(gone)
	}
	return Action{}, false
}

func (in *Injected) wait(gone <-chan struct{}) {
	var passed <-chan time.Time // nil, for a stall: never
	if in.Do.Kind == Delay {
		t := time.NewTimer(in.Do.Delay)
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-passed:
	case <-in.removed:
	case <-gone:
	case <-in.set.ctx.Done():
	}
}
