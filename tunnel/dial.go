package tunnel

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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/tunnelwire"
	"example.com/webpubsub/internal/wsconn"
)

const (
	handshakeTimeout = 30 * time.Second
	tokenTimeout     = time.Minute
	// connectedTimeout is how long the service may take to send Connected.
	connectedTimeout = 20 * time.Second
	// tokenLifetime is what the public client end uses. A token is used once.
	tokenLifetime = time.Hour
)

// tokenSource returns the access token for an audience.
type tokenSource interface {
	get(ctx context.Context, audience string) (string, error)
}

type keyToken struct {
	key func(context.Context) (string, error)
	id  string
}

func (k keyToken) get(ctx context.Context, audience string) (string, error) {
	key, err := k.key(ctx)
	if err != nil {
		return "", fmt.Errorf("get access key: %w", err)
	}
	if key == "" {
		return "", errors.New("access key is empty: the credential returned none")
	}
	return token.Sign(key, token.Claims{Audience: audience, UserID: k.id, Expires: time.Now().Add(tokenLifetime)})
}

type entraToken struct {
	cred  azcore.TokenCredential
	scope string
}

func (e entraToken) get(ctx context.Context, _ string) (string, error) {
	t, err := e.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{e.scope}})
	return t.Token, err
}

// dial opens a connection, and returns it when the service has accepted it.
func (t *Tunnel) dial(ctx context.Context, to tunnelwire.Redirect) (*conn, error) {
	endpoint, target := t.endpoint, t.proxy
	if to.Endpoint != "" {
		other, err := connstr.Endpoint(to.Endpoint, "")
		if err != nil {
			return nil, fmt.Errorf("the service asks to connect to %q: %w", to.Endpoint, err)
		}
		if isHTTP(other) && !isHTTP(t.endpoint) {
			return nil, fmt.Errorf("the service asks to connect to %s, which has no TLS: credentials are not sent there", other)
		}
		endpoint, target = other, other
	}
	query := tunnelwire.Path + "?hub=" + url.QueryEscape(t.hub)
	if to.Target != "" {
		query += "&target=" + url.QueryEscape(to.Target)
	}
	tokenCtx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	secret, err := t.token.get(tokenCtx, webSocket(endpoint)+query)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	dialer, bound := t.dialer()
	ws, resp, err := dialer.DialContext(ctx, webSocket(target)+query+"&access_token="+url.QueryEscape(secret), nil)
	if err != nil {
		return nil, explain(err, resp, target, secret)
	}
	bound.Complete()
	c := newConn(t, ws)
	if err := c.awaitConnected(ctx); err != nil {
		_ = ws.Close()
		return nil, err
	}
	return c, nil
}

// dialer returns a dialer for one connection, and the bound on what its handshake
// reads.
func (t *Tunnel) dialer() (*websocket.Dialer, *wsconn.HandshakeBound) {
	d := *t.o.Dialer
	d.Subprotocols = nil
	bound := new(wsconn.HandshakeBound)
	dial := d.NetDialContext
	switch netDial := d.NetDial; { //nolint:staticcheck // a caller's dialer may still have it
	case dial != nil:
	case netDial != nil:
		dial = func(_ context.Context, network, addr string) (net.Conn, error) { return netDial(network, addr) }
	default:
		dial = new(net.Dialer).DialContext
	}
	d.NetDialContext = bounded(dial, bound)
	if d.NetDialTLSContext != nil {
		d.NetDialTLSContext = bounded(d.NetDialTLSContext, bound)
	}
	if d.HandshakeTimeout == 0 {
		d.HandshakeTimeout = handshakeTimeout
	}
	if d.WriteBufferSize == 0 && d.WriteBufferPool == nil {
		d.WriteBufferSize = chunk
	}
	return &d, bound
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// bounded returns dial with a bound on what its connections read.
func bounded(dial dialFunc, bound *wsconn.HandshakeBound) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &boundedConn{c, bound}, nil
	}
}

type boundedConn struct {
	net.Conn
	bound *wsconn.HandshakeBound
}

func (c *boundedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err := c.bound.Add(n); err != nil {
		return 0, err
	}
	return n, err
}

// webSocket returns an endpoint with ws for http and wss for https.
func webSocket(endpoint string) string { return "ws" + strings.TrimPrefix(endpoint, "http") }

// explain returns the error of a failed handshake with its remedy and without the
// token.
func explain(err error, resp *http.Response, target, secret string) error {
	if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
		err = errors.New("the WebSocket connection could not be opened")
	}
	if resp == nil {
		return fmt.Errorf("cannot connect to %s: %w", target, err)
	}
	remedy := "is this the endpoint of a Web PubSub resource?"
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		remedy = "check that the access key is one of this resource, that access keys are enabled, and the clock of this machine; an identity needs the role Web PubSub Service Owner"
	case http.StatusForbidden:
		remedy = "check that the identity has the role Web PubSub Service Owner, and that the network access control of the resource allows server connections"
	case http.StatusNotFound:
		remedy = "check the endpoint; an emulator may have no tunnel"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		remedy = "the service is not available at the moment"
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // gorilla/websocket has read it already
	if said := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " "); said != "" {
		remedy += fmt.Sprintf(" (response: %q)", said)
	}
	return fmt.Errorf("%s rejected the tunnel with the status %s: %s", target, resp.Status, remedy)
}
