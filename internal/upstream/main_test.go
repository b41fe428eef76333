package upstream_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/webpubsub/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKey is the default access key of the emulator.
const testKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// recorder collects what a dispatcher did, and replaces its pauses.
type recorder struct {
	mu       sync.Mutex
	attempts []upstream.Attempt
	pauses   []time.Duration
}

func (r *recorder) observe(_ context.Context, a upstream.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
}

func (r *recorder) sleep(ctx context.Context, d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pauses = append(r.pauses, d)
	return ctx.Err()
}

// methods returns the methods of the attempts, in order.
func (r *recorder) methods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, a := range r.attempts {
		out = append(out, a.Method)
	}
	return out
}

// start returns a dispatcher that never really pauses.
func start(t *testing.T, o upstream.Options) (*upstream.Dispatcher, *recorder) {
	t.Helper()
	r := &recorder{}
	o.Observe, o.Sleep = r.observe, r.sleep
	d := upstream.New(o)
	t.Cleanup(d.Close)
	return d, r
}

// serve runs an event handler that passes validation and answers events with f.
func serve(t *testing.T, f http.HandlerFunc) upstream.Handler {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return upstream.Handler{URL: s.URL + "/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}}
}

// hello is a user event.
func hello() upstream.Event {
	return upstream.Event{
		Kind: upstream.User, Name: "message", ID: 2, Hub: "chat", ConnectionID: "conn1",
		ContentType: "text/plain", Body: []byte("hello"),
	}
}

// roundTripper lets a function stand in for the network, so that a test can run
// under the virtual clock of testing/synctest.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a response without a body; each header is a name and a value.
func answer(r *http.Request, status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: r}
}
