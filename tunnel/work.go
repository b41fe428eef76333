package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"example.com/webpubsub/internal/tunnelwire"
	"example.com/webpubsub/internal/viatunnel"
)

const (
	// maxBody bounds a response: the service takes no more.
	maxBody = 16 << 20
	// maxOpen and maxOpenBytes bound the requests that are served or wait.
	maxOpen      = 10_000
	maxOpenBytes = 64 << 20
)

// work serves requests. They go through an http.Server in memory, so that the
// handler finds what it finds behind http.Serve: the rules for headers, statuses
// and bodies, and a request of its own for everything that it may do with one.
type work struct {
	t      *Tunnel
	ctx    context.Context // of the requests
	slots  chan struct{}
	server *http.Server
	local  *http.Transport
	served chan struct{}

	running         sync.WaitGroup
	open, openBytes atomic.Int64
}

func newWork(ctx context.Context, t *Tunnel, h http.Handler) *work {
	w := &work{t: t, ctx: ctx, slots: make(chan struct{}, t.o.MaxConcurrent), served: make(chan struct{})}
	listener := newListener(t.endpoint)
	w.server = &http.Server{
		Handler:     logPanics(h, t.log),
		BaseContext: func(net.Listener) context.Context { return viatunnel.Mark(ctx) },
		ErrorLog:    slog.NewLogLogger(t.log.Handler(), slog.LevelWarn),
	}
	w.local = &http.Transport{
		DialContext:        listener.dial,
		DisableCompression: true,
		// A connection for each request: one that is reused would make the transport
		// repeat some requests when it ends.
		MaxIdleConnsPerHost: -1,
	}
	go func() {
		defer close(w.served)
		_ = w.server.Serve(listener)
	}()
	return w
}

func (w *work) close() {
	_ = w.server.Close()
	<-w.served
}

// start serves a request of the given size, which has begun on the connection, in
// its own goroutine.
func (w *work) start(c *conn, m *tunnelwire.Request, size int) {
	open, openBytes := w.open.Add(1), w.openBytes.Add(int64(size))
	w.running.Go(func() {
		defer c.end()
		defer w.open.Add(-1)
		defer w.openBytes.Add(int64(-size))
		var r *tunnelwire.Response
		if open > maxOpen || openBytes > maxOpenBytes {
			r = w.failure(m, http.StatusServiceUnavailable, errors.New("too many requests wait for the handler"))
		} else {
			r = w.serve(m)
		}
		r.AckID, r.LocalRouting, r.ChannelName = m.AckID, m.LocalRouting, m.ChannelName
		if err := c.write(r); err != nil {
			w.t.log.Warn("a response could not be sent: the service repeats the request", "connectionId", c.id, "error", err)
			c.abort()
		}
	})
}

// serve returns the response to a request, without what identifies it.
func (w *work) serve(m *tunnelwire.Request) *tunnelwire.Response {
	ctx, cancel := context.WithTimeout(w.ctx, w.t.o.RequestTimeout)
	defer cancel()
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return w.failure(m, http.StatusServiceUnavailable, errors.New("the request waited too long for the handler"))
	}
	req, err := newRequest(ctx, m)
	if err != nil {
		return w.failure(m, http.StatusBadRequest, err)
	}
	resp, err := w.local.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
		_ = resp.Body.Close()
	}
	switch {
	case ctx.Err() != nil:
		return w.failure(m, http.StatusGatewayTimeout, fmt.Errorf("the handler took longer than %v", w.t.o.RequestTimeout))
	case err != nil:
		return w.failure(m, http.StatusInternalServerError, fmt.Errorf("the handler sent no response: %w", err))
	case len(body) > maxBody:
		return w.failure(m, http.StatusInternalServerError, fmt.Errorf("the response of the handler has more than %d bytes", maxBody))
	}
	return &tunnelwire.Response{StatusCode: resp.StatusCode, Header: tunnelwire.EndToEnd(resp.Header), Body: body}
}

// failure is the response where the handler gave none.
func (w *work) failure(m *tunnelwire.Request, status int, err error) *tunnelwire.Response {
	w.t.log.Warn("a request failed", "method", m.Method, "path", pathOf(m.URL), "status", status, "error", err)
	return &tunnelwire.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:       []byte(http.StatusText(status) + "\n"),
	}
}

// pathOf leaves out the query, which may have a key.
func pathOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "?"
	}
	return u.Path
}

// newRequest returns the request for the server in memory. Of the URL, path and
// query count: its host is that of the service, or means nothing.
func newRequest(ctx context.Context, m *tunnelwire.Request) (*http.Request, error) {
	u, err := url.Parse(m.URL)
	if err != nil || u.Opaque != "" {
		return nil, errors.New("the URL cannot be parsed") // the parser's error has all of it
	}
	local := &url.URL{Scheme: "http", Host: "tunnel", Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	req, err := http.NewRequestWithContext(ctx, m.Method, local.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, err
	}
	req.Header = tunnelwire.EndToEnd(m.Header)
	req.Host = u.Host
	for name, values := range req.Header {
		if http.CanonicalHeaderKey(name) == "Host" && len(values) > 0 {
			req.Host = values[0]
			delete(req.Header, name)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header["User-Agent"] = []string{""} // the service sent none, and the transport would
	}
	return req, nil
}

// logPanics logs the panic of a handler, and lets the server abort the response:
// one that was begun must not look complete.
func logPanics(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != any(http.ErrAbortHandler) {
					log.ErrorContext(r.Context(), "the handler panicked", "panic", fmt.Sprint(v), "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// listener is a network in memory.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	peer   address
}

func newListener(endpoint string) *listener {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	if u, err := url.Parse(endpoint); err == nil {
		port := u.Port()
		switch {
		case port == "" && u.Scheme == "http":
			port = "80"
		case port == "":
			port = "443"
		}
		l.peer = address(net.JoinHostPort(u.Hostname(), port))
	}
	return l
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- serverConn{far, l.peer}:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (l *listener) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

// Addr returns the address of the service.
func (l *listener) Addr() net.Addr { return l.peer }

// serverConn has the address of the service as that of its peer, which becomes
// the RemoteAddr of the requests.
type serverConn struct {
	net.Conn
	peer address
}

func (c serverConn) RemoteAddr() net.Addr { return c.peer }

type address string

func (address) Network() string  { return "tunnel" }
func (a address) String() string { return string(a) }
