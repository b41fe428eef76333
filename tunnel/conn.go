package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
)

const (
	// maxFrame bounds what is read. An event has at most 1 MiB and its headers.
	maxFrame = 16 << 20
	// chunk is how much is written before the deadline is renewed, so that a slow
	// connection that makes progress is not closed.
	chunk        = 64 << 10
	writeTimeout = 30 * time.Second
	// pingInterval is the time between WebSocket pings. The protocol has no others.
	pingInterval = 20 * time.Second
	idleTimeout  = 60 * time.Second
	closeTimeout = 5 * time.Second
)

// conn is one WebSocket connection of a tunnel.
type conn struct {
	t  *Tunnel
	ws *websocket.Conn
	id string

	// moved gets the first Reconnect.
	moved chan tunnelwire.Redirect
	// done is closed when nothing more is read. Then err is the reason, and closed
	// whether the service asked for the end.
	done   chan struct{}
	err    error
	closed bool

	writing sync.Mutex

	mu       sync.Mutex
	open     int  // requests without a response
	draining bool // closed as soon as none is open
	closing  bool // a close frame has been sent: requests that arrive are not served
}

func newConn(t *Tunnel, ws *websocket.Conn) *conn {
	c := &conn{t: t, ws: ws, moved: make(chan tunnelwire.Redirect, 1), done: make(chan struct{})}
	ws.SetReadLimit(maxFrame)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { c.heard(); return pong(data) })
	ws.SetPongHandler(func(string) error { c.heard(); return nil })
	return c
}

// heard moves the time when the peer counts as dead. One that has been sent a
// close frame has to respond with one.
func (c *conn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		_ = c.ws.SetReadDeadline(time.Now().Add(idleTimeout))
	}
}

// awaitConnected reads the first message.
func (c *conn) awaitConnected(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.abort)()
	_ = c.ws.SetReadDeadline(time.Now().Add(connectedTimeout))
	b, err := c.read()
	if err != nil {
		return fmt.Errorf("the service sent no first message: %w", err)
	}
	m, err := tunnelwire.Decode(b)
	switch m := m.(type) {
	case nil:
		return err
	case *tunnelwire.Connected:
		c.id = m.ConnectionID
		c.heard()
		return nil
	case *tunnelwire.Close:
		return fmt.Errorf("the service closed the new connection: %q", m.Message)
	}
	return fmt.Errorf("the first message of the service is a %T, not Connected", m)
}

// read returns the next binary message.
func (c *conn) read() ([]byte, error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.BinaryMessage {
		return nil, errors.New("the service sent a text message: a tunnel has binary messages")
	}
	return io.ReadAll(progress{c, r})
}

// progress renews the deadline with each part of a message that arrives.
type progress struct {
	c *conn
	r io.Reader
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.c.heard()
	}
	return n, err
}

// write sends a message.
func (c *conn) write(m tunnelwire.Message) error {
	b, err := tunnelwire.Append(nil, m)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	w, err := c.ws.NextWriter(websocket.BinaryMessage)
	for err == nil && len(b) > 0 {
		n := min(len(b), chunk)
		_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err = w.Write(b[:n])
		b = b[n:]
	}
	if err == nil {
		err = w.Close()
	}
	return err
}

// ping sends pings until the connection ends.
func (c *conn) ping() {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-c.done:
			return
		}
	}
}

// begin counts a request. It reports false if the connection is closing.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.open++
	}
	return !c.closing
}

// end counts a request whose response was sent.
func (c *conn) end() {
	c.mu.Lock()
	c.open--
	c.mu.Unlock()
	c.closeIfDrained()
}

// drain closes the connection as soon as no request is open.
func (c *conn) drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	c.closeIfDrained()
}

func (c *conn) closeIfDrained() {
	c.mu.Lock()
	now := c.draining && c.open == 0 && !c.closing
	if now {
		c.closing = true
		_ = c.ws.SetReadDeadline(time.Now().Add(closeTimeout))
	}
	c.mu.Unlock()
	if !now {
		return
	}
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(closeTimeout))
}

// abort closes the network connection.
func (c *conn) abort() { _ = c.ws.Close() }
