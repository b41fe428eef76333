// Package backoff bounds an operation that is repeated until it succeeds, such
// as connecting: attempts are delayed, with jitter, and counted against a budget
// of tries and time.
//
//	r := backoff.New(backoff.Policy{MaxTime: 30 * time.Second, Delay: time.Second, MinLife: time.Second})
//	for {
//		if err := r.Wait(ctx); err != nil {
//			return err // the budget is used up, or the context has ended
//		}
//		began := time.Now()
//		if conn, err := dial(ctx); err == nil {
//			progress := use(conn) // returns when the connection ends
//			r.Ended(time.Since(began), progress)
//		}
//	}
//
// An attempt that succeeds does not restore the budget: a peer that accepts each
// connection and closes it again would be dialed forever, without a delay. The
// connection has to prove that it works first. See [Retry.Ended].
package backoff

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// ErrExhausted is returned by [Retry.Wait] when the budget is used up.
var ErrExhausted = errors.New("retry budget exhausted")

// Policy describes the budget and the delays of a [Retry].
type Policy struct {
	// MaxTries is the number of attempts. Negative: none. Default: no limit.
	MaxTries int
	// MaxTime is how long attempts are started after the first call of Wait.
	// Default: no limit.
	MaxTime time.Duration

	// FirstDelay is the upper bound of the delay before the first attempt, which
	// is chosen at random. Default: no delay.
	FirstDelay time.Duration
	// Delay is the delay before the second attempt. It doubles with each further
	// attempt up to MaxDelay, and a random part of at most half of it is taken
	// off, so that clients that failed together do not retry together.
	Delay time.Duration
	// MaxDelay is the upper bound of the delay. Default: Delay, so that it does
	// not grow.
	MaxDelay time.Duration

	// MinLife is how long a connection must have lasted to restore the budget.
	MinLife time.Duration
}

// DelayBefore returns the delay before the nth retry, counted from 1. It is
// random, positive, and at most MaxDelay, whatever the policy.
func (p Policy) DelayBefore(n int) time.Duration {
	limit := max(p.MaxDelay, 1)
	if p.MaxDelay <= 0 {
		limit = max(p.Delay, 1)
	}
	d := min(max(p.Delay, 1), limit)
	for ; n > 1 && d < limit; n-- {
		if d > limit/2 { // doubling could overflow
			d = limit
		} else {
			d *= 2
		}
	}
	return d - rand.N(d/2+1)
}

// Retry is the state of one operation that is repeated. It is not safe for
// concurrent use.
type Retry struct {
	policy   Policy
	tries    int
	deadline time.Time // zero before the first attempt, and without a limit
}

// New returns a Retry with its whole budget.
func New(p Policy) *Retry { return &Retry{policy: p} }

// Wait blocks until the next attempt may be made. It returns ErrExhausted if the
// budget is used up, or the error of the context.
func (r *Retry) Wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := r.policy
	if p.MaxTries < 0 || (p.MaxTries > 0 && r.tries >= p.MaxTries) {
		return ErrExhausted
	}
	var delay time.Duration
	if r.tries > 0 {
		delay = p.DelayBefore(r.tries)
	} else {
		if p.FirstDelay > 0 {
			delay = rand.N(p.FirstDelay)
		}
		if p.MaxTime > 0 {
			r.deadline = time.Now().Add(p.MaxTime)
		}
	}
	if !r.deadline.IsZero() {
		delay = min(delay, max(time.Until(r.deadline), 0))
	}
	if err := Sleep(ctx, delay); err != nil {
		return err
	}
	if !r.deadline.IsZero() && !time.Now().Before(r.deadline) {
		return ErrExhausted
	}
	r.tries++
	return nil
}

// Tries returns the number of attempts since the budget was last restored.
func (r *Retry) Tries() int { return r.tries }

// Remaining returns the time until the budget is used up: limit if that is
// shorter, or if the policy has no MaxTime.
func (r *Retry) Remaining(limit time.Duration) time.Duration {
	if r.deadline.IsZero() {
		return limit
	}
	return min(limit, time.Until(r.deadline))
}

// Ended reports the end of a connection that an attempt has made: how long it
// lasted, and whether it made progress, that is, received something that is not
// a repetition of what an earlier connection had received. The budget is
// restored if it did and lasted for at least MinLife; otherwise the connection
// counts as one more failed attempt.
func (r *Retry) Ended(life time.Duration, progress bool) {
	if progress && life >= r.policy.MinLife {
		r.tries, r.deadline = 0, time.Time{}
	}
}

// Sleep waits for d. It returns the error of the context if that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
