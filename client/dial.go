package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// handshakeTimeout is for a new connection, up to its first frame.
	handshakeTimeout = 30 * time.Second
	// handshakeLimit bounds what is read before the handshake is complete: TLS
	// certificates and the headers of responses.
	handshakeLimit = 1 << 20
)

// errURL does not contain the URL, which has an access token in it.
var errURL = errors.New("credential returned an invalid client access URL: want wss://{host}/client/hubs/{hub}?access_token={token}")

// dial opens a WebSocket.
func (c *Client) dial(parent context.Context, rawURL string) (*link, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" || u.User != nil {
		return nil, errURL
	}
	ctx, cancel := context.WithTimeout(parent, handshakeTimeout)
	defer cancel()
	p := protocols[c.o.Protocol]
	m := &meter{handshake: handshakeLimit}
	stop := func() bool { return true }
	d := websocket.Dialer{
		Subprotocols:    []string{p.Name()},
		TLSClientConfig: c.o.TLSConfig,
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.connect(ctx, u, addr, func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := c.o.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				m.Conn = conn
				// gorilla/websocket and the handshakes below it do not return when
				// the context ends.
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
				return m, nil
			})
		},
	}
	ws, resp, err := d.DialContext(ctx, u.String(), c.o.Header)
	if !stop() || ctx.Err() != nil {
		if ws != nil {
			_ = ws.Close()
		}
		if parent.Err() != nil {
			return nil, parent.Err()
		}
		return nil, fmt.Errorf("no response to the WebSocket handshake within %v", handshakeTimeout)
	}
	if err != nil {
		return nil, handshakeError(err, resp)
	}
	m.handshake = -1
	if !strings.EqualFold(ws.Subprotocol(), p.Name()) {
		_ = ws.Close()
		return nil, fmt.Errorf("%w: got %q, want %q: check that the URL is the client endpoint of a hub", ErrSubprotocol, ws.Subprotocol(), p.Name())
	}
	return newLink(ws, m, p), nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// connect opens the network connection for a URL, through a proxy if there is
// one.
func (c *Client) connect(ctx context.Context, u *url.URL, addr string, dial dialFunc) (net.Conn, error) {
	proxy, err := c.o.Proxy(proxyRequest(ctx, u))
	switch {
	case err != nil:
		return nil, fmt.Errorf("proxy: %w", err)
	case proxy != nil:
		return dialProxy(ctx, proxy, c.o.TLSConfig, addr, dial)
	}
	return dial(ctx, "tcp", addr)
}

// proxyRequest is what a proxy is chosen for. It does not contain the token.
func proxyRequest(ctx context.Context, u *url.URL) *http.Request {
	scheme := map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: scheme, Host: u.Host, Path: u.Path}, Host: u.Host, Header: http.Header{}}
	return r.WithContext(ctx)
}

func handshakeError(err error, resp *http.Response) error {
	if !errors.Is(err, websocket.ErrBadHandshake) || resp == nil {
		return err
	}
	body, _ := io.ReadAll(resp.Body) // in memory already, and of at most 1,024 bytes
	return &HandshakeError{resp.StatusCode, resp.Header, string(body)}
}

// recoveryURL adds what identifies the connection to the URL that it was made
// with.
func recoveryURL(s *session) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url // cannot happen: it was dialed
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "awps_connection_id=" + url.QueryEscape(s.id) + "&awps_reconnection_token=" + url.QueryEscape(s.token)
	return u.String()
}

var errHandshakeTooLarge = errors.New("the response to the WebSocket handshake is too large")

// meter is the network connection of a link. It notes when something is
// received: a large message over a slow connection is no silence. All but active
// is accessed only by the reader goroutine.
type meter struct {
	net.Conn
	active    atomic.Bool
	handshake int // bytes that the handshake may still read; negative: it is over
	silence   time.Duration
	end       time.Time
}

// limitSilence makes reads fail if nothing is received for the silence, or after
// most. Zero lifts the limits.
func (m *meter) limitSilence(silence, most time.Duration) {
	m.silence, m.end = silence, time.Now().Add(most)
	if silence == 0 {
		_ = m.SetReadDeadline(time.Time{})
	}
}

func (m *meter) Read(b []byte) (int, error) {
	if m.silence > 0 {
		limit := time.Now().Add(m.silence)
		if limit.After(m.end) {
			limit = m.end
		}
		_ = m.SetReadDeadline(limit)
	}
	n, err := m.Conn.Read(b)
	if n > 0 && !m.active.Load() { // do not write to shared memory each time
		m.active.Store(true)
	}
	if m.handshake >= 0 {
		if m.handshake -= n; m.handshake < 0 {
			m.handshake = 0
			return 0, errHandshakeTooLarge
		}
	}
	return n, err
}
