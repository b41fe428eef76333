package hosting_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/webpubsub/hosting"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/testlog"
)

// TestMain runs the tests, or, as a process that a test has started, the
// program under test.
func TestMain(m *testing.M) {
	if os.Getenv("HOSTING_TEST_PROGRAM") != "" {
		hosting.Main(program)
	}
	goleak.VerifyTestMain(m)
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// start runs h and returns its base URL, and a function that shuts it down and
// returns the error of Run.
func start(t *testing.T, h http.Handler, o hosting.Options) (base string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	addr := make(chan string, 1)
	ended := make(chan error, 1)
	o.OnListen = func(a net.Addr) { addr <- a.String() }
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	go func() { ended <- hosting.Run(ctx, h, &o) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	select {
	case a := <-addr:
		return "http://" + a, stop
	case err := <-ended:
		t.Fatalf("Run ended: %v", err)
		return "", nil
	}
}

func get(t *testing.T, url string, header ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// showID responds with the invocation ID.
var showID = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.URL.Path+" "+hosting.InvocationID(r.Context()))
})

func TestPlainServer(t *testing.T) {
	base, stop := start(t, showID, hosting.Options{Addr: "127.0.0.1:0", Getenv: env()})
	// Outside Azure Functions any client could send the header.
	if _, body := get(t, base+"/x", "X-Azure-Functions-InvocationId", "forged"); body != "/x " {
		t.Errorf("got %q, want the handler's response and no invocation ID", body)
	}
	if err := stop(); err != nil {
		t.Errorf("Run returned %v, want nil after the context was cancelled", err)
	}
}

func TestPlainServerOnPort(t *testing.T) {
	port := functionshost.FreePort(t)
	base, _ := start(t, showID, hosting.Options{Getenv: env("PORT", port)})
	if !strings.HasSuffix(base, ":"+port) {
		t.Errorf("listens on %s, want port %s", base, port)
	}
}

func TestFunctions(t *testing.T) {
	port := functionshost.FreePort(t)
	base, _ := start(t, showID, hosting.Options{Addr: "127.0.0.1:1", Getenv: env("FUNCTIONS_CUSTOMHANDLER_PORT", port, "PORT", "2")})
	if want := "http://127.0.0.1:" + port; base != want {
		t.Errorf("listens on %s, want %s", base, want)
	}
	const header, id = "X-Azure-Functions-InvocationId", "0d7e5f0a"
	for _, tt := range []struct {
		name, path, id string
		status         int
		body           string
	}{
		{"readiness probe", "/", "", http.StatusNoContent, ""},
		{"request", "/api/negotiate", id, http.StatusOK, "/api/negotiate " + id},
		{"request for the root", "/", id, http.StatusOK, "/ " + id},
		{"other path without id", "/healthz", "", http.StatusOK, "/healthz "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := get(t, base+tt.path, header, tt.id)
			if status != tt.status || body != tt.body {
				t.Errorf("got %d %q, want %d %q", status, body, tt.status, tt.body)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())

	for _, tt := range []struct {
		name    string
		handler http.Handler
		options hosting.Options
		want    string
	}{
		{"no handler", nil, hosting.Options{Getenv: env()}, "the handler is nil"},
		{"PORT is no number", showID, hosting.Options{Getenv: env("PORT", "http")}, `PORT is "http": set it to a port number`},
		{"PORT is zero", showID, hosting.Options{Getenv: env("PORT", "0")}, "PORT is"},
		{"functions port is too large", showID, hosting.Options{Getenv: env("FUNCTIONS_CUSTOMHANDLER_PORT", "65536")}, "FUNCTIONS_CUSTOMHANDLER_PORT is"},
		{"address is taken", showID, hosting.Options{Addr: taken.Addr().String(), Getenv: env()}, "address already in use"},
		{"functions port is taken", showID, hosting.Options{Getenv: env("FUNCTIONS_CUSTOMHANDLER_PORT", takenPort)}, "address already in use"},
		{"address is malformed", showID, hosting.Options{Addr: "127.0.0.1", Getenv: env()}, "missing port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.options.Logger = slog.New(slog.DiscardHandler)
			err := hosting.Run(context.Background(), tt.handler, &tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestShutdownWaitsForRequests(t *testing.T) {
	begun, finish := make(chan context.Context), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- r.Context()
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	base, stop := start(t, h, hosting.Options{Addr: "127.0.0.1:0", Getenv: env()})

	answer := make(chan string)
	go func() {
		_, body := get(t, base)
		answer <- body
	}()
	request := <-begun
	stopped := make(chan error)
	go func() { stopped <- stop() }()

	// Once the listener is gone the shutdown has begun.
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			break
		}
		_ = c.Close()
	}
	if err := request.Err(); err != nil {
		t.Errorf("the request's context ended with the shutdown: %v", err)
	}
	close(finish)
	if got := <-answer; got != "done" {
		t.Errorf("got %q, want the whole response", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
}

func TestShutdownCutsOffAfterTheTimeout(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done() // only when the connection is cut
		close(ended)
	})
	base, stop := start(t, h, hosting.Options{Addr: "127.0.0.1:0", Getenv: env(), ShutdownTimeout: time.Millisecond})
	failed := make(chan error)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		resp, err := client.Get(base)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-begun
	if err := stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v, want context.DeadlineExceeded", err)
	}
	<-ended
	if err := <-failed; err == nil {
		t.Error("the client got a response, want a broken connection")
	}
}

func TestPanicIsLoggedWithTheInvocation(t *testing.T) {
	var log testlog.Buffer
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of cheese") })
	base, stop := start(t, h, hosting.Options{
		Logger: slog.New(hosting.NewLogHandler(&log, &log, nil)),
		Getenv: env("FUNCTIONS_CUSTOMHANDLER_PORT", functionshost.FreePort(t)),
	})
	if status, body := get(t, base+"/boom", "X-Azure-Functions-InvocationId", "id-7"); status != http.StatusInternalServerError || strings.Contains(body, "cheese") {
		t.Errorf("got %d %s, want 500 without the reason", status, body)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := log.String()
	for _, want := range []string{`"invocationId":"id-7"`, `"panic":"out of cheese"`, `"path":"/boom"`, "run_test.go"} {
		if !strings.Contains(got, want) {
			t.Errorf("log lacks %s: %s", want, got)
		}
	}
}

// A proxy in front of a plain server also repeats what it gets no response to.
// What was begun must not look complete.
func TestPanicOnPlainServer(t *testing.T) {
	var log testlog.Buffer
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/begun":
			_, _ = io.WriteString(w, "half")
		case "/flushed":
			w.(http.Flusher).Flush()
		case "/informed":
			w.WriteHeader(http.StatusEarlyHints)
		}
		panic("out of cheese")
	})
	base, stop := start(t, h, hosting.Options{Addr: "127.0.0.1:0", Logger: slog.New(hosting.NewLogHandler(&log, &log, nil)), Getenv: env()})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/": 500, "/informed": 500, "/abort": 0, "/begun": 200, "/flushed": 200} {
		resp, err := client.Get(base + path)
		if want == 0 {
			if err == nil {
				resp.Body.Close()
				t.Errorf("%s: got status %d, want a broken connection", path, resp.StatusCode)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || (err == nil) != (want == 500) {
			t.Errorf("%s: got status %d, %v, want %d", path, resp.StatusCode, err, want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "panicked"); n != 4 {
		t.Errorf("%d panics were logged, want all but the abort: %s", n, log.String())
	}
}

// Each request shows whether the host forwards or proxies it.
func TestForwarded(t *testing.T) {
	const agent, version, proxied = "User-Agent", "X-Azure-Functions-HostVersion", "X-Ms-Invocation-Id"
	for _, tt := range []struct {
		name   string
		header []string
		want   bool
	}{
		{"proxied", []string{version, "4.1052.200.0", proxied, "id", agent, "curl/8"}, false},
		{"forwarded", []string{version, "4.1037.0.0", agent, "curl/8 Azure-Functions-Host/4.1037.0.0"}, true},
		{"forwarded without an agent", []string{version, "4.1037.0.0", agent, "Azure-Functions-Host/4.1037.0.0"}, true},
		{"forwarded, by its version", []string{version, "4.1037.0.0", agent, "curl/8"}, true},
		{"forwarded, with a forged invocation", []string{version, "4.1037.0.0", proxied, "forged", agent, "Azure-Functions-Host/4.1037.0.0"}, true},
		{"name within another", []string{version, "4.1052.200.0", proxied, "id", agent, "Azure-Functions-Hosts/1 (Azure-Functions-Host/2)"}, false},
		{"not from the host", []string{agent, "curl/8"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/api/events", nil)
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			if got := hosting.Forwarded(r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The custom domain of an API has a path before every other, for which no route
// was found.
func TestBasePath(t *testing.T) {
	for _, tt := range []struct{ base, path, want string }{
		{"", "/chat/api/events", "/chat/api/events"},
		{"/chat", "/chat/api/events", "/api/events"},
		{"chat/", "/chat/api/a%2Fb?x=1", "/api/a%2Fb?x=1"},
		{"/a/b", "/a/b/c", "/c"},
		{"/chat", "/chat", "/"},
		{"/chat", "/chatter/api/events", "/chatter/api/events"},
		{"/chat", "/api/events", "/api/events"},
		{"/", "/api/events", "/api/events"},
	} {
		t.Run(tt.base+" "+tt.path, func(t *testing.T) {
			show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.RequestURI != r.URL.String() {
					t.Errorf("RequestURI is %s, URL %s", r.RequestURI, r.URL)
				}
				_, _ = io.WriteString(w, r.RequestURI)
			})
			base, _ := start(t, show, hosting.Options{Addr: "127.0.0.1:0", Getenv: env("WebPubSubBasePath", tt.base)})
			if _, got := get(t, base+tt.path); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnavailable(t *testing.T) {
	var log testlog.Buffer
	h := hosting.Unavailable(errors.New("WebPubSubConnectionString is not set"), slog.New(hosting.NewLogHandler(&log, &log, nil)))
	if got := strings.Count(log.String(), "WebPubSubConnectionString"); got != 1 {
		t.Errorf("the missing setting is logged %d times at the start, want once", got)
	}
	base, _ := start(t, h, hosting.Options{Getenv: env("FUNCTIONS_CUSTOMHANDLER_PORT", functionshost.FreePort(t))})
	status, body := get(t, base+"/api/negotiate", "X-Azure-Functions-InvocationId", "id-8")
	if status != http.StatusServiceUnavailable || strings.Contains(body, "WebPubSub") {
		t.Errorf("got %d %q, want 503 without the setting's name", status, body)
	}
	if got := log.String(); !strings.Contains(got, `"invocationId":"id-8","error":"WebPubSubConnectionString is not set"`) {
		t.Errorf("log is %s, want the missing setting with the invocation's id", got)
	}
	if status, _ := get(t, base+"/"); status != http.StatusNoContent {
		t.Errorf("the readiness probe got %d, want 204", status)
	}
}
