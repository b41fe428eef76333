// Package functionshost imitates the Azure Functions host as a custom handler
// meets it, because the real one needs downloads that a test must not depend
// on: it reads host.json, starts the program, waits for it, passes requests on.
//
//	host := functionshost.Start(t, functionshost.Options{Root: root})
//	resp, err := http.Get(host.URL() + "/api/negotiate")
//
// What it does is described in "Azure Functions custom handlers" on Microsoft
// Learn and, in detail, by the host's sources (Azure/azure-functions-host,
// Workers/Http). Left out are keys, the payload mode for triggers other than
// HTTP, and the waiting for a handler that refuses a connection.
package functionshost

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/webpubsub/internal/test/childprocess"
)

// Options says which app is hosted and how.
type Options struct {
	// Root is the app's folder, with host.json and the executable.
	Root string
	// Settings are the app settings, "name=value": the program's environment.
	Settings []string
	// AllowedOrigins are the origins that the host's CORS layer lets in. The
	// layer is off when there are none.
	AllowedOrigins []string
	// Forwarding overrides host.json: requests are rebuilt as with
	// enableForwardingHttpRequest.
	Forwarding bool
	// Older is a host before 4.1044, which reads function.json files alone.
	Older bool
}

// Host is a running host with its custom handler.
type Host struct {
	tb      testing.TB
	options Options
	config  Config
	server  *httptest.Server
	pass    http.Handler

	mu       sync.Mutex
	workers  []*worker // the last one runs, the others have ended
	errors   int
	stopping bool
	watching sync.WaitGroup
}

// worker is one process of the custom handler.
type worker struct {
	*childprocess.Process
	url *url.URL
	// ready is closed with the first answer, or with the end; handled when the
	// host has dealt with the end.
	ready, handled chan struct{}
}

const (
	// readinessLimit is the host's own default for initializationTimeout.
	readinessLimit = 30 * time.Second
	// maxErrors is how many ends with an error the host takes before it shuts
	// itself down; it forgets one after 30 minutes.
	maxErrors = 3
	// exitRestart asks the host for a new process and is no error.
	exitRestart = 200
)

// Start starts the app and returns when it is ready. It fails the test when the
// app is not one that the host would run. Everything ends with the test.
func Start(tb testing.TB, o Options) *Host {
	tb.Helper()
	config, err := Load(o.Root, o.Older)
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{tb: tb, options: o, config: config}
	h.mu.Lock()
	err = h.startWorker()
	h.mu.Unlock()
	if err != nil {
		tb.Fatal(err)
	}
	first := h.current()
	tb.Cleanup(h.watching.Wait)
	tb.Cleanup(h.Stop)
	select {
	case <-first.ready:
	case <-time.After(readinessLimit):
		tb.Fatalf("functionshost: the custom handler did not answer within %v\nstdout: %s\nstderr: %s", readinessLimit, h.Stdout(), h.Stderr())
	}
	if first.ended() {
		tb.Fatalf("functionshost: the custom handler ended with code %d\nstdout: %s\nstderr: %s", first.ExitCode(), first.Stdout(), first.Stderr())
	}

	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	if o.Forwarding || config.Forwarding {
		h.pass = h.forward(transport)
	} else {
		h.pass = h.proxy(transport)
	}
	h.server = httptest.NewServer(http.HandlerFunc(h.serve))
	tb.Cleanup(h.server.Close)
	tb.Cleanup(h.Stop) // before that, or a hanging handler would keep the server open
	return h
}

// URL returns the base URL of the app, without a slash at its end.
func (h *Host) URL() string { return h.server.URL }

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
	h.mu.Unlock()
	h.current().Kill()
}

// Stdout returns what all processes of the handler wrote to standard output.
func (h *Host) Stdout() string {
	return h.output((*childprocess.Process).Stdout)
}

// Stderr returns what all processes of the handler wrote to standard error.
func (h *Host) Stderr() string {
	return h.output((*childprocess.Process).Stderr)
}

func (h *Host) output(of func(*childprocess.Process) string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, p := range h.workers {
		b.WriteString(of(p.Process))
	}
	return b.String()
}

// WaitForLog waits until the running process has written text to standard
// output. It fails the test when the process ends first.
func (h *Host) WaitForLog(tb testing.TB, text string) {
	tb.Helper()
	h.current().WaitForLog(tb, text)
}

// startWorker starts a process, on a new port each time. h.mu is held.
func (h *Host) startWorker() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	settings := append(slices.Clone(h.options.Settings),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port,
		"FUNCTIONS_HTTPWORKER_PORT="+port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+newID(),
		"FUNCTIONS_APP_ROOT_PATH="+h.options.Root,
		"FUNCTIONS_WORKER_RUNTIME=custom",
	)
	executable := filepath.Join(h.options.Root, filepath.FromSlash(h.config.Executable))
	process, err := childprocess.Run(executable, h.options.Root, settings...)
	if err != nil {
		return err
	}
	p := &worker{
		Process: process,
		url:     &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)},
		ready:   make(chan struct{}),
		handled: make(chan struct{}),
	}
	h.workers = append(h.workers, p)
	h.watching.Go(func() {
		p.waitUntilReady()
		<-p.Done()
		defer close(p.handled)
		if err := h.ended(p); err != nil {
			h.tb.Errorf("functionshost: restart: %v", err)
		}
	})
	return nil
}

// ended restarts the handler, unless its exit code says otherwise.
func (h *Host) ended(p *worker) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch code := p.ExitCode(); {
	case h.stopping:
	case code == 0:
		// The host takes this for an orderly end that it asked for: nothing is
		// restarted, and requests fail from now on.
	case code == exitRestart:
		return h.startWorker()
	default:
		if h.errors++; h.errors < maxErrors {
			return h.startWorker()
		}
	}
	return nil
}

// Restarted waits until a process of the handler has ended and the host has
// dealt with that, and reports whether there is a new one. The new one answers
// then.
func (h *Host) Restarted(process *childprocess.Process) bool {
	h.mu.Lock()
	i := slices.IndexFunc(h.workers, func(p *worker) bool { return p.Process == process })
	p := h.workers[i]
	h.mu.Unlock()
	<-p.handled
	now := h.current()
	<-now.ready
	return now != p
}

func (p *worker) ended() bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// waitUntilReady asks GET / every 25 ms until there is any answer.
func (p *worker) waitUntilReady() {
	defer close(p.ready)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	every := time.NewTicker(25 * time.Millisecond)
	defer every.Stop()
	for {
		resp, err := client.Get(p.url.String() + "/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-every.C:
		case <-p.Done():
			return
		}
	}
}

func (h *Host) serve(w http.ResponseWriter, r *http.Request) {
	if h.cors(w, r) {
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
	p := h.current()
	<-p.ready
	// Set over whatever the client sent.
	id := newID()
	r.Header.Set("X-Azure-Functions-InvocationId", id)
	r.Header.Set("X-Ms-Invocation-Id", id)
	r.Header.Set("X-Azure-Functions-HostVersion", "4.1052.200.0")
	h.pass.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), workerURL{}, p.url)))
}

// cors is the host's CORS layer. It answers a browser's preflight itself and
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

// Do sends a request on a connection of its own, since the process that answers may
// be gone before the next one. The body of the answer has been read.
func Do(tb testing.TB, r *http.Request) (*http.Response, string) {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
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

// FreePort returns a port that nobody listens on.
func FreePort(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// freePort keeps below the range from which systems take the ports of outgoing
// connections and of listeners on port 0, so that nothing else takes the port
// before the program does.
func freePort() (string, error) {
	const first, last, tries = 20_000, 32_000, 100
	for range tries {
		port := strconv.Itoa(first + mathrand.IntN(last-first))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("functionshost: no free port in %d tries", tries)
}

// newID returns a random id in the form of a GUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
