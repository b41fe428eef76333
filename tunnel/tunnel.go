package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/azclient"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/names"
)

// Options configures a [Tunnel]. The zero value, or nil, is ready to use.
type Options struct {
	// Logger receives connections and messages of the service at level Info, and lost
	// connections and failed requests at level Warn. Default: nothing is logged.
	Logger *slog.Logger
	// Connected is called with the ID of each connection when the service has
	// accepted it. It must not block. Default: nothing is called.
	Connected func(connectionID string)

	// MaxConcurrent is the number of requests that the handler serves at the same
	// time. Default: 256.
	MaxConcurrent int
	// RequestTimeout is how long the handler has for a request. Default: 100 s,
	// after which the service has given up.
	RequestTimeout time.Duration
	// ShutdownTimeout is how long open requests may take to end after the context
	// of Serve has been cancelled. Default: 10 s.
	ShutdownTimeout time.Duration

	// ReverseProxyEndpoint replaces the endpoint in the URL that is dialed, for a
	// service behind a gateway such as API Management. Tokens are for the endpoint
	// itself. It is not used where the service asks to connect to another endpoint.
	// Default: the endpoint is dialed.
	ReverseProxyEndpoint string
	// Dialer opens the WebSocket connections: proxy, TLS configuration, network. It
	// is not modified, and its Subprotocols are not used. Default: the proxy of the
	// environment, and a handshake of at most 30 s.
	Dialer *websocket.Dialer
	// Cloud decides for which audience [New] gets tokens, as in package service.
	// Default: the public cloud.
	Cloud cloud.Configuration
	// InsecureAllowCredentialWithHTTP lets [New] send a token to an endpoint
	// without TLS, for example in a test. Default: that is an error.
	InsecureAllowCredentialWithHTTP bool
}

// Tunnel receives the events of one hub. It is created by [New],
// [NewWithKeyCredential] or [NewFromConnectionString]. It is safe for concurrent use.
type Tunnel struct {
	o        Options
	log      *slog.Logger
	endpoint string
	proxy    string // the endpoint, unless Options has another
	hub      string
	id       string // the claim sub of its connections
	token    tokenSource
}

// New returns a tunnel that authenticates with Microsoft Entra. The endpoint is
// the URL of the resource, for example https://contoso.webpubsub.azure.com.
func New(endpoint, hub string, credential azcore.TokenCredential, options *Options) (*Tunnel, error) {
	if credential == nil {
		return nil, errors.New("tunnel: credential is nil: pass a credential of azidentity, or use NewWithKeyCredential")
	}
	t, err := newTunnel(endpoint, hub, options)
	if err != nil {
		return nil, err
	}
	if !t.o.InsecureAllowCredentialWithHTTP && (isHTTP(t.endpoint) || isHTTP(t.proxy)) {
		return nil, errors.New("tunnel: token credentials require https: use an https endpoint or an access key, or set Options.InsecureAllowCredentialWithHTTP")
	}
	t.token = entraToken{credential, azclient.Scope(t.o.Cloud)}
	return t, nil
}

// NewWithKeyCredential returns a tunnel that authenticates with an access key of
// the resource. The credential, which can be a service.KeyCredential, returns the
// current key and is called for each connection.
func NewWithKeyCredential(endpoint, hub string, credential func(context.Context) (accessKey string, err error), options *Options) (*Tunnel, error) {
	if credential == nil {
		return nil, errors.New("tunnel: access key is empty: copy one from the Keys page of the resource")
	}
	t, err := newTunnel(endpoint, hub, options)
	if err != nil {
		return nil, err
	}
	t.token = keyToken{credential, t.id}
	return t, nil
}

// NewFromConnectionString returns a tunnel for a connection string as the portal
// displays it, Endpoint=…;AccessKey=…;Version=1.0; and authenticates like
// [NewWithKeyCredential].
func NewFromConnectionString(connectionString, hub string, options *Options) (*Tunnel, error) {
	cs, err := connstr.Parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	key := func(context.Context) (string, error) { return cs.AccessKey, nil }
	return NewWithKeyCredential(cs.Endpoint, hub, key, options)
}

func newTunnel(endpoint, hub string, o *Options) (*Tunnel, error) {
	t := &Tunnel{hub: hub, id: newGUID()}
	if o != nil {
		t.o = *o
	}
	if t.o.MaxConcurrent < 0 || t.o.RequestTimeout < 0 || t.o.ShutdownTimeout < 0 {
		return nil, errors.New("tunnel: MaxConcurrent, RequestTimeout and ShutdownTimeout of Options cannot be negative")
	}
	setDefault(&t.o.MaxConcurrent, 256)
	setDefault(&t.o.RequestTimeout, 100*time.Second)
	setDefault(&t.o.ShutdownTimeout, 10*time.Second)
	if t.log = t.o.Logger; t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.o.Dialer == nil {
		t.o.Dialer = &websocket.Dialer{Proxy: http.ProxyFromEnvironment}
	}
	var err error
	if t.endpoint, err = connstr.Endpoint(endpoint, ""); err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	t.proxy = t.endpoint
	if p := t.o.ReverseProxyEndpoint; p != "" {
		if t.proxy, err = connstr.Endpoint(p, ""); err != nil {
			return nil, fmt.Errorf("tunnel: reverse proxy: %w", err)
		}
	}
	if err := names.Hub(hub); err != nil {
		return nil, fmt.Errorf("tunnel: %w", err)
	}
	return t, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func isHTTP(endpoint string) bool { return strings.HasPrefix(endpoint, "http:") }

// newGUID returns a random (version 4) GUID.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
