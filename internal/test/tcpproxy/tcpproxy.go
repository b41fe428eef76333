// Package tcpproxy passes TCP connections on until a test cuts them:
//
//	p := tcpproxy.Start(t, "127.0.0.1:8080")
//	// connect to p.Addr() instead
//	p.CutAll()
package tcpproxy

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a running proxy.
type Proxy struct {
	listener net.Listener
	target   string
	latency  time.Duration
	tasks    sync.WaitGroup

	mu     sync.Mutex
	conns  []*conn
	closed bool
}

type conn struct{ near, far net.Conn }

// Start passes connections on to target, a host and port, until the test ends.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	return StartSlow(tb, target, 0)
}

// StartSlow is Start for a proxy that waits before it passes on what it read.
func StartSlow(tb testing.TB, target string, latency time.Duration) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, latency: latency}
	p.tasks.Go(p.serve)
	tb.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		_ = l.Close()
		p.CutAll()
		p.tasks.Wait()
	})
	return p
}

// Addr returns the host and port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) serve() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c := &conn{near, far}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.reset()
			return
		}
		p.conns = append(p.conns, c)
		p.mu.Unlock()
		p.tasks.Go(func() { p.pass(c, near, far) })
		p.tasks.Go(func() { p.pass(c, far, near) })
	}
}

// pass copies one direction; where it ends, so does the other.
func (p *Proxy) pass(c *conn, to, from net.Conn) {
	var w io.Writer = to
	if p.latency > 0 {
		w = slow{to, p.latency}
	}
	_, _ = io.Copy(w, from)
	_, _ = c.near.Close(), c.far.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.conns {
		if p.conns[i] == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			return
		}
	}
}

// slow waits before each write.
type slow struct {
	io.Writer
	latency time.Duration
}

func (s slow) Write(b []byte) (int, error) {
	time.Sleep(s.latency)
	return s.Writer.Write(b)
}

// reset ends a connection without a FIN, so that what travels is lost.
func (c *conn) reset() {
	for _, side := range []net.Conn{c.near, c.far} {
		if tcp, ok := side.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = side.Close()
	}
}

// CutAll resets every connection and returns how many there were.
func (p *Proxy) CutAll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns)
	for _, c := range p.conns {
		c.reset()
	}
	p.conns = nil
	return n
}

// Cut resets one connection, which choose picks among n by its index. It
// reports false where there is none.
func (p *Proxy) Cut(choose func(n int) int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns)
	if n == 0 {
		return false
	}
	i := choose(n)
	p.conns[i].reset()
	p.conns = append(p.conns[:i], p.conns[i+1:]...)
	return true
}
