package loglimit_test

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/loglimit"
)

// A flood of 100,000 forged events wrote 36 MB of log. Ten records per kind and
// interval are enough to see what happens; the others are counted.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		suppressed := make(map[string]int)
		l := loglimit.New(func(key string, n int) {
			mu.Lock()
			defer mu.Unlock()
			suppressed[key] += n
		})
		logged := make(map[string]int)
		for range 3 { // intervals
			for range 1000 {
				for _, key := range []string{"signature", "origin"} {
					if l.Allow(key) {
						logged[key]++
					}
				}
			}
			time.Sleep(loglimit.Interval)
			synctest.Wait()
		}
		if want := map[string]int{"signature": 30, "origin": 30}; !maps.Equal(logged, want) {
			t.Errorf("logged %v, want %v", logged, want)
		}
		if want := map[string]int{"signature": 2970, "origin": 2970}; !maps.Equal(suppressed, want) {
			t.Errorf("suppressed %v, want %v", suppressed, want)
		}
	})
}

// What is rare is always logged, and reported as nothing else.
func TestRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loglimit.New(func(key string, n int) { t.Errorf("%d suppressed of %q", n, key) })
		for range 100 {
			for range loglimit.Burst {
				if !l.Allow("a") {
					t.Fatal("not allowed")
				}
			}
			time.Sleep(loglimit.Interval)
			synctest.Wait()
		}
	})
}

// Keys that a caller takes from requests after all do not fill the memory, nor
// the log.
func TestManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logged := 0
		var reported atomic.Int64
		l := loglimit.New(func(_ string, n int) { reported.Add(int64(n)) })
		const n = 100_000
		for i := range n {
			if l.Allow(fmt.Sprint(i)) {
				logged++
			}
		}
		time.Sleep(loglimit.Interval)
		synctest.Wait()
		if suppressed := int(reported.Load()); logged > loglimit.MaxKeys+loglimit.Burst || logged+suppressed != n {
			t.Errorf("logged %d, suppressed %d", logged, suppressed)
		}
	})
}
