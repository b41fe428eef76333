package tunnel_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/tunnel"
)

const (
	hub      = "chat"
	endpoint = "http://service.test"
	key      = "the access key"
)

// service is the service's end of a tunnel, in memory and in virtual time.
type service struct {
	*tunnels.Registry
	t       *testing.T
	network *emulator.MemoryListener
	opened  chan tunnels.Info
	closed  chan tunnels.Info
	// dialed has the request of each handshake, and the claims of its token.
	dialed chan dialed
	// status rejects handshakes, unless it is 0.
	status atomic.Int32
	accept func(w http.ResponseWriter, r *http.Request)
}

type dialed struct {
	url    *url.URL
	header http.Header
	claims token.Claims
}

// bubble runs a test in virtual time with a service.
func bubble(t *testing.T, f func(t *testing.T, s *service)) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{
			t: t, network: emulator.NewMemoryListener(),
			// No test opens more tunnels than this. The channels used to be so small
			// that a long run of TestNoEventIsLost filled them, and the registry
			// waited in Closed forever.
			opened: make(chan tunnels.Info, 10_000), closed: make(chan tunnels.Info, 10_000), dialed: make(chan dialed, 10_000),
		}
		s.Registry = tunnels.New(tunnels.Options{
			Opened: func(i tunnels.Info, _ string) { s.opened <- i },
			Closed: func(i tunnels.Info, _ string) { s.closed <- i },
		})
		s.accept = func(w http.ResponseWriter, r *http.Request) { s.Accept(w, r, r.URL.Query().Get("hub")) }
		server := &http.Server{Handler: http.HandlerFunc(s.serveHTTP)}
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(s.network) }()
		f(t, s)
		s.Close()
		_ = server.Close()
		<-done
	})
}

func (s *service) serveHTTP(w http.ResponseWriter, r *http.Request) {
	d := dialed{url: r.URL, header: r.Header}
	d.claims, _ = token.Verify(r.URL.Query().Get("access_token"), []string{key}, time.Now())
	s.dialed <- d
	if status := s.status.Load(); status != 0 {
		http.Error(w, "said the service", int(status))
		return
	}
	s.accept(w, r)
}

func (s *service) options() *tunnel.Options {
	return &tunnel.Options{Dialer: &websocket.Dialer{NetDialContext: s.network.DialContext}}
}

// serve runs a tunnel until stop is called, which returns what Serve did. It
// returns when the tunnel is open.
func (s *service) serve(h http.Handler, o *tunnel.Options) (stop func() error) {
	s.t.Helper()
	if o == nil {
		o = s.options()
	}
	open := make(chan struct{}, 10_000)
	connected := o.Connected
	o.Connected = func(id string) {
		if connected != nil {
			connected(id)
		}
		open <- struct{}{}
	}
	t, err := tunnel.NewFromConnectionString("Endpoint="+endpoint+";AccessKey="+key+";", hub, o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- t.Serve(ctx, h) }()
	select {
	case <-open:
	case err := <-done:
		s.t.Fatalf("Serve: %v", err)
	}
	return func() error { cancel(); return <-done }
}

// result is the outcome of a request through the tunnel.
type result struct {
	status int
	header http.Header
	body   string
	err    error
}

func (s *service) do(method, url, body string, header http.Header) result {
	r, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	resp, err := s.Transport(hub).RoundTrip(r)
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return result{resp.StatusCode, resp.Header, string(b), err}
}

func (s *service) post(path string) result { return s.do("POST", "tunnel://"+path, "", nil) }

// echo responds with the path.
func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }
