package delivery_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/webpubsub/emulator"
)

// seedEnv replays one run, cutsEnv asks for more cuts than a test needs.
const (
	seedEnv = "WEBPUBSUB_DELIVERY_SEED"
	cutsEnv = "WEBPUBSUB_DELIVERY_CUTS"
)

// TestNothingIsLost lets clients join, leave, publish and start anew while their
// connections are cut, stalled and slowed down, in virtual time, until there
// were ten thousand cuts.
func TestNothingIsLost(t *testing.T) {
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		virtualRun(t, seed)
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
		cuts += virtualRun(t, seed)
		if t.Failed() {
			t.Fatalf("replay with %s=%d go test -run TestNothingIsLost ./internal/delivery", seedEnv, seed)
		}
	}
	t.Logf("%d cuts", cuts)
}

func virtualRun(t *testing.T, seed uint64) (cuts int) {
	synctest.Test(t, func(t *testing.T) {
		memory := &memory{MemoryListener: emulator.ListenMemory()}
		srv := emulator.Start(t, emulator.Options{Listener: memory.MemoryListener})
		r := newRun(t, seed, srv.ConnectionString(), network{memory.DialContext, memory.dial, memory.cut})
		r.all()
		cuts = int(r.cuts.Load())
	})
	return cuts
}

// memory is a network in memory whose connections can be cut.
type memory struct {
	*emulator.MemoryListener
	mu    sync.Mutex
	conns []*conn
}

type conn struct {
	net.Conn
	memory *memory
}

func (m *memory) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := m.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := &conn{c, m}
	m.conns = append(m.conns, out)
	return out, nil
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
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Conn.Close()
	return true
}
