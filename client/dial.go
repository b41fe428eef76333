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
	"time"

	"github.com/gorilla/websocket"
)

const (
	// handshakeTimeout is for a new connection, up to its first frame.
	handshakeTimeout = 30 * time.Second
	// reopenTimeout is for a new connection after the first, with the credential: an
	// endpoint that never answers must not be waited for.
	reopenTimeout = 2 * time.Minute
	// attemptTimeout is for one attempt to recover: a lost packet must not use
	// up the recovery window.
	attemptTimeout = 10 * time.Second
)

// dial opens a WebSocket. No error shows the URL, which has a token in it.
func (c *Client) dial(ctx context.Context, rawURL string) (*link, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" || u.User != nil {
		return nil, errors.New("the credential gave no URL of the form wss://{host}/client/hubs/{hub}?access_token={token}")
	}
	p := protocols[c.o.Protocol]
	d := *c.o.Dialer
	d.Subprotocols = []string{p.Name()}
	if d.HandshakeTimeout == 0 {
		d.HandshakeTimeout = handshakeTimeout
	}
	// gorilla/websocket heeds the deadline of the context while it waits for
	// the answer, but not its end.
	stop := func() bool { return true }
	watch := func(dial dialFunc) dialFunc {
		return func(dctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(dctx, network, addr)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		}
	}
	if d.NetDialTLSContext != nil {
		d.NetDialTLSContext = watch(d.NetDialTLSContext)
	}
	d.NetDialContext = watch(plainDial(&d))

	ws, resp, err := d.DialContext(ctx, u.String(), c.o.Header)
	if !stop() || ctx.Err() != nil {
		if ws != nil {
			_ = ws.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, handshakeError(err, resp)
	}
	if !strings.EqualFold(ws.Subprotocol(), p.Name()) {
		_ = ws.Close()
		return nil, fmt.Errorf("%w: it selected %q, not %q: is this the client endpoint of a hub?", ErrSubprotocol, ws.Subprotocol(), p.Name())
	}
	return newLink(ws, p), nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func plainDial(d *websocket.Dialer) dialFunc {
	switch {
	case d.NetDialContext != nil:
		return d.NetDialContext
	case d.NetDial != nil: //nolint:staticcheck // a user's dialer may still have it
		dial := d.NetDial
		return func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }
	}
	return new(net.Dialer).DialContext
}

func handshakeError(err error, resp *http.Response) error {
	if !errors.Is(err, websocket.ErrBadHandshake) || resp == nil {
		return err
	}
	body, _ := io.ReadAll(resp.Body) // in memory already
	return &HandshakeError{resp.StatusCode, resp.Header, string(body)}
}

// recoveryURL adds what identifies the connection to the URL that it was made
// with.
func recoveryURL(s *session) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url // cannot be: it was dialled
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "awps_connection_id=" + url.QueryEscape(s.id) + "&awps_reconnection_token=" + url.QueryEscape(s.token)
	return u.String()
}
