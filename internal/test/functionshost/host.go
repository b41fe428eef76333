// Package functionshost is a test double of the Azure Functions host, as seen by a
// custom handler, because the real one cannot be installed from a package registry: it
// reads host.json and function.json files, starts the program, waits for it, and
// passes requests on.
//
//	host := functionshost.Start(t, functionshost.Options{Root: root})
//	resp, err := http.Get(host.URL() + "/api/negotiate")
//
// It does what a host built from the public source (Azure/azure-functions-host)
// was seen to do, in two versions. A current host proxies requests, an older one
// forwards them. In both, it is as strict as the real one:
//
//   - A request whose connection the handler drops is repeated: while proxying 40
//     times for GET and OPTIONS and 10 times for POST without a body, while
//     forwarding 4 times for GET.
//   - The response to a header with other characters than ASCII is 500, in a request
//     before the handler is called.
//   - While forwarding, a response of status 204, 205 or 304 breaks the client's
//     connection, and the response to a request with a chunked body is 500.
//   - After three exits with an error the host shuts down. Here it does so at
//     once, the real one about 30 seconds later.
//
// Left out are function keys, the payload mode for triggers other than HTTP, the
// platform's front end and App Service authentication.
package functionshost

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"example.com/webpubsub/internal/test/childprocess"
)

// Options configures a host.
type Options struct {
	// Root is the app's folder, with host.json and the executable.
	Root string
	// Settings are the app settings, "name=value": the program's environment.
	Settings []string
	// AllowedOrigins are the origins that the host's CORS layer allows. The layer
	// is off if there are none.
	AllowedOrigins []string
	// Older is a host before 4.1044: it reads function.json files alone, and knows
	// enableForwardingHttpRequest alone.
	Older bool
	// Faulty is an app that the host cannot run: the host responds in its place, as
	// the real one does. Without it such an app fails the test.
	Faulty bool
}

// version is what the host calls itself.
func (o Options) version() string {
	if o.Older {
		return "4.1037.0.0"
	}
	return "4.1052.200.0"
}

// Host is a running host with its custom handler.
type Host struct {
	tb      testing.TB
	options Options
	config  Config
	fault   *Fault
	port    string // of the custom handler
	server  *httptest.Server
	pass    http.Handler

	mu       sync.Mutex
	workers  []*worker // the last one runs, the others have ended
	exits    int       // with an error
	down     bool
	stopping bool
	log      []string // what the host itself logs as Error
	watching sync.WaitGroup
}

// readinessLimit is the host's own default for initializationTimeout.
const readinessLimit = 30 * time.Second

// Start starts the app and returns when it is ready. It fails the test if the
// app is not one that the host would run, unless [Options.Faulty] is set.
// Everything ends with the test.
func Start(tb testing.TB, o Options) *Host {
	tb.Helper()
	h := &Host{tb: tb, options: o}
	config, err := Load(o.Root, o.Older)
	if err == nil {
		h.config = config
		err = h.checkExecutable()
	}
	fault, isFault := err.(*Fault)
	if err != nil && !(isFault && o.Faulty) {
		tb.Fatal(err)
	}
	if isFault {
		h.fault = fault
		h.log = append(h.log, fault.Log)
	} else {
		if o.Faulty {
			tb.Fatal("functionshost: the app has no fault")
		}
		h.startHandler()
	}
	h.server = httptest.NewServer(http.HandlerFunc(h.serve))
	tb.Cleanup(h.server.Close)
	tb.Cleanup(h.Stop) // before that, or a hanging handler would keep the server open
	return h
}

// checkExecutable returns the error that the operating system would return at the
// start of the program.
func (h *Host) checkExecutable() error {
	info, err := os.Stat(h.executable())
	if err != nil {
		return err
	}
	if info.Mode()&0o111 == 0 {
		return &Fault{
			Status: http.StatusInternalServerError,
			Log:    fmt.Sprintf("Failed to start Worker Channel. Process fileName: %s: Permission denied", h.executable()),
		}
	}
	return nil
}

func (h *Host) executable() string {
	return filepath.Join(h.options.Root, filepath.FromSlash(h.config.Executable))
}

// startHandler starts the custom handler and waits until it is ready.
func (h *Host) startHandler() {
	h.tb.Helper()
	h.port = FreePort(h.tb)
	h.mu.Lock()
	err := h.startWorker()
	h.mu.Unlock()
	if err != nil {
		h.tb.Fatal(err)
	}
	first := h.current()
	h.tb.Cleanup(h.watching.Wait)
	h.tb.Cleanup(h.Stop)
	select {
	case <-first.ready:
	case <-time.After(readinessLimit):
		h.tb.Fatalf("functionshost: the custom handler did not respond within %v\nstdout: %s\nstderr: %s", readinessLimit, h.Stdout(), h.Stderr())
	}
	if first.ended() {
		h.tb.Fatalf("functionshost: the custom handler ended with code %d\nstdout: %s\nstderr: %s", first.ExitCode(), first.Stdout(), first.Stderr())
	}
	if h.config.Forwarding {
		h.pass = h.forward()
	} else {
		h.pass = h.proxy()
	}
}

// URL returns the base URL of the app, without a slash at its end.
func (h *Host) URL() string { return h.server.URL }

// Forwarding reports whether the host forwards requests; it proxies them
// otherwise.
func (h *Host) Forwarding() bool { return h.config.Forwarding }

// Process returns the running process of the custom handler, or the last one.
func (h *Host) Process() *childprocess.Process { return h.current().Process }

func (h *Host) current() *worker {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.workers[len(h.workers)-1]
}

// Stop shuts the host down, which kills the custom handler without a warning.
// All that the handler wrote can be read then.
func (h *Host) Stop() {
	h.mu.Lock()
	h.stopping = true
	running := len(h.workers) > 0
	h.mu.Unlock()
	if running {
		h.current().Kill()
	}
}

// WaitForLog waits until the running process has written text to standard
// output or standard error. It fails the test when the process ends first.
func (h *Host) WaitForLog(tb testing.TB, text string) {
	tb.Helper()
	h.current().WaitForLog(tb, text)
}

// serve routes a request to the custom handler.
func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	if h.cors(w, r) {
		return
	}
	if h.fault != nil {
		w.WriteHeader(h.fault.Status)
		_, _ = io.WriteString(w, h.fault.Body)
		return
	}
	if r.URL.Path == "/" {
		_, _ = fmt.Fprintln(w, "Your Functions app is up and running")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if h.config.Prefix != "" {
		rest, ok := strings.CutPrefix(path, h.config.Prefix+"/")
		if !ok {
			http.NotFound(w, r)
			return
		}
		path = rest
	}
	if !slices.ContainsFunc(h.config.Routes, func(route string) bool { return matches(route, path) }) {
		http.NotFound(w, r)
		return
	}
	h.mu.Lock()
	down := h.down
	h.mu.Unlock()
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, notRunning)
		return
	}
	// These replace what the client sent.
	r.Header.Set("X-Azure-Functions-InvocationId", uuid.NewString())
	r.Header.Set("X-Azure-Functions-HostVersion", h.options.version())
	h.pass.ServeHTTP(w, r)
}

// cors is the host's CORS layer. It responds to a browser's preflight itself and
// reports whether it did. Web PubSub's preflight has no Origin and passes.
func (h *Host) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(h.options.AllowedOrigins) == 0 {
		return false
	}
	if slices.Contains(h.options.AllowedOrigins, origin) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Vary", "Origin")
	}
	if method := r.Header.Get("Access-Control-Request-Method"); r.Method == http.MethodOptions && method != "" {
		w.Header().Set("Access-Control-Allow-Methods", method)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	return false
}

// Do sends a request on a connection of its own, since the process that responds
// may have exited before the next one. The body of the response has been read.
func Do(tb testing.TB, r *http.Request) (*http.Response, string) {
	tb.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp, string(body)
}

// dial is where the custom handler listens, whatever the address of a request.
func (h *Host) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", h.port))
}
