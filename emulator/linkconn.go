package emulator

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// linkConn is the network connection of a link, after the handshake. A Write is
// not mixed with a concurrent one: the drain writes batches of whole frames, and
// gorilla/websocket whole control frames.
type linkConn struct {
	net.Conn
	// writing is held for the length of a write. It is a channel because synctest
	// considers a goroutine that waits for a mutex to be running.
	writing  chan struct{}
	progress atomic.Bool // something was written since the last ping
	tail     [7]byte     // the newest bytes that were read
}

// hijacker makes gorilla/websocket use a linkConn.
type hijacker struct {
	http.ResponseWriter
	conn *linkConn
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buf, err := h.ResponseWriter.(http.Hijacker).Hijack() // checked by checkHandshake
	if err != nil {
		return nil, nil, err
	}
	if head, ok := c.(*headConn); ok {
		head.stop()
	}
	h.conn.Conn = c
	return h.conn, buf, nil
}

func newLinkConn() *linkConn { return &linkConn{writing: make(chan struct{}, 1)} }

// NetConn returns the connection below, as that of [crypto/tls.Conn] does.
func (c *linkConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side if the connection has two sides.
func (c *linkConn) CloseWrite() error { return closeWrite(c.Conn) }

func (c *linkConn) Read(b []byte) (int, error) {
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
func (c *linkConn) shortClose() bool { return c.tail[0] == 0x88 && c.tail[1] == 0x81 }

// Write writes b, in not much longer than a peer may take to answer a close.
func (c *linkConn) Write(b []byte) (int, error) { return c.write(b, closeGrace) }

// SetWriteDeadline does nothing: each write has its own deadline, and one that
// gorilla/websocket sets for a control frame would hold for a batch, too.
func (c *linkConn) SetWriteDeadline(time.Time) error { return nil }

// write fails if the peer takes nothing for as long as stall. The deadline is
// renewed with each part that was taken: a slow reader that makes progress is not
// a dead one.
func (c *linkConn) write(b []byte, stall time.Duration) (n int, err error) {
	select {
	case c.writing <- struct{}{}:
	default:
		// A control frame behind a batch that the peer does not take: its reader must
		// not wait for as long as the batch may.
		wait := time.NewTimer(stall)
		defer wait.Stop()
		select {
		case c.writing <- struct{}{}:
		case <-wait.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	defer func() { <-c.writing }()
	for n < len(b) {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
			return n, err
		}
		k, err := c.Conn.Write(b[n:min(len(b), n+batchSize)])
		n += k
		if k > 0 {
			c.progress.Store(true)
		}
		if err != nil && (k == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return n, err
		}
	}
	return n, nil
}
