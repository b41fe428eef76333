package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// recorder sends requests, and keeps of the last response what shows who has
// responded: the application, or something in front of it.
type recorder struct {
	base *http.Transport
	now  func() time.Time

	mu   sync.Mutex
	last response
}

type response struct {
	status int // 0 if there was none
	header http.Header
	body   string // its beginning
	took   time.Duration
}

func newRecorder() *recorder {
	// Not a clone of http.DefaultTransport, which a program may have replaced by a
	// RoundTripper of another type.
	return &recorder{now: time.Now, base: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // as in the requests of the service
	}}
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	begin := r.now()
	r.keep(response{})
	res, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	const most = 512
	start, err := io.ReadAll(io.LimitReader(res.Body, most))
	r.keep(response{res.StatusCode, res.Header, string(start), r.now().Sub(begin)})
	rest := io.MultiReader(bytes.NewReader(start), res.Body)
	if err != nil {
		rest = io.MultiReader(bytes.NewReader(start), failing{err})
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{rest, res.Body}
	return res, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (r *recorder) keep(a response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = a
}

// lastResponse returns the last response. A request that hangs may still be under way.
func (r *recorder) lastResponse() response {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (a response) String() string {
	return fmt.Sprintf("%d in %v", a.status, short(a.took))
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

func (a response) isHTML() bool { return strings.Contains(a.header.Get("Content-Type"), "html") }
