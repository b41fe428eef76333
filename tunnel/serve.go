package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/tunnelwire"
)

// maxConnections bounds the connections that the service can ask for.
const maxConnections = 16

var reconnect = backoff.Policy{Delay: time.Second, MaxDelay: 30 * time.Second, MinLife: 10 * time.Second}

// ErrClosed is returned by [Tunnel.Serve] when the service has closed the tunnel.
var ErrClosed = errors.New("tunnel: closed by the service")

// Serve opens the tunnel and serves the requests of the service on h until ctx
// is cancelled, and returns nil when the responses to open requests have been sent.
// Requests that are open after [Options].ShutdownTimeout are cancelled and an
// error is returned. Cancelling ctx does not cancel the contexts of the requests.
//
// It fails if the first connection cannot be opened, with the error of ctx if it
// ends before. Later ones are tried until
// one is accepted. If the service closes the tunnel, Serve returns [ErrClosed].
func (t *Tunnel) Serve(ctx context.Context, h http.Handler) error {
	if h == nil {
		return errors.New("tunnel: the handler is nil")
	}
	first, err := t.dial(ctx, tunnelwire.Redirect{})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("tunnel: %w", err)
	}
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s := &server{t: t, ctx: ctx, conns: make(map[*conn]bool), work: newWork(requests, t, h)}
	defer s.work.close()
	s.start(tunnelwire.Redirect{}, first)

	stopped := make(chan struct{})
	go func() {
		s.runs.Wait()
		s.links.Wait()
		s.work.running.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		if ctx.Err() == nil {
			return ErrClosed
		}
		return nil
	case <-ctx.Done():
	}
	s.drain()
	timeout := time.NewTimer(t.o.ShutdownTimeout)
	defer timeout.Stop()
	select {
	case <-stopped:
		return nil
	case <-timeout.C:
		cancel()
		s.abort()
		<-stopped
		return fmt.Errorf("tunnel: requests were still open %v after the shutdown began", t.o.ShutdownTimeout)
	}
}

// server is one call of Serve.
type server struct {
	t    *Tunnel
	ctx  context.Context // of Serve
	work *work
	runs sync.WaitGroup // one for each place to be connected to
	// links is the goroutines of the connections, which may be drained after their
	// run has opened the next one.
	links sync.WaitGroup

	mu      sync.Mutex
	running int
	conns   map[*conn]bool
	over    bool // ctx has ended: connections are drained from the start
}

// start keeps a connection to a place open, in its own goroutine. first may
// be nil.
func (s *server) start(to tunnelwire.Redirect, first *conn) {
	s.mu.Lock()
	// Once the last place is given up, the tunnel has ended.
	ok := first != nil || s.running > 0 && s.running < maxConnections && !s.over
	if ok {
		s.running++
		s.runs.Add(1)
	}
	s.mu.Unlock()
	if !ok {
		s.t.log.Warn("no further connection is opened", "max", maxConnections)
		return
	}
	go func() {
		defer s.runs.Done()
		s.run(to, first)
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
}

// run keeps a connection open until the service closes it, or ctx ends.
func (s *server) run(to tunnelwire.Redirect, c *conn) {
	retry := backoff.New(reconnect)
	var old *conn // replaced by the next one
	for retry.Wait(s.ctx) == nil {
		var err error
		if c == nil {
			c, err = s.t.dial(s.ctx, to)
		}
		if err != nil {
			if s.ctx.Err() == nil {
				s.t.log.Warn("the tunnel cannot be opened, trying again", "error", err, "attempt", retry.Tries())
			}
			continue
		}
		s.open(c)
		if old != nil {
			old.drain()
			old = nil
		}
		began := time.Now()
		select {
		case <-c.done:
			select {
			case to = <-c.moved: // sent just before the end
			default:
			}
			if s.ctx.Err() == nil && !c.closed {
				s.t.log.Warn("the tunnel connection was lost", "connectionId", c.id, "error", c.err)
			}
		case to = <-c.moved:
			old = c
		case <-s.ctx.Done():
			return
		}
		if old == nil && c.closed {
			return
		}
		retry.Ended(time.Since(began), true)
		c = nil
	}
}

// open begins to read a connection.
func (s *server) open(c *conn) {
	s.mu.Lock()
	s.conns[c] = true
	over := s.over
	s.mu.Unlock()
	s.t.log.Info("the tunnel is open", "hub", s.t.hub, "connectionId", c.id)
	if s.t.o.Connected != nil {
		s.t.o.Connected(c.id)
	}
	s.links.Go(c.ping)
	s.links.Go(func() {
		defer close(c.done)
		defer func() { _ = c.ws.Close() }()
		c.err = s.read(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
	if over {
		c.drain()
	}
}

// read carries out what the service sends, until the connection ends.
func (s *server) read(c *conn) error {
	log := s.t.log.With("connectionId", c.id)
	for {
		b, err := c.read()
		if err != nil {
			return err
		}
		m, err := tunnelwire.Decode(b)
		if err != nil {
			return err
		}
		c.heard()
		switch m := m.(type) {
		case *tunnelwire.Request:
			if c.begin() {
				s.work.start(c, m, len(b))
			}
		case *tunnelwire.Status:
			log.Info("the service reports", "message", m.Message)
		case *tunnelwire.Reconnect:
			log.Info("the service asks to reconnect", "message", m.Message, "endpoint", m.Endpoint, "target", m.Target)
			select {
			case c.moved <- m.Redirect:
			default: // one is enough
			}
		case *tunnelwire.Rebalance:
			log.Info("the service asks for one more connection", "message", m.Message, "endpoint", m.Endpoint, "target", m.Target)
			s.start(m.Redirect, nil)
		case *tunnelwire.Close:
			log.Info("the service closes the connection", "message", m.Message)
			c.closed = true
			c.drain()
		default:
			log.Debug("an unexpected message is ignored", "message", fmt.Sprintf("%T", m))
		}
	}
}

func (s *server) drain() {
	s.mu.Lock()
	s.over = true
	conns := s.list()
	s.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
}

func (s *server) abort() {
	s.mu.Lock()
	conns := s.list()
	s.mu.Unlock()
	for _, c := range conns {
		c.abort()
	}
}

// list must be called with s.mu held.
func (s *server) list() []*conn {
	out := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c)
	}
	return out
}
