package interop_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/test/tcpproxy"
	"example.com/webpubsub/service"
)

// handlerHub is the hub whose events go to the Go handler. Every other hub has
// none.
const handlerHub = "events"

// backend is what the programs of another language run against.
type backend struct {
	emulator *emulator.Server
	ca       string // the file with the certificate of the emulator with TLS
	env      []string
}

// start runs the emulator, the Go event handler, and the proxy. Further hubs
// can be given event handlers of their own.
func start(t *testing.T, hubs map[string]emulator.HubSettings) *backend {
	t.Helper()
	mux := http.NewServeMux()
	harness := httptest.NewServer(mux)
	t.Cleanup(harness.Close)

	all := map[string]emulator.HubSettings{handlerHub: {EventHandlers: []emulator.EventHandler{{
		URL:          harness.URL + "/api/events",
		UserEvents:   "*",
		SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}}
	for name, h := range hubs {
		all[name] = h
	}
	em := emulator.StartT(t, emulator.Options{Hubs: all, AllowHosts: []string{proxiedHost}, Logger: logger(t)})
	// The latency of a near network: without it, end() of a stream of the JavaScript
	// client often fails over TLS, as the acknowledgement comes before its own callback.
	secure := emulator.StartT(t, emulator.Options{
		TLS: true, AllowUnverifiedEntra: true, Logger: logger(t),
		NetworkConditions: emulator.NetworkConditions{Latency: 2 * time.Millisecond},
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, secure.CertificatePEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	h, log := newHandler(t, em.ConnectionString())
	// Slow as a network is: the synchronous client of Python misses what comes
	// back at once.
	proxy := tcpproxy.StartSlow(t, strings.TrimPrefix(em.URL(), "http://"), 2*time.Millisecond)

	mux.Handle("/api/events", h)
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, log.of(r.URL.Query().Get("connection")))
	})
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, proxy.CutAll())
	})

	behind := connstr.ConnectionString{Endpoint: "http://" + proxy.Addr(), AccessKey: emulator.DefaultAccessKey}
	return &backend{emulator: em, ca: ca, env: append(os.Environ(),
		"WEBPUBSUB_TLS_CONNECTION_STRING="+secure.ConnectionString(),
		"WEBPUBSUB_ENTRA_TOKEN="+entraToken(t),
		// How Node, OpenSSL, and two of Python's packages are told whom to trust.
		"NODE_EXTRA_CA_CERTS="+ca,
		"SSL_CERT_FILE="+ca,
		"REQUESTS_CA_BUNDLE="+ca,
		"WEBSOCKET_CLIENT_CA_BUNDLE="+ca,
		"WebPubSubConnectionString="+em.ConnectionString(),
		"WEBPUBSUB_PROXY_CONNECTION_STRING="+behind.String(),
		"WEBPUBSUB_REVERSE_PROXY="+startReverseProxy(t, em.URL()),
		"WEBPUBSUB_HARNESS_URL="+harness.URL,
	)}
}

// entraToken has the form of a token of Microsoft Entra, signed by nobody.
func entraToken(t *testing.T) string {
	t.Helper()
	claims := jwt.MapClaims{"aud": "https://webpubsub.azure.com", "exp": time.Now().Add(time.Hour).Unix(), "oid": "1"}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SigningString()
	if err != nil {
		t.Fatal(err)
	}
	return unsigned + ".c2ln"
}

func writeJSON(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// command runs a program of another language to its end and returns its output.
func (b *backend) command(t *testing.T, dir string, env []string, name string, args ...string) ([]byte, error) {
	t.Helper()
	readSources(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(b.env, env)
	cmd.WaitDelay = 5 * time.Second
	return cmd.CombinedOutput()
}

// readSources lets go test know that the result depends on the programs in dir,
// so that it does not take an old result for theirs.
func readSources(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			_, err = os.Stat(path)
			return err
		case slices.Contains([]string{"node_modules", ".venv", "__pycache__", "target"}, d.Name()):
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// logger shows the warnings of the Go side with the test.
func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newHandler is the event handler that doc.go describes.
func newHandler(t *testing.T, connectionString string) (*handler.Handler, *eventLog) {
	t.Helper()
	client, err := service.NewClientFromConnectionString(connectionString, handlerHub, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := handler.New(handler.Options{ConnectionStrings: []string{connectionString}, Sender: client, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	log := &eventLog{events: make(map[string][]string)}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		log.add(r.ConnectionID, "connect")
		if r.Query.Get("refuse") != "" {
			return nil, handler.Reject(http.StatusForbidden, "refused by the test")
		}
		return &handler.ConnectResponse{UserID: r.Query.Get("as")}, nil
	})
	h.OnConnected(func(_ context.Context, e *handler.ConnectedEvent) error {
		log.add(e.ConnectionID, "connected "+e.UserID)
		return nil
	})
	h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
		log.add(e.ConnectionID, "disconnected "+e.Reason)
		return nil
	})
	h.OnEvent("echo", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: e.Message}, nil
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text(strings.ToUpper(e.Message.String()))}, nil
	})
	h.OnEvent("count", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		n, err := handler.StateValue[int](e.State(), "n")
		if err != nil {
			return nil, err
		}
		return &handler.EventResponse{
			Message: webpubsub.MustJSON(map[string]int{"count": n + 1}),
			State:   map[string]any{"n": n + 1},
		}, nil
	})
	h.OnEvent("deny", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		return nil, handler.Reject(http.StatusBadRequest, "denied by the test")
	})
	h.OnEvent("publish", func(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return nil, e.SendToGroup(ctx, e.Message.String(), e.Message, nil)
	})
	return h, log
}

// eventLog remembers what the handler was told, by connection.
type eventLog struct {
	mu     sync.Mutex
	events map[string][]string
}

func (l *eventLog) add(connection, event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[connection] = append(l.events[connection], strings.TrimSpace(event))
}

func (l *eventLog) of(connection string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.events[connection]...)
}

// proxiedHost is the host of the endpoint whose only way is the reverse proxy.
// There is no such host, so a request that does not take the proxy fails.
const proxiedHost = "webpubsub.invalid"

// startReverseProxy runs an HTTP proxy as API Management is one: clients send to
// it what is meant for the endpoint http://webpubsub.invalid.
func startReverseProxy(t *testing.T, target string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = proxiedHost
	}})
	t.Cleanup(web.Close)
	return web.URL
}
