package emulator

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// activity counts what the emulator is doing at the moment. What follows from
// something begins before that ends, so the count is zero only when nothing
// is left to do.
type activity struct {
	n       atomic.Int64
	waiting atomic.Bool

	mu   sync.Mutex
	idle chan struct{} // closed when n gets to zero; nil while nobody waits
}

func (a *activity) begin() { a.n.Add(1) }

func (a *activity) end() {
	if a.n.Add(-1) > 0 || !a.waiting.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle != nil {
		close(a.idle)
		a.idle = nil
		a.waiting.Store(false)
	}
}

func (a *activity) wait() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle == nil {
		a.idle = make(chan struct{})
		a.waiting.Store(true)
	}
	return a.idle
}

// WaitIdle returns when the emulator has nothing to do: no REST call and no
// handshake is in progress, no client's message is being carried out, no event
// is being delivered, and nothing waits to be written to a client. After it, a
// test can assert that nothing more comes.
//
// It knows nothing of what it has not read: a client's message may still be on
// its way, and an event handler may be about to call the REST API. Wait for an
// ack, or for the answer of the call, first. What is kept for a client that may
// come back does not count, and neither do timers.
//
// It fails with the context's error when that ends first, as it does where a
// client does not read, or a [Fault] holds something up.
func (s *Server) WaitIdle(ctx context.Context) error {
	for {
		idle := s.busy.wait()
		n := s.busy.n.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("emulator: not idle, %d things are in progress: %w", n, context.Cause(ctx))
		}
	}
}

// work runs f on a goroutine that Close and WaitIdle wait for.
func (s *Server) work(f func()) {
	s.busy.begin()
	s.tasks.Go(func() {
		defer s.busy.end()
		f()
	})
}

// enter counts a piece of work that Close and WaitIdle wait for. It reports
// false where the server is closed; otherwise the caller ends it with leave.
func (s *Server) enter() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.tasks.Add(1)
	s.busy.begin()
	return true
}

func (s *Server) leave() {
	s.busy.end()
	s.tasks.Done()
}
