package interop_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/tcpproxy"
	"example.com/webpubsub/service"
)

// handlerHub is the hub whose events go to the Go handler. Every other hub has
// none.
const handlerHub = "events"

// backend is what the programs of another language run against.
type backend struct {
	emulator *emulator.Server
	env      []string
}

// start runs the emulator, the Go event handler, and the proxy. Further hubs
// can be given event handlers of their own.
func start(t *testing.T, hubs map[string]emulator.Hub) *backend {
	t.Helper()
	mux := http.NewServeMux()
	backstage := httptest.NewServer(mux)
	t.Cleanup(backstage.Close)

	all := map[string]emulator.Hub{handlerHub: {EventHandlers: []emulator.EventHandler{{
		URL:          backstage.URL + "/api/events",
		UserEvents:   "*",
		SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}}
	for name, h := range hubs {
		all[name] = h
	}
	em := emulator.Start(t, emulator.Options{Hubs: all, Logger: logger(t)})
	h, log := newHandler(t, em.ConnectionString())
	proxy := tcpproxy.Start(t, strings.TrimPrefix(em.URL(), "http://"))

	mux.Handle("/api/events", h)
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, log.of(r.URL.Query().Get("connection")))
	})
	mux.HandleFunc("POST /cut", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, proxy.CutAll())
	})

	behind := connstr.ConnectionString{Endpoint: "http://" + proxy.Addr(), AccessKey: emulator.DefaultAccessKey}
	return &backend{emulator: em, env: append(os.Environ(),
		"WEBPUBSUB_CONNECTION_STRING="+em.ConnectionString(),
		"WEBPUBSUB_PROXY_CONNECTION_STRING="+behind.String(),
		"WEBPUBSUB_BACKSTAGE="+backstage.URL,
	)}
}

func writeJSON(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// run runs a program of another language to its end, and fails the test with
// its output where it fails.
func (b *backend) run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = b.env
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	t.Logf("%s", out)
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
	h.OnEvent("echo", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		return e.Message, nil
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		return webpubsub.Text(strings.ToUpper(e.Message.String())), nil
	})
	h.OnEvent("count", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		var n int
		if _, err := e.State().Get("n", &n); err != nil {
			return webpubsub.Message{}, err
		}
		if err := e.State().Set("n", n+1); err != nil {
			return webpubsub.Message{}, err
		}
		return webpubsub.JSON(map[string]int{"count": n + 1}), nil
	})
	h.OnEvent("deny", func(context.Context, *handler.UserEvent) (webpubsub.Message, error) {
		return webpubsub.Message{}, handler.Reject(http.StatusBadRequest, "denied by the test")
	})
	h.OnEvent("publish", func(ctx context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		return webpubsub.Message{}, e.SendToGroup(ctx, e.Message.String(), e.Message, nil)
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
