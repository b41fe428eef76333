package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// rejoinTimeout is how long the events of a new connection wait for its groups to
// be joined again.
const rejoinTimeout = 30 * time.Second

// rejoinBarrier delays the events of a new connection until its groups have been
// joined again.
type rejoinBarrier struct {
	calls []*call // to send again after a recovery; those that are acknowledged are not pending

	mu            sync.Mutex
	left          int
	failed        []RejoinFailedEvent
	open          chan struct{}
	onLateFailure func(RejoinFailedEvent) // set when wait has returned
}

func newRejoinBarrier(groups int) *rejoinBarrier {
	b := &rejoinBarrier{left: groups, open: make(chan struct{})}
	if groups == 0 {
		close(b.open)
	}
	return b
}

// settle records the result for one group. A lost connection is not a failure: the
// next one joins the same groups.
func (b *rejoinBarrier) settle(group string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && !errors.Is(err, ErrDuplicate) && !errors.Is(err, ErrConnectionLost) && !errors.Is(err, ErrNotRunning) {
		f := RejoinFailedEvent{group, err}
		if b.onLateFailure != nil {
			b.onLateFailure(f)
		}
		b.failed = append(b.failed, f)
	}
	if b.left--; b.left == 0 {
		close(b.open)
	}
}

// wait waits for all groups, or for the timeout, and returns those that could not be
// joined. Later failures are passed to onLateFailure.
func (b *rejoinBarrier) wait(ctx context.Context, onLateFailure func(RejoinFailedEvent)) []RejoinFailedEvent {
	timer := time.NewTimer(rejoinTimeout)
	defer timer.Stop()
	select {
	case <-b.open:
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onLateFailure = onLateFailure
	return b.failed
}
