package emulator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

// networks are those of the emulators that run in a bubble, by *emulator.Server.
var networks sync.Map

// virtual starts an emulator for a test in a bubble of testing/synctest: its
// network is in memory, and so are the event handlers of serveInProcess.
func virtual(t *testing.T, o emulator.Options) *emulator.Server {
	t.Helper()
	network := emulator.NewMemoryListener()
	o.Listener = network
	if o.Transport == nil {
		o.Transport = handlers{}
	}
	srv := emulator.StartT(t, o)
	networks.Store(srv, network)
	t.Cleanup(func() { networks.Delete(srv) })
	return srv
}

func networkOf(srv *emulator.Server) *emulator.MemoryListener {
	if n, ok := networks.Load(srv); ok {
		return n.(*emulator.MemoryListener)
	}
	return nil
}

// advance lets time pass in a bubble, and returns when all that follows from it
// has happened.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// handlers delivers events to the handlers of serveInProcess.
type handlers struct{}

var inProcessHandlers sync.Map // http.Handler by host

func (handlers) RoundTrip(r *http.Request) (*http.Response, error) {
	h, ok := inProcessHandlers.Load(r.URL.Host)
	if !ok {
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.EOF}
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	// What is sent as it is written here arrives in the spelling of net/http.
	in.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		for _, v := range values {
			in.Header.Add(name, v)
		}
	}
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.(http.Handler).ServeHTTP(w, in)
	}()
	select {
	case <-done:
		return w.Result(), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// serveInProcess serves a handler for emulators of virtual, and returns its URL.
func serveInProcess(t *testing.T, h http.Handler) string {
	host := http.CanonicalHeaderKey(t.Name())
	host = url.PathEscape(host) + ".test"
	inProcessHandlers.Store(host, h)
	t.Cleanup(func() { inProcessHandlers.Delete(host) })
	return "http://" + host
}
