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

	"example.com/webpubsub/internal/wsconn"
)

// handshakeTimeout is the time limit for the handshake, and for the connected
// frame after it.
const handshakeTimeout = 30 * time.Second

// errURL does not contain the URL, which contains an access token.
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
	m := new(meter)
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
				// The handshakes do not return when the context ends.
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
	m.handshake.Complete()
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

// proxyRequest returns the request for which a proxy is chosen. It does not contain
// the access token.
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

// recoveryURL returns the URL of the connection with the query parameters that
// recover it.
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

// meter is the network connection of a link. It records whether data is received:
// during a large message over a slow network, no frame is. Its fields except active
// are accessed only by the reader goroutine.
type meter struct {
	net.Conn
	active    atomic.Bool
	handshake wsconn.HandshakeBound
	silence   time.Duration
	end       time.Time
}

// limitSilence sets the maximum period without received data and a time limit for
// all reads together. Zero removes both.
func (m *meter) limitSilence(silence, limit time.Duration) {
	m.silence, m.end = silence, time.Now().Add(limit)
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
	if err := m.handshake.Add(n); err != nil {
		return 0, err
	}
	return n, err
}
