package session

import (
	"context"
	"sync"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/wire"
)

// invocations are the calls of a client that wait for the response of an event
// handler. The lock is a leaf.
type invocations struct {
	mu      sync.Mutex
	pending map[string]context.CancelFunc
}

// begin registers a call. It reports false if one of that id is pending.
func (v *invocations) begin(id string, cancel context.CancelFunc) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.pending[id]; ok {
		return false
	}
	if v.pending == nil {
		v.pending = make(map[string]context.CancelFunc)
	}
	v.pending[id] = cancel
	return true
}

// cancel ends a call. It reports false if the call was not pending: then it has
// been completed or cancelled, and nothing more may be sent for it.
func (v *invocations) cancel(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	cancel, ok := v.pending[id]
	if ok {
		cancel()
		delete(v.pending, id)
	}
	return ok
}

func (v *invocations) cancelAll() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, cancel := range v.pending {
		cancel()
	}
	clear(v.pending)
}

// invocation is a call in line.
type invocation struct {
	wire.Invoke
	ctx context.Context
}

// beginInvocation registers a call when it is read, so that it can be cancelled
// while it waits. It returns nil if the call cannot be made.
func (s *PubSub) beginInvocation(u wire.Invoke) *invocation {
	ctx, cancel := context.WithCancel(context.Background())
	reject := func(text string) *invocation {
		cancel()
		s.reply(wire.InvokeResponse{InvocationID: u.InvocationID, Error: &wire.Error{Name: errBadRequest, Message: text}})
		return nil
	}
	if u.Target != wire.TargetEvent {
		return reject("The target of an invocation must be 'event'.")
	}
	if !s.calls.begin(u.InvocationID, cancel) {
		return reject("An invocation with this invocationId is in progress.")
	}
	return &invocation{u, ctx}
}

// invoke raises a user event and returns the response as the result of the call.
// A cancelled call gets no response.
func (s *PubSub) invoke(in *invocation, by *journal.Cause) {
	if in.ctx.Err() != nil {
		return
	}
	r, err := s.events.Call(in.ctx, userEvent(in.Event, in.Message), by)
	answer := wire.InvokeResponse{InvocationID: in.InvocationID}
	if err == nil {
		var m webpubsub.Message
		if m, err = r.Message(); err == nil {
			answer.Message = m
		}
	}
	if err != nil {
		answer.Error = &wire.Error{Name: errInternal, Message: internalError}
	}
	if s.calls.cancel(in.InvocationID) {
		if err == nil {
			s.srv.Limits.Sent(len(answer.Message.Data))
		}
		s.reply(answer)
	}
}
