package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// rejoinTimeout bounds how long a new connection is held back from the
// callbacks for the sake of its groups.
const rejoinTimeout = 30 * time.Second

// rejoinBarrier holds back the events of a new connection until its groups are
// joined again.
type rejoinBarrier struct {
	calls []*call // to send again after a recovery; those that are acknowledged are not pending

	mu            sync.Mutex
	left          int
	failed        []RejoinFailedEvent
	open          chan struct{}
	onLateFailure func(RejoinFailedEvent) // set if the barrier was passed before its time
}

func newRejoinBarrier(groups int) *rejoinBarrier {
	b := &rejoinBarrier{left: groups, open: make(chan struct{})}
	if groups == 0 {
		close(b.open)
	}
	return b
}

// settle notes that one group is done with. If the connection was lost there is
// nothing to report: the next one joins the same groups.
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

// wait returns the groups that could not be joined. Failures after the timeout
// are passed to late.
func (b *rejoinBarrier) wait(ctx context.Context, late func(RejoinFailedEvent)) []RejoinFailedEvent {
	timer := time.NewTimer(rejoinTimeout)
	defer timer.Stop()
	select {
	case <-b.open:
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onLateFailure = late
	return b.failed
}
