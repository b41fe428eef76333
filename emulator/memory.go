package emulator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// MemoryListener is a network of its own, in memory: give it to an emulator as
// [Options.Listener], and its DialContext to the clients. Nothing on it waits
// for the operating system, so emulator and clients can run in a bubble of
// testing/synctest, where hours pass in no time.
//
// Connections behave like TCP: each direction buffers 64 KiB and then holds the
// writer up, deadlines work, and closing lets what was written arrive, unless
// SetLinger(0) was called.
type MemoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// ListenMemory returns a new network with nobody on it.
func ListenMemory() *MemoryListener {
	return &MemoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the next connection that was dialed.
func (l *MemoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses new connections. It does nothing to the others.
func (l *MemoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns "localhost:80", so that an emulator's addresses look like others.
func (l *MemoryListener) Addr() net.Addr { return memoryAddr{} }

// DialContext connects to the listener, whatever the address. Its signature is
// that of [net.Dialer.DialContext].
func (l *MemoryListener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	up, down := newMemoryPipe(), newMemoryPipe()
	select {
	case l.conns <- &memoryConn{in: up, out: down}:
		return &memoryConn{in: down, out: up}, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memoryAddr{}, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "localhost:80" }

// memoryConn is one end of a connection.
type memoryConn struct {
	in, out *memoryPipe
	hard    bool // closing loses what was not read; guarded by out.mu
}

func (c *memoryConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memoryConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memoryConn) LocalAddr() net.Addr         { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr        { return memoryAddr{} }

func (c *memoryConn) Close() error {
	c.out.mu.Lock()
	hard := c.hard
	c.out.mu.Unlock()
	c.out.end(io.EOF, net.ErrClosed, hard)
	gone := error(io.ErrClosedPipe)
	if hard {
		gone = syscall.ECONNRESET
	}
	c.in.end(net.ErrClosed, gone, true)
	return nil
}

// CloseWrite says that nothing more will be written.
func (c *memoryConn) CloseWrite() error {
	c.out.end(io.EOF, net.ErrClosed, false)
	return nil
}

// SetLinger with 0 makes Close drop what the other side has not read, as
// [net.TCPConn.SetLinger] does.
func (c *memoryConn) SetLinger(sec int) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.hard = sec == 0
	return nil
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reading, t)
	c.out.setDeadline(&c.out.writing, t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reading, t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writing, t)
	return nil
}

const memoryBuffer = 64 << 10

// memoryPipe is one direction.
type memoryPipe struct {
	// writer is held for the length of a write. It is a channel because synctest
	// takes a goroutine that waits for a mutex for one that is running.
	writer chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	// Set at the end: what each side gets from then on.
	readErr, writeErr error
	reading, writing  memoryDeadline
}

type memoryDeadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *memoryDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newMemoryPipe() *memoryPipe {
	p := &memoryPipe{writer: make(chan struct{}, 1)}
	p.changed.L = &p.mu
	return p
}

func (p *memoryPipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.reading.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			if p.buf = p.buf[n:]; len(p.buf) == 0 {
				p.buf = nil
			}
			p.changed.Broadcast()
			return n, nil
		case p.readErr != nil:
			return 0, p.readErr
		case len(b) == 0:
			return 0, nil
		}
		p.changed.Wait()
	}
}

func (p *memoryPipe) write(b []byte) (n int, err error) {
	p.writer <- struct{}{}
	defer func() { <-p.writer }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch room := memoryBuffer - len(p.buf); {
		case p.writeErr != nil:
			return n, p.writeErr
		case p.writing.passed():
			return n, os.ErrDeadlineExceeded
		case n == len(b):
			return n, nil
		case room > 0:
			chunk := b[n:min(len(b), n+room)]
			p.buf = append(p.buf, chunk...)
			n += len(chunk)
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

// end finishes the direction; the first end that a side was given stays.
func (p *memoryPipe) end(reader, writer error, drop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writeErr == nil {
		p.writeErr = writer
	}
	if drop {
		p.buf = nil
		if errors.Is(reader, io.EOF) {
			reader = syscall.ECONNRESET
		}
	}
	if p.readErr == nil || drop {
		p.readErr = reader
	}
	p.changed.Broadcast()
}

func (p *memoryPipe) setDeadline(d *memoryDeadline, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = t; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.changed.Broadcast()
		})
	}
	p.changed.Broadcast()
}
