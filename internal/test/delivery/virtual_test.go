package delivery_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

// seedEnv replays one run, as often as replays or until it fails; cutsEnv asks
// for more cuts than a test needs.
const (
	replays = 50

	seedEnv = "WEBPUBSUB_DELIVERY_SEED"
	cutsEnv = "WEBPUBSUB_DELIVERY_CUTS"
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
	if n, err := strconv.Atoi(os.Getenv(cutsEnv)); err == nil {
		want = n
	}
	cuts := 0
	for seed := rand.Uint64N(1 << 32); cuts < want; seed++ {
		cuts += virtualRun(t, seed) // a run that fails is the last
	}
	t.Logf("%d cuts", cuts)
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
