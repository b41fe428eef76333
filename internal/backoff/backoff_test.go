package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/backoff"
)

// attempts makes attempts until the budget is used up, and returns how many, and
// how long it took. Each makes a connection that lives for life.
func attempts(r *backoff.Retry, life time.Duration, progress bool) (n int, took time.Duration) {
	began := time.Now()
	for n < 1000 && r.Wait(context.Background()) == nil {
		n++
		time.Sleep(life)
		r.Ended(life, progress)
	}
	return n, time.Since(began)
}

// A peer that accepts every connection and closes it again uses up the budget,
// although each attempt succeeds: only a connection that lasted and made
// progress restores it.
func TestBudget(t *testing.T) {
	policy := backoff.Policy{MaxTime: 30 * time.Second, Delay: time.Second, MinLife: time.Second}
	for name, tt := range map[string]struct {
		life     time.Duration
		progress bool
		least    int
		most     int
	}{
		"closed at once":                {0, true, 31, 61},
		"short life":                    {999 * time.Millisecond, true, 16, 21},
		"long life without progress":    {time.Minute, false, 1, 1},
		"long life with progress":       {time.Second, true, 1000, 1000},
		"closed at once, and no frames": {0, false, 31, 61},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, took := attempts(backoff.New(policy), tt.life, tt.progress)
				if n < tt.least || n > tt.most {
					t.Errorf("%d attempts in %v, want %d to %d", n, took, tt.least, tt.most)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n, took := attempts(backoff.New(backoff.Policy{MaxTries: 4, FirstDelay: time.Second, Delay: time.Second, MaxDelay: 3 * time.Second}), 0, false)
		// Up to 1 s, then 1, 2 and 3 s, each less up to half.
		if n != 4 || took < 3*time.Second || took > 7*time.Second {
			t.Errorf("%d attempts in %v", n, took)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := backoff.New(backoff.Policy{MaxTries: -1})
		if err := r.Wait(t.Context()); !errors.Is(err, backoff.ErrExhausted) {
			t.Errorf("no attempts: %v", err)
		}
		// The delay does not exceed the time that is left.
		r = backoff.New(backoff.Policy{MaxTime: time.Second, Delay: time.Hour})
		began := time.Now()
		if err := r.Wait(t.Context()); err != nil || r.Remaining(time.Minute) != time.Second || r.Tries() != 1 {
			t.Errorf("%v, %v left, %d tries", err, r.Remaining(time.Minute), r.Tries())
		}
		if err := r.Wait(t.Context()); !errors.Is(err, backoff.ErrExhausted) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// A context that ends ends the delay.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r = backoff.New(backoff.Policy{FirstDelay: math.MaxInt64})
		if err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || r.Tries() != 0 {
			t.Error(err)
		}
		if r.Remaining(time.Minute) != time.Minute {
			t.Error("without a limit of time there is one")
		}
	})
}

// Whatever the policy, a delay is positive and bounded: doubling a huge delay
// once overflowed and made a loop of 1 ns.
func FuzzDelayBefore(f *testing.F) {
	f.Add(int64(time.Second), int64(30*time.Second), 3)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), math.MaxInt)
	f.Add(int64(math.MaxInt64/2+1), int64(math.MaxInt64), 2)
	f.Add(int64(-1), int64(-1), -1)
	f.Fuzz(func(t *testing.T, delay, most int64, n int) {
		p := backoff.Policy{Delay: time.Duration(delay), MaxDelay: time.Duration(most)}
		d := p.DelayBefore(n)
		bound := max(p.MaxDelay, 1)
		if p.MaxDelay <= 0 {
			bound = max(p.Delay, 1)
		}
		if d < 1 || d > bound {
			t.Fatalf("delay %v of %+v", d, p)
		}
		if least := min(max(p.Delay, 1), bound) / 2; d < least {
			t.Fatalf("delay %v of %+v, want %v at least", d, p, least)
		}
	})
}
