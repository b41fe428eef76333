package client_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/client"
)

// late is the network of a service that closes and hangs up: when the client
// gets what was sent last, its own write has failed already.
type late struct {
	net.Conn
	writes, reads atomic.Int32 // the reader answers a close frame itself
	arrived       chan struct{}
}

func (c *late) Write(b []byte) (int, error) {
	if c.writes.Add(1) == 1 { // the handshake
		return c.Conn.Write(b)
	}
	<-c.arrived
	return 0, io.ErrClosedPipe
}

func (c *late) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.reads.Add(1) == 2 { // the first after the handshake
		close(c.arrived)
		time.Sleep(time.Millisecond) // in which the write fails, and is dealt with
	}
	return n, err
}

// A service that cannot recover a connection closes it with 1008 right after the
// handshake, while the client is writing. The write that failed hid the close
// frame, and the client asked again and again for a connection that was gone.
func TestCloseFrameBehindAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		dials := 0
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, addr)
			if dials++; dials == 2 && err == nil {
				conn = &late{Conn: conn, arrived: make(chan struct{})}
			}
			return conn, err
		}
		_, p, e := start(t, s, client.Options{DialContext: dial})
		p.cut()
		s.next().close(1008, "The connection could not be recovered.")
		p = s.next()
		if strings.Contains(p.request.URL.RawQuery, "awps_connection_id") {
			t.Error("the client tries to recover what the service has given up")
		}
		p.send(`{"type":"system","event":"connected","userId":"alice","connectionId":"c2"}`)
		e.expect(t, "connected c1 alice", "recovering c1", `disconnected c1 1006 "" tried=true`, "connected c2 alice")
		go p.serve()
	})
}
