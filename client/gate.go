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

// gate holds the events of a new connection back until its groups are joined
// again.
type gate struct {
	calls []*call // to send again after a recovery; those answered are not pending

	mu     sync.Mutex
	left   int
	failed []RejoinFailed
	open   chan struct{}
	late   func(RejoinFailed) // set when the gate was passed before its time
}

func newGate(groups int) *gate {
	g := &gate{left: groups, open: make(chan struct{})}
	if groups == 0 {
		close(g.open)
	}
	return g
}

// settle notes that one group is done with. Where the connection was lost there
// is nothing to report: the next one joins the same groups.
func (g *gate) settle(group string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && !errors.Is(err, ErrDuplicate) && !errors.Is(err, ErrConnectionLost) && !errors.Is(err, ErrStopped) {
		f := RejoinFailed{group, err}
		if g.late != nil {
			g.late(f)
		}
		g.failed = append(g.failed, f)
	}
	if g.left--; g.left == 0 {
		close(g.open)
	}
}

// wait returns the groups that could not be joined. Failures after the timeout
// go to late.
func (g *gate) wait(ctx context.Context, late func(RejoinFailed)) []RejoinFailed {
	timer := time.NewTimer(rejoinTimeout)
	defer timer.Stop()
	select {
	case <-g.open:
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.late = late
	return g.failed
}
