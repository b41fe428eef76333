package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/wire"
)

// Credential returns the client access URL to connect to, which contains an access
// token. It is called for every new connection, so that a token need not be valid
// for longer than it takes to connect. It is not called to recover a connection.
//
// The context ends when the attempt is abandoned: with the context of Start, when
// Stop is called, and after two minutes for a reconnect. The function must return
// promptly when the context is canceled and must not call Stop.
type Credential func(ctx context.Context) (string, error)

// URL returns a credential that always returns the same URL. The token in it must
// be valid until the last reconnect.
func URL(u string) Credential {
	return func(context.Context) (string, error) { return u, nil }
}

// Protocol is a subprotocol of Web PubSub.
type Protocol int

// Subprotocols. JSON is readable in a trace, protobuf is smaller. Only the
// reliable ones recover interrupted connections without message loss.
const (
	ReliableJSON Protocol = iota
	JSON
	ReliableProtobuf
	Protobuf
)

var protocols = [...]wire.Protocol{wire.ReliableJSON, wire.JSON, wire.ReliableProtobuf, wire.Protobuf}

// String returns the registered name, for example
// "json.reliable.webpubsub.azure.v1".
func (p Protocol) String() string {
	if p < 0 || int(p) >= len(protocols) {
		return fmt.Sprintf("Protocol(%d)", int(p))
	}
	return protocols[p].Name()
}

// RetryOptions describes how often a request is retried, and after which delay.
// The delay doubles with each retry, and a random part of at most half of it is
// taken off, so that clients that failed together do not retry together.
type RetryOptions struct {
	// MaxRetries is the number of retries. Negative: none. Default: see where the
	// options are used.
	MaxRetries int
	// RetryDelay is the delay before the first retry, at least 1 ms. Default: 1 s.
	RetryDelay time.Duration
	// MaxRetryDelay is the upper bound of the delay, at least 1 ms. Default: 30 s,
	// or RetryDelay if that is longer.
	MaxRetryDelay time.Duration
}

// Options configures a [Client]. The zero value is valid.
type Options struct {
	// Protocol is the subprotocol. Default: ReliableJSON.
	Protocol Protocol
	// Header is sent with every handshake, for example a User-Agent. Default: nil.
	Header http.Header
	// DialContext opens network connections to the service or the proxy, without
	// TLS. Default: the method of a zero [net.Dialer].
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is used for wss URLs and https proxies. It is not modified. Its
	// Certificates are sent to a service that asks for a client certificate, which
	// has it in the connect event.
	// Default: nil, which means the defaults of package crypto/tls.
	TLSConfig *tls.Config
	// Proxy returns the proxy for a request, or nil for none. The URL of the request
	// has the scheme http or https and no query; that of the proxy has the scheme
	// http, https, socks5 or socks5h. Default: [http.ProxyFromEnvironment].
	Proxy func(*http.Request) (*url.URL, error)
	// Logger receives connection state changes at Debug level and problems at Warn
	// level. Tokens and messages are never logged. Default: nothing is logged.
	Logger *slog.Logger

	// DisableReconnect stops the client when its connection ends. Default: false.
	DisableReconnect bool
	// DisableRejoin does not rejoin the groups after a reconnect. Default: false.
	DisableRejoin bool
	// ReconnectRetry is used for new connections after the first. MaxRetries is the
	// number of attempts in a row: a connection counts as a failed attempt until it
	// has lasted for 10 s. Default: MaxRetries is unlimited.
	ReconnectRetry RetryOptions
	// MessageRetry is used for calls that wait for an acknowledgement. All attempts
	// of a call use the same ack ID. Errors that match [ErrForbidden] or
	// [ErrBadRequest] are not retried. Sending a request again after a recovery is
	// not a retry. Default: MaxRetries is 3.
	MessageRetry RetryOptions
	// RecoveryWindow is how long the client tries to recover an interrupted
	// connection. Afterwards OnDisconnected is called and the client reconnects. A
	// new window does not start until the recovered connection has lasted for 1 s
	// and received something other than what the service repeats; raise it for
	// networks that fail more often. Default: 30 s, which is how long the service
	// keeps an interrupted connection.
	RecoveryWindow time.Duration
	// RecoveryInterval is the delay between attempts to recover, at least 1 ms. A
	// random part of at most half of it is taken off. Default: 1 s.
	RecoveryInterval time.Duration

	// PingInterval is the interval of pings, to which the service responds, at least
	// 1 ms. Negative: a ping is sent only after a recovery. Default: 20 s.
	PingInterval time.Duration
	// IdleTimeout is the maximum period without received data, at least 1 ms. The
	// connection is then dropped and recovered. Negative: no limit. Default: 120 s.
	IdleTimeout time.Duration
	// StreamIdleTimeout is the maximum period without messages of an
	// [IncomingStream], at least 1 ms. The stream then ends with [ErrStreamIdle].
	// Default: 5 min, as in the service.
	StreamIdleTimeout time.Duration
	// MaxIncomingStreams is the maximum number of incoming streams that are read
	// concurrently, each on its own goroutine. Further streams are ignored, with a
	// warning in the log, until one has ended and its callback has returned.
	// Default: 1,000.
	MaxIncomingStreams int

	// EventQueueSize is the maximum number of messages that wait for their
	// callbacks. They are also limited to 16 MiB. See the package documentation for
	// what happens when the queue is full. Default: 10,000.
	EventQueueSize int
	// OutboundQueueSize is the maximum number of calls that wait, in order, for a
	// connection while it is made or recovered. Further calls return an error that
	// matches [ErrQueueFull]. Without a queue, calls are retried as MessageRetry
	// specifies, and those that are not retried, such as fire-and-forget messages,
	// return an error that matches [ErrNotConnected]. Default: 0.
	OutboundQueueSize int
}

func (o Options) withDefaults() (Options, error) {
	if o.Protocol < 0 || int(o.Protocol) >= len(protocols) {
		return o, errors.New("client: Options.Protocol must be ReliableJSON, JSON, ReliableProtobuf or Protobuf")
	}
	o.Header = o.Header.Clone()
	if o.DialContext == nil {
		o.DialContext = new(net.Dialer).DialContext
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.ReconnectRetry = o.ReconnectRetry.withDefaults(0)
	o.MessageRetry = o.MessageRetry.withDefaults(defaultMessageRetries)
	setDefault(&o.RecoveryWindow, 30*time.Second)
	setDefault(&o.RecoveryInterval, time.Second)
	setDefault(&o.PingInterval, 20*time.Second)
	setDefault(&o.IdleTimeout, 120*time.Second)
	setDefault(&o.StreamIdleTimeout, 5*time.Minute)
	setDefault(&o.MaxIncomingStreams, 1000)
	setDefault(&o.EventQueueSize, 10_000)
	return o, o.check()
}

const defaultMessageRetries = 3

// check rejects negative sizes, and durations that would cause a loop without a
// delay.
func (o *Options) check() error {
	errs := []error{o.ReconnectRetry.check("Options.ReconnectRetry"), o.MessageRetry.check("Options.MessageRetry")}
	for _, d := range []struct {
		name     string
		value    time.Duration
		negative bool // has a meaning
	}{
		{"RecoveryWindow", o.RecoveryWindow, false},
		{"RecoveryInterval", o.RecoveryInterval, false},
		{"PingInterval", o.PingInterval, true},
		{"IdleTimeout", o.IdleTimeout, true},
		{"StreamIdleTimeout", o.StreamIdleTimeout, false},
	} {
		if !d.negative || d.value >= 0 {
			errs = append(errs, checkDuration("Options."+d.name, d.value))
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"EventQueueSize", o.EventQueueSize}, {"OutboundQueueSize", o.OutboundQueueSize}, {"MaxIncomingStreams", o.MaxIncomingStreams}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d: it must not be negative", "Options."+n.name, n.value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

func checkDuration(name string, d time.Duration) error {
	if d < time.Millisecond {
		return fmt.Errorf("%s is %v: it must be at least 1 ms, or 0 for the default", name, d)
	}
	return nil
}

func (r RetryOptions) withDefaults(maxRetries int) RetryOptions {
	setDefault(&r.MaxRetries, maxRetries)
	setDefault(&r.RetryDelay, time.Second)
	setDefault(&r.MaxRetryDelay, max(r.RetryDelay, 30*time.Second))
	return r
}

func (r RetryOptions) check(name string) error {
	return errors.Join(checkDuration(name+".RetryDelay", r.RetryDelay), checkDuration(name+".MaxRetryDelay", r.MaxRetryDelay))
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// messagePolicy returns the policy of a call with an acknowledgement, whose own
// options may be nil.
func (c *Client) messagePolicy(own *RetryOptions) (backoff.Policy, error) {
	r := c.o.MessageRetry
	if own != nil {
		r = own.withDefaults(defaultMessageRetries)
		if err := r.check("Retry"); err != nil {
			return backoff.Policy{}, fmt.Errorf("%w: %w", ErrInvalidArgument, err)
		}
	}
	return backoff.Policy{MaxTries: max(r.MaxRetries, 0), Delay: r.RetryDelay, MaxDelay: r.MaxRetryDelay}, nil
}
