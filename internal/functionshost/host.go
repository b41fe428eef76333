// Package functionshost imitates the Azure Functions host as a custom handler
// meets it, because the real one needs downloads that a test must not depend
// on: it reads host.json, starts the program, waits for it, passes requests on.
//
//	host := functionshost.Start(t, functionshost.Options{Root: root})
//	resp, err := http.Get(host.URL() + "/api/negotiate")
//
// What it does is described in "Azure Functions custom handlers" on Microsoft
// Learn and, in detail, by the host's sources (Azure/azure-functions-host,
// Workers/Http). Left out are keys, restarts after a crash, and the payload
// mode for triggers other than HTTP.
package functionshost

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/childprocess"
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
}

// Host is a running host with its custom handler.
type Host struct {
	// Process is the custom handler.
	*childprocess.Process

	config  Config
	origins []string
	server  *httptest.Server
	handler *url.URL
	pass    http.Handler
}

// readinessLimit is the host's own default for initializationTimeout.
const readinessLimit = 30 * time.Second

// Start starts the app and returns when it is ready. It fails the test when the
// app is not one that the host would run. Everything ends with the test.
func Start(tb testing.TB, o Options) *Host {
	tb.Helper()
	config, err := Load(o.Root)
	if err != nil {
		tb.Fatal(err)
	}
	port := FreePort(tb)
	settings := append(slices.Clone(o.Settings),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port,
		"FUNCTIONS_HTTPWORKER_PORT="+port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+newID(),
		"FUNCTIONS_APP_ROOT_PATH="+o.Root,
		"FUNCTIONS_WORKER_RUNTIME=custom",
	)
	h := &Host{
		Process: childprocess.Start(tb, filepath.Join(o.Root, filepath.FromSlash(config.Executable)), o.Root, settings...),
		config:  config,
		origins: o.AllowedOrigins,
		handler: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)},
	}
	h.waitUntilReady(tb)

	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	if o.Forwarding || config.Forwarding {
		h.pass = h.forward(transport)
	} else {
		h.pass = h.proxy(transport)
	}
	h.server = httptest.NewServer(http.HandlerFunc(h.serve))
	tb.Cleanup(h.server.Close)
	tb.Cleanup(h.Kill) // first, or a hanging handler would keep the server open
	return h
}

// URL returns the base URL of the app, without a slash at its end.
func (h *Host) URL() string { return h.server.URL }

// waitUntilReady asks GET / every 25 ms until there is any answer.
func (h *Host) waitUntilReady(tb testing.TB) {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	every := time.NewTicker(25 * time.Millisecond)
	defer every.Stop()
	limit := time.NewTimer(readinessLimit)
	defer limit.Stop()
	for {
		resp, err := client.Get(h.handler.String() + "/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-every.C:
		case <-h.Done():
			tb.Fatalf("functionshost: the custom handler ended with code %d\nstdout: %s\nstderr: %s", h.ExitCode(), h.Stdout(), h.Stderr())
		case <-limit.C:
			tb.Fatalf("functionshost: the custom handler did not answer within %v\nstdout: %s\nstderr: %s", readinessLimit, h.Stdout(), h.Stderr())
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
	// Set over whatever the client sent.
	id := newID()
	r.Header.Set("X-Azure-Functions-InvocationId", id)
	r.Header.Set("X-Ms-Invocation-Id", id)
	r.Header.Set("X-Azure-Functions-HostVersion", "4.1052.200.0")
	h.pass.ServeHTTP(w, r)
}

// cors is the host's CORS layer. It answers a browser's preflight itself and
// reports whether it did. Web PubSub's preflight has no Origin and passes.
func (h *Host) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(h.origins) == 0 {
		return false
	}
	if slices.Contains(h.origins, origin) {
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

// FreePort returns a port that nobody listens on. It keeps below the range from
// which systems take the ports of outgoing connections and of listeners on port
// 0, so that nothing else takes it before the program does.
func FreePort(tb testing.TB) string {
	tb.Helper()
	const first, last, tries = 20_000, 32_000, 100
	for range tries {
		port := strconv.Itoa(first + mathrand.IntN(last-first))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	tb.Fatalf("functionshost: no free port in %d tries", tries)
	return ""
}

// newID returns a random id in the form of a GUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
