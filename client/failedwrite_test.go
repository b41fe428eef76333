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

// late is the network connection to a service that has closed it: the client receives
// what was sent last after its own write has failed.
type late struct {
	net.Conn
	writes, reads atomic.Int32 // the reader goroutine writes, too
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
		time.Sleep(time.Millisecond) // until the write has failed
	}
	return n, err
}

// Regression test: if the service cannot recover a connection, it closes the new
// WebSocket with code 1008 right after the handshake. A concurrent write by the
// client then fails. The client reported the write error instead of the close
// frame, treated it as recoverable, and kept trying to recover a connection that
// no longer existed.
func TestCloseFrameAfterWriteError(t *testing.T) {
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
			t.Error("the client tries to recover a connection that has ended")
		}
		p.send(`{"type":"system","event":"connected","userId":"alice","connectionId":"c2"}`)
		e.expect(t, "connected c1 alice", "recovering c1", `disconnected c1 1006 "" tried=true`, "connected c2 alice")
		go p.serve()
	})
}
