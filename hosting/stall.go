package hosting

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// stallTimeout is how long a client may take to read a block of a response.
	// Without it, a client that sends requests and never reads would occupy
	// its connection, a goroutine and the response indefinitely.
	// http.Server.WriteTimeout is no substitute: it limits the whole response, however fast it is read.
	stallTimeout = 30 * time.Second
	// stallBlock is the size of a block in bytes. A large write is not a stalled
	// one, so it is divided.
	stallBlock = 16 << 10
)

// stallListener accepts connections that fail when their peer stops reading.
type stallListener struct{ net.Listener }

func (l stallListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallConn{Conn: conn}, nil
}

// stallConn sets a new deadline for each block that it writes. A deadline of the
// handler's own ([http.ResponseController.SetWriteDeadline]) counts if it is
// earlier.
type stallConn struct {
	net.Conn

	mu       sync.Mutex
	deadline time.Time
}

func (c *stallConn) Write(p []byte) (n int, err error) {
	for first := true; err == nil && (first || n < len(p)); first = false {
		if err = c.extend(); err != nil {
			return n, err
		}
		var written int
		written, err = c.Conn.Write(p[n:min(n+stallBlock, len(p))])
		n += written
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok && errors.Is(err, os.ErrDeadlineExceeded) {
		// Closing then discards what the peer does not read. The system would
		// otherwise keep it for minutes.
		_ = tcp.SetLinger(0)
	}
	return n, err
}

// extend gives the peer time for one more block.
func (c *stallConn) extend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := time.Now().Add(stallTimeout)
	if !c.deadline.IsZero() && c.deadline.Before(next) {
		next = c.deadline
	}
	return c.Conn.SetWriteDeadline(next)
}

func (c *stallConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *stallConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// CloseWrite is for the server, which closes a connection in two steps so that
// its last response is not lost.
func (c *stallConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
