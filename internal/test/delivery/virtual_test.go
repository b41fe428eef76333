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

// Environment variables for longer runs.
const (
	// seedEnv is a seed to replay, at most replays times, until a run fails.
	seedEnv = "WEBPUBSUB_DELIVERY_SEED"
	replays = 50
	// soakEnv is how long TestSoak plays runs, for example "20m".
	soakEnv = "WEBPUBSUB_SOAK"

	// firstSeed makes the runs of go test reproducible.
	firstSeed = 1
)

// TestReliableDeliveryWithFaults lets clients join, leave, publish, stream and restart while their
// connections are reset, stalled and delayed, in virtual time, until there have been
// ten thousand resets.
func TestReliableDeliveryWithFaults(t *testing.T) {
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

// TestSoak plays runs with random seeds. No message may be lost or delivered twice, and
// neither memory nor the number of goroutines may grow.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakEnv)
	if text == "" {
		t.Skipf("%s is not set: see make soak", soakEnv)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakEnv, err)
	}
	// The first runs allocate caches and pools.
	const warmUp = 20
	// Small leaks of each run add up to more.
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

// inUse returns the number of bytes of reachable objects on the heap.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // empties sync.Pool
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
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go changeNetwork(ctx, srv, rand.New(rand.NewPCG(seed, 5000)))
		r.all()
		cuts = int(r.cuts.Load())
	})
	return cuts
}

// changeNetwork has the emulator simulate one network after another, for a while each,
// in addition to the latency of the network in memory.
func changeNetwork(ctx context.Context, srv *emulator.Server, random *rand.Rand) {
	for {
		var c emulator.NetworkConditions
		if random.IntN(2) == 0 {
			c.Latency = time.Duration(random.IntN(30)) * time.Millisecond
			c.Jitter = time.Duration(random.IntN(30)) * time.Millisecond
		}
		if random.IntN(4) == 0 {
			c.Bandwidth = 20_000 + random.IntN(200_000)
		}
		_ = srv.SetNetworkConditions(c) // within the bounds
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(random.IntN(1000)) * time.Millisecond):
		}
	}
}

// memory is a network in memory with latency. Data in transit is lost when a connection
// is reset.
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

// travel waits for the latency, and reports false if the connection is reset.
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
