package tunnels

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
)

const (
	// maxFrame bounds what is read: a response with the 16 MiB that an event handler
	// may send, and its headers.
	maxFrame     = 17 << 20
	maxBody      = 16 << 20
	maxCalls     = 1000
	writeTimeout = 30 * time.Second
)

// link is the connection of a tunnel client.
type link struct {
	registry *Registry
	ws       *websocket.Conn
	info     Info
	leaving  bool // asked to leave; guarded by registry.mu
	done     chan struct{}

	writing sync.Mutex
	calls   atomic.Int64 // REST calls in progress

	mu     sync.Mutex
	lastID int64
	open   map[int64]*exchange // nil when the link has ended
}

// exchange is a request that waits for its response.
type exchange struct {
	parts *tunnelwire.Response // what has come of it; nil before the first
	done  chan error           // nil error: parts is complete
}

func newLink(g *Registry, ws *websocket.Conn, info Info) *link {
	info.ConnectionID = rand.Text()
	l := &link{registry: g, ws: ws, info: info, done: make(chan struct{}), open: make(map[int64]*exchange)}
	ws.SetReadLimit(maxFrame)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { l.heard(); return pong(data) })
	ws.SetPongHandler(func(string) error { l.heard(); return nil })
	return l
}

func (l *link) heard() { _ = l.ws.SetReadDeadline(time.Now().Add(3 * l.registry.o.PingInterval)) }

func (l *link) ping() {
	ticker := time.NewTicker(l.registry.o.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_ = l.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout))
		case <-l.done:
			return
		}
	}
}

// serve sends Connected and reads its frames until the connection ends.
func (l *link) serve() {
	defer close(l.done)
	defer func() { _ = l.ws.Close() }()
	l.heard()
	err := l.greet()
	if err == nil {
		l.registry.o.Opened(l.info, "")
		err = l.read()
	}
	l.registry.remove(l)
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, x := range open {
		x.done <- fmt.Errorf("the tunnel was lost before the response came: %w", err)
	}
	l.registry.o.Closed(l.info, err.Error())
}

// greet registers the link and sends Connected, which is the first frame even if
// a request follows immediately.
func (l *link) greet() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.registry.add(l) {
		return errors.New("the server is closed")
	}
	return l.writeLocked(&tunnelwire.Connected{ConnectionID: l.info.ConnectionID})
}

func (l *link) read() error {
	for {
		kind, r, err := l.ws.NextReader()
		if err != nil {
			return err
		}
		if kind != websocket.BinaryMessage {
			return errors.New("a tunnel client sends binary messages, not text")
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		l.heard()
		m, err := tunnelwire.Decode(b)
		if err != nil {
			l.registry.o.Logger.Warn("tunnel", "hub", l.info.Hub, "connectionId", l.info.ConnectionID, "error", err)
			return err
		}
		switch m := m.(type) {
		case *tunnelwire.Response:
			l.receive(m)
		case *tunnelwire.Request:
			n := l.calls.Add(1)
			l.registry.work.Go(func() {
				defer l.calls.Add(-1)
				l.call(m, n > maxCalls)
			})
		}
	}
}

// receive takes a response, or a part of one. Those of requests that were given
// up are ignored.
func (l *link) receive(m *tunnelwire.Response) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.open[m.AckID]
	if x == nil {
		return
	}
	if x.parts == nil {
		x.parts = m
	} else {
		x.parts.Body = append(x.parts.Body, m.Body...)
	}
	switch {
	case len(x.parts.Body) > maxBody:
		delete(l.open, m.AckID)
		x.done <- fmt.Errorf("the response through the tunnel has more than %d bytes", maxBody)
	case !m.NotCompleted:
		delete(l.open, m.AckID)
		x.done <- nil
	}
}

func (l *link) write(m tunnelwire.Message) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.writeLocked(m)
}

// writeLocked needs l.writing.
func (l *link) writeLocked(m tunnelwire.Message) error {
	b, err := tunnelwire.Append(nil, m)
	if err != nil {
		return err
	}
	_ = l.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	return l.ws.WriteMessage(websocket.BinaryMessage, b)
}

// begin registers a request and gives it its AckID.
func (l *link) begin(m *tunnelwire.Request) (*exchange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return nil, errors.New("the tunnel has just been lost")
	}
	l.lastID++
	m.AckID = l.lastID
	x := &exchange{done: make(chan error, 1)}
	l.open[m.AckID] = x
	return x, nil
}

// forget gives a request up.
func (l *link) forget(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
}

// call executes a REST call of the client. It always sends a response.
func (l *link) call(m *tunnelwire.Request, tooMany bool) {
	var r *tunnelwire.Response
	if tooMany {
		r = plain(http.StatusTooManyRequests, fmt.Sprintf("More than %d requests of this tunnel are open.", maxCalls))
	} else {
		r = call(l.registry.o.REST, l.info.Hub, m)
	}
	r.AckID, r.LocalRouting, r.ChannelName = m.AckID, m.LocalRouting, m.ChannelName
	if err := l.write(r); err != nil {
		_ = l.ws.Close()
	}
}
