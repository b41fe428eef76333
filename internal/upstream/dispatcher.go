package upstream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/webpubsub/internal/backoff"
)

// Options configures a [Dispatcher].
type Options struct {
	// Origin is the service's host without port, for events that have none. It goes
	// into WebHook-Request-Origin and must be allowed by the handlers. Default:
	// "localhost".
	Origin string
	// Keys are the access keys, primary first. Each gives one ce-signature;
	// without keys there is no signature.
	Keys []string
	// SignatureLines sends each signature in a header line of its own, instead of all
	// of them in a comma-separated list. Handlers have to accept both forms.
	SignatureLines bool
	// Token returns a bearer token for an audience, for handlers with an
	// Audience. Default: such handlers fail.
	Token func(ctx context.Context, audience string) (string, error)
	// Client supplies the Transport; its other fields are not used. Default: a
	// transport of the dispatcher.
	Client *http.Client
	// Tunnel returns the way to the tunnels of a hub, for handlers whose URL has the
	// scheme tunnel. Default: such handlers fail.
	Tunnel func(hub string) http.RoundTripper
	// Logger gets retries and failed background validations. Default: discard.
	Logger *slog.Logger
	// Now and Sleep are the clock. Default: the system's.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Observe is called after each HTTP attempt, possibly by several goroutines
	// concurrently, with the context of the delivery or the validation. Default:
	// nothing.
	Observe func(context.Context, Attempt)
}

// Attempt describes one HTTP request and how it ended.
type Attempt struct {
	// Method is POST for an event, OPTIONS or GET for a validation.
	Method string
	// URL is the address without the query, which can contain a function key.
	URL string
	// Template is the handler's URL as it is configured, query and all.
	Template string
	// Event is the CloudEvents type of the event, "validate" for a validation.
	Event string
	// Hub, ConnectionID, ID and RequestID (x-ms-client-request-id) are those of
	// the event. A validation has a Hub only.
	Hub, ConnectionID, RequestID string
	ID                           uint64
	// Number counts the attempts from 1.
	Number int
	// Status is the status of the response, 0 if there was none.
	Status int
	// Duration runs from the request to the last byte read of the response.
	Duration time.Duration
	// Err is why there was no response, or why it could not be read; nil otherwise.
	Err error
	// Retry is the delay before the next attempt; 0 if this one was the last.
	Retry time.Duration
}

// Dispatcher delivers events. It is safe for concurrent use.
type Dispatcher struct {
	o         Options
	transport http.RoundTripper
	ownConn   *http.Transport // transport, if it is the dispatcher's own

	ctx    context.Context // ends with Close; background validations run under it
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	valid  map[validationKey]*validation
	work   sync.WaitGroup
}

// New returns a dispatcher. Close it when it is no longer needed.
func New(o Options) *Dispatcher {
	if o.Origin == "" {
		o.Origin = "localhost"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = backoff.Sleep
	}
	if o.Observe == nil {
		o.Observe = func(context.Context, Attempt) {}
	}
	d := &Dispatcher{o: o, valid: make(map[validationKey]*validation)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	// Requests are made without an http.Client, which would follow a redirect. A
	// delivery whose response is one has failed (CloudEvents, "HTTP 1.1 Web Hooks for
	// Event Delivery", section 2.1).
	switch {
	case o.Client == nil:
		d.ownConn = NewTransport()
		d.transport = d.ownConn
	case o.Client.Transport == nil:
		d.transport = http.DefaultTransport
	default:
		d.transport = o.Client.Transport
	}
	return d
}

// NewTransport returns the transport of a dispatcher without an Options.Client.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    100,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// The service does not accept compressed responses. Without compression, the
		// limit of the body is exact, too.
		DisableCompression: true,
	}
}

// Close stops background validations and waits for them. Deliveries in
// progress continue under their own contexts; later ones fail with [ErrClosed].
func (d *Dispatcher) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.work.Wait()
	if d.ownConn != nil {
		d.ownConn.CloseIdleConnections()
	}
}

// Deliver delivers the event to the first handler that is configured for it, after
// that handler has passed validation, and returns its response. ctx bounds the
// whole delivery, which takes at most 100 seconds for all attempts together.
//
// The error is [ErrNoHandler] if no handler is configured for the event, a
// [*ValidationError] if the handler failed abuse protection, a [*StatusError] if
// the last response was not 2xx (the Response is then returned, too, without a
// State), and otherwise reports why there was no usable response.
func (d *Dispatcher) Deliver(ctx context.Context, handlers []Handler, ev Event) (Response, error) {
	for _, h := range handlers {
		if h.Matches(ev) {
			return d.deliver(ctx, h, ev)
		}
	}
	return Response{}, ErrNoHandler
}

func (d *Dispatcher) deliver(ctx context.Context, h Handler, ev Event) (Response, error) {
	u, err := resolve(h.URL, ev.Hub, ev.name())
	if err != nil {
		return Response{}, err
	}
	if err := d.validate(ctx, h, ev.Hub, cmp.Or(ev.Origin, d.o.Origin)); err != nil {
		return Response{}, err
	}
	requestID := newRequestID()
	header, err := d.eventHeader(ctx, h, u, ev, requestID)
	if err != nil {
		return Response{}, err
	}
	res, attempts, err := d.send(ctx, exchange{
		url: u, header: header, body: ev.body(), timeout: deliveryTimeout, cookies: ev.Cookies,
		about: Attempt{
			Method: http.MethodPost, Template: h.URL, Event: ev.ceType(), Hub: ev.Hub, ConnectionID: ev.ConnectionID,
			ID: ev.ID, RequestID: requestID,
		},
	})
	if err != nil {
		return Response{}, fmt.Errorf("event handler %s, %s: %w", redactedURL(u), ev.ceType(), err)
	}
	if res.Status/100 != 2 {
		res.State = nil
		return res, &StatusError{Status: res.Status, Event: ev.ceType(), URL: redactedURL(u), Attempts: attempts, Text: reason(res), Location: location(res, u)}
	}
	return res, nil
}
