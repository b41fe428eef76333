package functionshost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

var errNotASCII = errors.New("headers must contain only ASCII characters")

// checkASCII reports a header that .NET's HTTP client rejects.
func checkASCII(header http.Header) error {
	for name, values := range header {
		for _, value := range values {
			for i := range len(value) {
				if value[i] >= utf8.RuneSelf {
					return fmt.Errorf("%w: %s", errNotASCII, name)
				}
			}
		}
	}
	return nil
}

// joined is a header with one line for each name.
func joined(header http.Header) http.Header {
	out := make(http.Header, len(header))
	for name, values := range header {
		out[name] = []string{strings.Join(values, ", ")}
	}
	return out
}

// client sends requests to the custom handler as .NET's HTTP client does: one
// whose connection was lost before the first byte of a response is sent again, up
// to three times, if its method is safe.
type client struct{ transport *http.Transport }

func (h *Host) newClient() client {
	// Without keep-alive Go's own transport repeats nothing.
	return client{&http.Transport{DialContext: h.dial, DisableKeepAlives: true}}
}

func (c client) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := checkASCII(r.Header); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		resp, err := c.transport.RoundTrip(r)
		var refused *net.OpError
		again := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if err == nil || attempt == 4 || !again || r.Context().Err() != nil || errors.As(err, &refused) && refused.Op == "dial" {
			return resp, err
		}
	}
}

// proxy passes requests on as enableProxyingHttpRequest does: streamed, with
// method and query unchanged. The Host header stays behind; the public host is in
// X-Forwarded-Host.
func (h *Host) proxy() http.Handler {
	return &httputil.ReverseProxy{
		Transport: retrier{h.newClient()},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Header = joined(r.Out.Header)
			r.Out.Header.Set("X-Ms-Invocation-Id", uuid.NewString())
			r.Out.Host = net.JoinHostPort("127.0.0.1", h.port)
			r.Out.URL = handlerURL(r.Out.Host, strings.ReplaceAll(r.In.URL.EscapedPath(), "%2F", "%252F"), r.In.URL.RawQuery)
			r.SetXForwarded()
		},
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0),
		ModifyResponse: func(resp *http.Response) error { return checkASCII(resp.Header) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			h.logError(err)
			w.WriteHeader(http.StatusInternalServerError)
		},
	}
}

// handlerURL is a URL with this path, which is encoded, and this query.
func handlerURL(host, encodedPath, query string) *url.URL {
	path, err := url.PathUnescape(encodedPath)
	if err != nil {
		path = encodedPath
	}
	return &url.URL{Scheme: "http", Host: host, Path: path, RawPath: encodedPath, RawQuery: query}
}

func (h *Host) logError(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, "An error was encountered while executing the function: "+err.Error())
}

// retrier repeats a request that failed before there was a response, unless a
// part of its body was sent. It is meant for a handler that does not listen yet,
// and repeats after any other failure as well.
type retrier struct{ client client }

const (
	retries       = 9
	retryDelay    = 50 * time.Millisecond // and as much more each time
	maxRetryDelay = 250 * time.Millisecond
)

func (t retrier) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &countingBody{Reader: r.Body}
	if r.Body != nil && r.Body != http.NoBody {
		defer r.Body.Close()
		r.Body = body
	}
	for retry := 1; ; retry++ {
		resp, err := t.client.RoundTrip(r)
		if err == nil || retry > retries || body.read {
			return resp, err
		}
		select {
		case <-time.After(min(time.Duration(retry)*retryDelay, maxRetryDelay)):
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// countingBody knows whether it was read from, and outlives an attempt.
type countingBody struct {
	io.Reader
	read bool
}

func (b *countingBody) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}

func (*countingBody) Close() error { return nil }
