package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

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

// Retry says how often something is tried again, and after which delay. The
// delay doubles with each time, and a random part of at most a half is taken
// off, so that clients that failed together do not come back together.
type Retry struct {
	// Max is the number of retries. Negative: none. Default: see the option.
	Max int
	// Delay is the delay before the first retry. Default: 1 s.
	Delay time.Duration
	// MaxDelay bounds the delay. Default: 30 s.
	MaxDelay time.Duration
}

// Options configures a [Client]. The zero value works.
type Options struct {
	// Protocol is the subprotocol. Default: ReliableJSON.
	Protocol Protocol
	// Header is sent with every handshake, for example a User-Agent. Default: none.
	Header http.Header
	// Dialer opens the WebSocket: proxy, TLS configuration, network. Its
	// Subprotocols are not used, and it is not modified. Default: a proxy as the
	// environment says, and a handshake of at most 30 s.
	Dialer *websocket.Dialer
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
	// ReconnectRetry is for new connections after the first. Max counts
	// attempts in a row. Default: without end.
	ReconnectRetry Retry
	// MessageRetry is for calls that wait for an ack. All attempts use one ack
	// id. A call that the service refuses with Forbidden or BadRequest is not
	// repeated, and repetitions after a recovery are not counted. Default: 3.
	MessageRetry Retry
	// RecoveryWindow is how long to try to recover a connection. Default: 30 s,
	// which is how long the service keeps it.
	RecoveryWindow time.Duration
	// RecoveryInterval is the time between attempts to recover. Default: 1 s.
	RecoveryInterval time.Duration

	// PingInterval is the time between pings, which the service answers.
	// Negative: none are sent. Default: 20 s.
	PingInterval time.Duration
	// IdleTimeout is the silence after which the connection counts as dead and
	// is dropped, to be recovered. Negative: never. Default: 120 s.
	IdleTimeout time.Duration
	// StreamIdleTimeout is the silence after which an [InStream] ends with
	// [ErrStreamIdle]. Default: 5 min, as in the service.
	StreamIdleTimeout time.Duration

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
	if o.Dialer == nil {
		o.Dialer = &websocket.Dialer{Proxy: http.ProxyFromEnvironment}
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
	setDefault(&o.EventQueue, 10_000)
	if o.RecoveryWindow < 0 || o.RecoveryInterval < 0 || o.StreamIdleTimeout < 0 || o.EventQueue < 0 || o.OutboundQueue < 0 {
		return o, errors.New("client: only Retry.Max, PingInterval and IdleTimeout may be negative in Options")
	}
	return o, nil
}

func (r Retry) withDefaults(limit int) Retry {
	setDefault(&r.Max, limit)
	setDefault(&r.Delay, time.Second)
	setDefault(&r.MaxDelay, 30*time.Second)
	return r
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// delay returns the time to wait before the nth retry, counted from 1.
func (r Retry) delay(n int) time.Duration {
	d := r.Delay
	for ; n > 1 && d < r.MaxDelay; n-- {
		d *= 2
	}
	d = max(1, min(d, r.MaxDelay))
	return d - rand.N(d/2+1)
}
