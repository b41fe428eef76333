package tunnels

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"example.com/webpubsub/internal/tunnelwire"
)

// Transport returns the way to the tunnels of a hub. The scheme and the host of a
// request mean nothing to it; the client gets the rest.
func (g *Registry) Transport(hub string) http.RoundTripper { return transport{g, hub} }

type transport struct {
	registry *Registry
	hub      string
}

// RoundTrip sends a request to one tunnel. The error of a hub without a tunnel
// is [ErrNoTunnel].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	l := t.registry.pick(t.hub)
	if l == nil {
		return nil, fmt.Errorf("%w for the hub %q: start one, for example with webpubsub tunnel", ErrNoTunnel, t.hub)
	}
	u := *r.URL
	// The form of the service's URL is not known. Clients read path and query of an
	// absolute one.
	if u.Scheme = "http"; u.Host == "" {
		u.Host = "localhost"
	}
	m := &tunnelwire.Request{
		Method: r.Method, URL: u.String(), Header: tunnelwire.EndToEnd(r.Header),
		LocalRouting: true, ChannelName: l.info.ConnectionID, Body: body,
	}
	x, err := l.begin(m)
	if err != nil {
		return nil, err
	}
	if err := l.write(m); err != nil {
		_ = l.ws.Close()
		l.forget(m.AckID)
		return nil, fmt.Errorf("the tunnel was lost: %w", err)
	}
	select {
	case err = <-x.done:
	case <-r.Context().Done():
		l.forget(m.AckID)
		err = r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return response(r, x.parts), nil
}

// response returns the HTTP response for that of a tunnel.
func response(r *http.Request, m *tunnelwire.Response) *http.Response {
	header := make(http.Header, len(m.Header))
	for name, values := range tunnelwire.EndToEnd(m.Header) {
		// Clients may send names in lower case.
		for _, v := range values {
			header.Add(name, v)
		}
	}
	return &http.Response{
		StatusCode: m.StatusCode, Status: fmt.Sprintf("%d %s", m.StatusCode, http.StatusText(m.StatusCode)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(m.Body)), ContentLength: int64(len(m.Body)), Request: r,
	}
}
