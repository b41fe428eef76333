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

// Credential returns the URL to connect to, with an access token in it. It is
// called for every new connection, so that a token need live only as long as it
// takes to connect; recovering a connection does not need one. The context ends
// when the attempt is given up: with that of Start, with Stop, and after two
// minutes where the client reconnects. A credential must heed it, and must not
// call Stop, which waits for it.
type Credential func(ctx context.Context) (string, error)

// URL returns a credential that always gives the same URL. The token in it must
// outlive the last new connection.
func URL(u string) Credential {
	return func(context.Context) (string, error) { return u, nil }
}

// Protocol is the subprotocol that the client speaks.
type Protocol int

// The predefined subprotocols. JSON can be read in a trace, protobuf is
// smaller; only the reliable ones survive interruptions without a loss.
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

// Retry describes how often something is tried again, and after which delay. The
// delay doubles with each retry, and a random part of at most half of it is taken
// off, so that clients that failed together do not retry together.
type Retry struct {
	// Max is the number of retries. Negative: none. Default: see the option.
	Max int
	// Delay is the delay before the first retry, at least 1 ms. Default: 1 s.
	Delay time.Duration
	// MaxDelay is the upper bound of the delay, at least 1 ms. Default: 30 s, or
	// Delay if that is longer.
	MaxDelay time.Duration
}

// Options configures a [Client]. The zero value works.
type Options struct {
	// Protocol is the subprotocol. Default: ReliableJSON.
	Protocol Protocol
	// Header is sent with every handshake, for example a User-Agent. Default: none.
	Header http.Header
	// DialContext opens network connections, to the service or to the proxy,
	// without TLS. Default: that of [net.Dialer].
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is for wss URLs and https proxies. It is not modified. Default:
	// that of package crypto/tls.
	TLSConfig *tls.Config
	// Proxy returns the proxy for a request, nil for none. The URL of the request
	// has the scheme http or https and no query. A proxy has the scheme http,
	// https or socks5. Default: [http.ProxyFromEnvironment].
	Proxy func(*http.Request) (*url.URL, error)
	// Logger gets what the client does: changes of the connection as debug
	// records, what needs attention as warnings. Never a token or a payload.
	// Default: nothing is logged.
	Logger *slog.Logger

	// NoReconnect stops the client when its connection is lost for good.
	// Default: it makes a new one.
	NoReconnect bool
	// NoRejoin leaves the groups of a lost connection alone. Default: a new
	// connection joins them.
	NoRejoin bool
	// ReconnectRetry is for new connections after the first. Max is the number of
	// attempts in a row: until a connection has lasted for 10 s, it counts as a
	// failed attempt. Default: Max is unlimited.
	ReconnectRetry Retry
	// MessageRetry is for calls that wait for an ack. All attempts use one ack
	// id. A call that the service refuses with Forbidden or BadRequest is not
	// repeated, and repetitions after a recovery are not counted. Default: 3.
	MessageRetry Retry
	// RecoveryWindow is how long to try to recover a connection, after which
	// OnDisconnected is called and a new connection is made. It does not start
	// again until the recovered connection has lasted for 1 s and received
	// something new, and not only what the service repeats. Default: 30 s, which
	// is how long the service keeps it.
	RecoveryWindow time.Duration
	// RecoveryInterval is the time between attempts to recover, at least 1 ms. A
	// random part of at most half of it is taken off. Default: 1 s.
	RecoveryInterval time.Duration

	// PingInterval is the time between pings, at least 1 ms. The service answers
	// them. Negative: only the one that follows a recovery is sent. Default: 20 s.
	PingInterval time.Duration
	// IdleTimeout is how long nothing may be received until the connection counts
	// as dead and is dropped, to be recovered. It is at least 1 ms. Negative: no
	// limit. Default: 120 s.
	IdleTimeout time.Duration
	// StreamIdleTimeout is how long nothing may be received until an [InStream]
	// ends with [ErrStreamIdle]. It is at least 1 ms. Default: 5 min, as in the
	// service.
	StreamIdleTimeout time.Duration
	// MaxInStreams is the number of incoming streams that are read at the same
	// time. Each has a goroutine. Further streams are ignored, with a warning in
	// the log, until one has ended and its reader has returned. Default: 1,000.
	MaxInStreams int

	// EventQueue is the number of messages that may wait for their callbacks, of
	// at most 16 MiB together. See the package comment for what happens beyond.
	// Default: 10,000.
	EventQueue int
	// OutboundQueue is the number of calls that may wait, in order, for a
	// connection that is being made or recovered. One more fails with
	// [ErrQueueFull]. Without a queue such calls are retried as MessageRetry says,
	// and one that is not, such as fire-and-forget, fails with [ErrNotConnected].
	// Default: 0.
	OutboundQueue int
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
	o.MessageRetry = o.MessageRetry.withDefaults(3)
	setDefault(&o.RecoveryWindow, 30*time.Second)
	setDefault(&o.RecoveryInterval, time.Second)
	setDefault(&o.PingInterval, 20*time.Second)
	setDefault(&o.IdleTimeout, 120*time.Second)
	setDefault(&o.StreamIdleTimeout, 5*time.Minute)
	setDefault(&o.MaxInStreams, 1000)
	setDefault(&o.EventQueue, 10_000)
	return o, o.check()
}

// check finds the durations that would make a loop without a pause.
func (o *Options) check() error {
	for _, d := range []struct {
		name     string
		value    time.Duration
		negative bool // means something
	}{
		{"ReconnectRetry.Delay", o.ReconnectRetry.Delay, false},
		{"ReconnectRetry.MaxDelay", o.ReconnectRetry.MaxDelay, false},
		{"MessageRetry.Delay", o.MessageRetry.Delay, false},
		{"MessageRetry.MaxDelay", o.MessageRetry.MaxDelay, false},
		{"RecoveryWindow", o.RecoveryWindow, false},
		{"RecoveryInterval", o.RecoveryInterval, false},
		{"PingInterval", o.PingInterval, true},
		{"IdleTimeout", o.IdleTimeout, true},
		{"StreamIdleTimeout", o.StreamIdleTimeout, false},
	} {
		if d.value < time.Millisecond && !(d.negative && d.value < 0) {
			return fmt.Errorf("client: Options.%s is %v: it must be at least 1 ms, or 0 for the default", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"EventQueue", o.EventQueue}, {"OutboundQueue", o.OutboundQueue}, {"MaxInStreams", o.MaxInStreams}} {
		if n.value < 0 {
			return fmt.Errorf("client: Options.%s is %d: it must not be negative", n.name, n.value)
		}
	}
	return nil
}

func (r Retry) withDefaults(limit int) Retry {
	setDefault(&r.Max, limit)
	setDefault(&r.Delay, time.Second)
	setDefault(&r.MaxDelay, max(r.Delay, 30*time.Second))
	return r
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) messagePolicy() backoff.Policy {
	r := o.MessageRetry
	return backoff.Policy{MaxTries: max(r.Max, 0), Delay: r.Delay, MaxDelay: r.MaxDelay}
}
