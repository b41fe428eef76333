package events

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"time"

	"example.com/webpubsub/internal/backoff"
)

// grace is how long the next event of a connection waits after a request was
// written: a handler that responds within it sees the events in order.
const grace = 250 * time.Millisecond

type sentKey struct{}

// withSent has a client of [NewTransport] call sent when the next event may be
// sent: a while after the request was written, or if it could not be.
func withSent(ctx context.Context, sent func()) context.Context {
	return context.WithValue(ctx, sentKey{}, sent)
}

// NewTransport returns base with the announcement of sent requests that the order
// of events needs. A base that is not an [http.Transport], such as a handler in
// the same process, counts as having the request when it is called. latency returns
// how long a request is on its way.
func NewTransport(base http.RoundTripper, latency func() time.Duration) http.RoundTripper {
	return recorder{announcer{base, latency}}
}

type announcer struct {
	base    http.RoundTripper
	latency func() time.Duration
}

func (a announcer) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, ok := r.Context().Value(sentKey{}).(func())
	if d := a.latency(); d > 0 {
		if ok {
			time.AfterFunc(grace, sent) // the next event is on its way at the same time
		}
		if backoff.Sleep(r.Context(), d) != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, context.Cause(r.Context())
		}
	}
	if !ok || r.Method != http.MethodPost { // a validation precedes the event
		return a.base.RoundTrip(r)
	}
	written := func() { time.AfterFunc(grace, sent) }
	if _, network := a.base.(*http.Transport); network {
		trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { written() }}
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	} else {
		written()
	}
	res, err := a.base.RoundTrip(r)
	if err != nil {
		sent() // a handler that cannot be reached delays nothing
	}
	return res, err
}

// CloseIdleConnections closes those of the base.
func (a announcer) CloseIdleConnections() {
	if c, ok := a.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
