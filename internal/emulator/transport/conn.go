package transport

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// conn is the network connection of a link, after the handshake, as
// gorilla/websocket sees it. Writes are not mixed with concurrent ones: the
// writer of the link writes batches of whole frames, and gorilla/websocket whole
// control frames.
type conn struct {
	net.Conn
	// writing is held for the length of a write. It is a channel because synctest
	// considers a goroutine that waits for a mutex to be running.
	writing  chan struct{}
	progress atomic.Bool // something was written since the last ping
	tail     [7]byte     // the newest bytes that were read
}

func newConn() *conn { return &conn{writing: make(chan struct{}, 1)} }

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
	if head, ok := c.(*headConn); ok {
		head.stop()
	}
	h.conn.Conn = c
	return h.conn, buf, nil
}

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side if the connection has two sides.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

// reset closes the connection as a failing network does: what is on its way is
// lost. It closes below TLS, which would send an alert.
func (c *conn) reset() {
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
	n, err := c.Conn.Read(b)
	if k := len(c.tail); n >= k {
		copy(c.tail[:], b[n-k:n])
	} else if n > 0 {
		copy(c.tail[:], c.tail[n:])
		copy(c.tail[k-n:], b[:n])
	}
	return n, err
}

// shortClose reports whether the last that was read is a close frame with a
// payload of one byte, which gorilla/websocket takes for one without: FIN and
// opcode 8, a masked length of 1, the mask and the byte.
func (c *conn) shortClose() bool { return c.tail[0] == 0x88 && c.tail[1] == 0x81 }

// Write writes b in parts, so that progress on a slow network shows.
func (c *conn) Write(b []byte) (n int, err error) {
	select {
	case c.writing <- struct{}{}:
	default:
		// A control frame of gorilla/websocket behind a batch that the peer does not
		// take: its reader must not wait for as long as the batch may.
		wait := time.NewTimer(closeGrace)
		defer wait.Stop()
		select {
		case c.writing <- struct{}{}:
		case <-wait.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	defer func() { <-c.writing }()
	for n < len(b) && err == nil {
		const part = 64 << 10
		var k int
		k, err = c.Conn.Write(b[n:min(len(b), n+part)])
		n += k
		if k > 0 {
			c.progress.Store(true)
		}
	}
	return n, err
}

// SetWriteDeadline does nothing: the deadlines of gorilla/websocket, which are
// for single control frames, would apply to a batch too.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// batchConn is the connection as the writer of the link sees it: it renews the
// deadline itself.
type batchConn struct{ *conn }

func (c batchConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(t) }
