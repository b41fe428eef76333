package delivery_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

// Runs that a test is too short for.
const (
	// seedEnv is a seed to replay, as often as replays or until a run fails.
	seedEnv = "WEBPUBSUB_DELIVERY_SEED"
	replays = 50
	// soakEnv is how long to play runs of new seeds, for example "20m".
	soakEnv = "WEBPUBSUB_SOAK"

	// firstSeed is that of a plain run, so that it does the same each time.
	firstSeed = 1
)

// TestNothingIsLost lets clients join, leave, publish, stream and start anew while their
// connections are cut, stalled and slowed down, in virtual time, until there
// were ten thousand cuts.
func TestNothingIsLost(t *testing.T) {
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		// What is decided is the same each time; how the goroutines take turns is
		// not, and what was seen once may need some of them to be seen again.
		for range replays {
			virtualRun(t, seed)
		}
		return
	}
	want := 10_000
	if testing.Short() {
		want = 500
	}
	cuts := 0
	for seed := uint64(firstSeed); cuts < want; seed++ {
		cuts += virtualRun(t, seed) // a run that fails is the last
	}
	t.Logf("%d cuts", cuts)
}

// TestSoak plays runs of random seeds for as long as soakEnv says. Nothing may be
// lost or delivered twice, and neither memory nor goroutines may grow.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakEnv)
	if text == "" {
		t.Skipf("%s is not set: see make soak", soakEnv)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakEnv, err)
	}
	// What is allocated once is there after the first runs.
	const warmUp = 20
	// A run that leaves this much behind is seen after some hundred of them.
	const heapGrowth = 4 << 20

	seed := rand.Uint64N(1 << 32)
	t.Logf("first seed %d", seed)
	var runs, cuts, goroutines int
	var heap uint64
	began, reported := time.Now(), time.Now()
	for ; runs <= warmUp || time.Since(began) < d; runs++ {
		cuts += virtualRun(t, seed+uint64(runs))
		if runs == warmUp {
			heap, goroutines = inUse(), runtime.NumGoroutine()
		}
		if time.Since(reported) > time.Minute {
			reported = time.Now()
			t.Logf("%v: %d runs, %d cuts, %d kB, %d goroutines", time.Since(began).Round(time.Second), runs, cuts, inUse()>>10, runtime.NumGoroutine())
		}
	}
	t.Logf("%d runs, %d cuts", runs, cuts)
	if now := inUse(); now > heap+heapGrowth {
		t.Errorf("%d kB are in use, %d kB more than after the first %d runs", now>>10, (now-heap)>>10, warmUp)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines run, and %d did after the first %d runs", now, goroutines, warmUp)
	}
}

// inUse returns the bytes on the heap that are still referred to.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what sync.Pool held, too
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func virtualRun(t *testing.T, seed uint64) (cuts int) {
	synctest.Test(t, func(t *testing.T) {
		memory := &memory{MemoryListener: emulator.NewMemoryListener()}
		srv := emulator.StartT(t, emulator.Options{Listener: memory.MemoryListener})
		memory.latency = rand.New(rand.NewPCG(seed, 4000))
		r := newRun(t, seed, srv.ConnectionString(), network{memory.DialContext, memory.dial, memory.cut})
		r.faults = srv.Inject
		r.all()
		cuts = int(r.cuts.Load())
	})
	return cuts
}

// memory is a network in memory on which what is written takes its time, and is
// lost when the connection is cut meanwhile.
type memory struct {
	*emulator.MemoryListener
	mu      sync.Mutex
	latency *rand.Rand
	conns   []*conn
}

type conn struct {
	net.Conn
	memory *memory
	broken chan struct{} // closed by a cut
}

func (m *memory) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := m.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &conn{c, m, make(chan struct{})}
	m.conns = append(m.conns, out)
	return out, nil
}

// travel waits for as long as something is under way, and reports false where it
// does not arrive.
func (c *conn) travel() bool {
	c.memory.mu.Lock()
	d := time.Duration(c.memory.latency.IntN(20)) * time.Millisecond
	c.memory.mu.Unlock()
	select {
	case <-c.broken:
		return false
	case <-time.After(d):
		return true
	}
}

func (c *conn) Write(b []byte) (int, error) {
	if !c.travel() {
		return 0, syscall.ECONNRESET
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && !c.travel() {
		return 0, syscall.ECONNRESET
	}
	return n, err
}

func (c *conn) Close() error {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	c.memory.conns = slices.DeleteFunc(c.memory.conns, func(other *conn) bool { return other == c })
	return c.Conn.Close()
}

func (m *memory) cut(choose func(int) int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.conns) == 0 {
		return false
	}
	i := choose(len(m.conns))
	c := m.conns[i]
	m.conns = slices.Delete(m.conns, i, i+1)
	close(c.broken)
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Conn.Close()
	return true
}
