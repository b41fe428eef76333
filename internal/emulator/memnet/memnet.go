// Package memnet is a network in memory, on which an emulator and its clients run
// in a bubble of testing/synctest.
//
// Connections behave like TCP: each direction buffers 64 KiB and then blocks the
// writer, deadlines work, and closing lets what was written arrive, unless
// SetLinger(0) was called.
package memnet

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

// Network is the name of the network in addresses.
const Network = "memory"

// Listener is a network of its own, in memory.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a new network.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the next connection that was dialed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close rejects new connections. It does nothing to the others.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns "localhost:80", so that an emulator's addresses look like others.
func (l *Listener) Addr() net.Addr { return addr{} }

// DialContext connects to the listener, whatever the address. Its signature is
// that of [net.Dialer.DialContext].
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	up, down := newPipe(), newPipe()
	select {
	case l.conns <- &conn{in: up, out: down}:
		return &conn{in: down, out: up}, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: addr{}, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type addr struct{}

func (addr) Network() string { return Network }
func (addr) String() string  { return "localhost:80" }

// conn is one end of a connection.
type conn struct {
	in, out *pipe
	hard    bool // closing loses what was not read; guarded by out.mu
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr         { return addr{} }
func (c *conn) RemoteAddr() net.Addr        { return addr{} }

func (c *conn) Close() error {
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

// CloseWrite ends the writing direction: the peer reads io.EOF.
func (c *conn) CloseWrite() error {
	c.out.end(io.EOF, net.ErrClosed, false)
	return nil
}

// SetLinger with 0 makes Close drop what the other side has not read, as
// [net.TCPConn.SetLinger] does.
func (c *conn) SetLinger(sec int) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.hard = sec == 0
	return nil
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reading, t)
	c.out.setDeadline(&c.out.writing, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reading, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writing, t)
	return nil
}

const bufferSize = 64 << 10

// pipe is one direction.
type pipe struct {
	// writer is held for the length of a write. It is a channel because synctest
	// takes a goroutine that waits for a mutex for one that is running.
	writer chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	// Set at the end: what each side gets from then on.
	readErr, writeErr error
	reading, writing  deadline
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newPipe() *pipe {
	p := &pipe{writer: make(chan struct{}, 1)}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
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

func (p *pipe) write(b []byte) (n int, err error) {
	p.writer <- struct{}{}
	defer func() { <-p.writer }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch room := bufferSize - len(p.buf); {
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
func (p *pipe) end(reader, writer error, drop bool) {
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

func (p *pipe) setDeadline(d *deadline, t time.Time) {
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
