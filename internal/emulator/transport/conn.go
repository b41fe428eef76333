package transport

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// conn is the network connection of a link, after the handshake. Writes are not mixed
// with concurrent ones: the writer of the link writes batches of whole frames, and
// gorilla/websocket whole control frames.
type conn struct {
	net.Conn
	t *Transport
	// writing is held for the length of a write. It is a channel because synctest
	// considers a goroutine that waits for a mutex to be running.
	writing  chan struct{}
	progress atomic.Bool // something was written since the last ping
	tail     [7]byte     // the newest bytes that were read

	shaper                      atomic.Pointer[shaper] // nil until there are network conditions
	readDeadline, writeDeadline deadline
}

func newConn(t *Transport) *conn { return &conn{t: t, writing: make(chan struct{}, 1)} }

// deadline is a time that several goroutines use, in nanoseconds. Zero: none.
type deadline struct{ at atomic.Int64 }

func (d *deadline) set(t time.Time) {
	if t.IsZero() {
		d.at.Store(0)
		return
	}
	d.at.Store(t.UnixNano())
}

func (d *deadline) get() time.Time {
	if at := d.at.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// hijacker makes gorilla/websocket use a conn.
type hijacker struct {
	http.ResponseWriter
	conn *conn
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buf, err := h.ResponseWriter.(http.Hijacker).Hijack() // the endpoint has checked that
	if err != nil {
		return nil, nil, err
	}
	if head, ok := c.(*headConn); ok { // of no use any more
		head.stop()
		c = head.Conn
	}
	h.conn.Conn = c
	return gorillaConn{h.conn}, buf, nil
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side if the connection has two sides.
func (c *conn) CloseWrite() error {
	if s := c.shaper.Load(); s != nil && s.closeWrite() {
		return nil
	}
	return closeWrite(c.Conn)
}

// Close closes the connection. What was written arrives before.
func (c *conn) Close() error {
	if s := c.shaper.Load(); s != nil {
		s.close()
		return nil
	}
	return c.Conn.Close()
}

// reset closes the connection as a failing network does: what is on its way is
// lost. It closes below TLS, which would send an alert.
func (c *conn) reset() {
	if s := c.shaper.Load(); s != nil {
		s.abandon()
	}
	n := c.Conn
	for above, ok := n.(interface{ NetConn() net.Conn }); ok; above, ok = n.(interface{ NetConn() net.Conn }) {
		n = above.NetConn()
	}
	if t, ok := n.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = n.Close()
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if k := len(c.tail); n >= k {
		copy(c.tail[:], b[n-k:n])
	} else if n > 0 {
		copy(c.tail[:], c.tail[n:])
		copy(c.tail[k-n:], b[:n])
	}
	return n, err
}

func (c *conn) read(b []byte) (int, error) {
	s := c.shaper.Load()
	if s == nil && c.t.network.Links() != nil {
		s = c.shape()
	}
	for {
		if s != nil {
			if n, err, direct := s.read(b); !direct {
				return n, err
			}
		}
		n, err := c.Conn.Read(b)
		conditions := c.t.network.Links()
		if conditions == nil {
			return n, err
		}
		// There were none when the read began.
		s = c.shape()
		s.arrived(conditions, b[:n], nil)
		if err != nil {
			s.arrived(conditions, nil, err)
		}
	}
}

// SetReadDeadline bounds the reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readDeadline.set(t)
	if s := c.shaper.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
		if s.reading {
			return nil
		}
	}
	return c.Conn.SetReadDeadline(t)
}

// shortClose reports whether the last that was read is a close frame with a
// payload of one byte, which gorilla/websocket takes for one without: FIN and
// opcode 8, a masked length of 1, the mask and the byte.
func (c *conn) shortClose() bool { return c.tail[0] == 0x88 && c.tail[1] == 0x81 }

// Write writes b in parts, so that progress on a slow network shows.
//
// A goroutine that writes is new for each batch, with the smallest stack that there
// is, and what net and poll need of it leaves little. If it had to grow, a batch
// would cost a fifth more: so the common case is written here, without a defer and
// without another function in between.
func (c *conn) Write(b []byte) (n int, err error) {
	if !c.acquire() {
		return 0, os.ErrDeadlineExceeded
	}
	for n < len(b) && err == nil {
		var k int
		if c.shaper.Load() != nil || c.t.network.Links() != nil {
			k, err = c.writeShaped(b[n:])
		} else {
			k, err = c.Conn.Write(b[n:min(len(b), n+maxPart)])
		}
		n += k
		if k > 0 {
			c.progress.Store(true)
		}
	}
	<-c.writing
	return n, err
}

// acquire takes writing. It reports false if it takes too long.
func (c *conn) acquire() bool {
	select {
	case c.writing <- struct{}{}:
		return true
	default:
		return c.waitToWrite()
	}
}

// waitToWrite is for a control frame of gorilla/websocket behind a batch that the peer
// does not take: its reader must not wait for as long as the batch may.
func (c *conn) waitToWrite() bool {
	wait := time.NewTimer(closeGrace)
	defer wait.Stop()
	select {
	case c.writing <- struct{}{}:
		return true
	case <-wait.C:
		return false
	}
}

// writeShaped writes a part of b, or sends it on its way if there are network
// conditions.
func (c *conn) writeShaped(b []byte) (int, error) {
	conditions, s := c.t.network.Links(), c.shaper.Load()
	if conditions != nil && s == nil {
		s = c.shape()
	}
	b = b[:min(len(b), partSize(conditions))]
	if s != nil {
		if direct, err := s.write(conditions, b); !direct {
			if err != nil {
				return 0, err
			}
			return len(b), nil
		}
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline bounds the writes of batches, for the writer of the link.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.set(t)
	if s := c.shaper.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.writing {
			return nil
		}
	}
	return c.Conn.SetWriteDeadline(t)
}

// gorillaConn is the connection as gorilla/websocket sees it.
type gorillaConn struct{ *conn }

// SetWriteDeadline does nothing: the deadlines of gorilla/websocket, which are
// for single control frames, would apply to a batch too.
func (c gorillaConn) SetWriteDeadline(time.Time) error { return nil }
