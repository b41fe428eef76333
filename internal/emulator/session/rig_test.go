package session_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/memnet"
	"example.com/webpubsub/internal/emulator/network"
	"example.com/webpubsub/internal/emulator/session"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// rig is the rooms below the sessions, with an in-memory network and an event
// handler in the same process.
type rig struct {
	t       *testing.T
	hub     *broker.Hub
	srv     *session.Server
	events  *events.Dispatcher
	tasks   task.Group
	journal *journal.Journal
	network *memnet.Listener
	handler func(name, body string) (status int, reply string)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newRig is to be called in a bubble. handler gets the events other than connect.
func newRig(t *testing.T, handler func(name, body string) (int, string)) *rig {
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, network: memnet.Listen(), handler: handler}
	r.journal = journal.New(slog.New(slog.DiscardHandler), nil)
	r.hub = broker.New(r.journal).Hub("chat")
	dispatcher := upstream.New(upstream.Options{
		Client:  &http.Client{Transport: events.NewTransport(roundTripper(r.serveEvent), func() time.Duration { return 0 })},
		Keys:    []string{"key"},
		Observe: func(ctx context.Context, a upstream.Attempt) { events.JournalAttempt(ctx, r.journal, a) },
	})
	handlers := []upstream.Handler{{
		URL: "http://localhost/events", UserEvents: "*",
		SystemEvents: []string{"connected", "disconnected"}, GroupEvents: []string{"joined", "left"},
	}}
	r.events = &events.Dispatcher{
		Context: ctx, Upstream: dispatcher, Journal: r.journal, Tasks: &r.tasks, MaxNotifications: 100,
		Handlers: func(string) []upstream.Handler { return handlers },
	}
	r.srv = &session.Server{
		Transport: transport.New(&r.tasks, network.New(network.Conditions{}), 100, 16<<20),
		Tasks:     &r.tasks, Journal: r.journal, Faults: fault.NewSet(ctx, func(fault.Fault, fault.Target) {}),
		RecoveryWindow: 30 * time.Second, MaxMessages: 10, MaxBytes: 16 << 20,
		KeepAlive:              func(string) time.Duration { return 20 * time.Second },
		RequireGroupStateRoles: func() bool { return false },

		ReconnectionToken: func(id string) (string, error) { return id, nil },
	}
	server := &http.Server{Handler: http.HandlerFunc(r.serveClient)}
	go func() { _ = server.Serve(r.network) }()
	t.Cleanup(func() {
		_ = server.Close()
		cancel()
		r.tasks.Close()
		for _, c := range r.hub.Conns(nil) {
			c.Session.Abandon()
		}
		r.srv.Transport.Close()
		r.tasks.Wait()
		dispatcher.Close()
	})
	return r
}

func (r *rig) serveEvent(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if req.Method == http.MethodOptions {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		return w.Result(), nil
	}
	body, _ := io.ReadAll(req.Body)
	//lint:ignore SA1008 the name is sent in this spelling
	status, reply := r.handler(req.Header["ce-eventName"][0], string(body))
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = w.WriteString(reply)
	return w.Result(), nil
}

// serveClient is what the client endpoint does, without tokens.
func (r *rig) serveClient(w http.ResponseWriter, req *http.Request) {
	upgrade := func(l *transport.Link) bool {
		return l.Upgrade(w, req, req.Header.Get("Sec-WebSocket-Protocol"))
	}
	if id := req.URL.Query().Get("recover"); id != "" {
		l := r.srv.Transport.NewLink()
		if upgrade(l) && !r.hub.Conn(id).Session.(*session.PubSub).Recover(l, nil) {
			r.t.Errorf("%s cannot be recovered", id)
		}
		return
	}
	c := &broker.Conn{Hub: r.hub, ID: req.URL.Query().Get("id"), UserID: "alice", Subprotocol: req.Header.Get("Sec-WebSocket-Protocol")}
	c.SetRoles([]string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"})
	src := r.events.NewSource(c)
	if p, ok := wire.Lookup(c.Subprotocol); ok {
		s, err := session.NewPubSub(r.srv, c, src, p)
		if err != nil {
			r.t.Error(err)
			return
		}
		s.Open(nil, journal.Entry{Kind: journal.Connected}, upgrade)
		return
	}
	session.NewSimple(r.srv, c, src, session.Mode{}).Open(nil, journal.Entry{Kind: journal.Connected}, upgrade)
}

type wsClient struct {
	t  *testing.T
	ws *websocket.Conn
}

func (r *rig) dial(query, protocol string) *wsClient {
	r.t.Helper()
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, n, a string) (net.Conn, error) { return r.network.DialContext(ctx, n, a) }}
	if protocol != "" {
		d.Subprotocols = []string{protocol}
	}
	ws, _, err := d.DialContext(r.t.Context(), "ws://localhost/?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	return &wsClient{r.t, ws}
}

func (c *wsClient) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// expect reads frames and compares each with a short form: the ack id with its
// error, the data of a message, or the type.
func (c *wsClient) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		_, data, err := c.ws.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", w, err)
		}
		if got := short(data); got != w {
			c.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func short(data []byte) string {
	var f struct {
		Type, Event, Name string
		AckID             *int `json:"ackId"`
		Data              any
		InvocationID      string `json:"invocationId"`
		Success           *bool
		Error             struct{ Name string }
	}
	if json.Unmarshal(data, &f) != nil {
		return string(data)
	}
	switch {
	case f.Type == "ack":
		return strings.TrimSpace("ack " + string('0'+rune(*f.AckID)) + " " + f.Error.Name)
	case f.Type == "message":
		s, _ := f.Data.(string)
		return "message " + s
	case f.Type == "system":
		return f.Event
	case f.Type == "invokeResponse":
		s, _ := f.Data.(string)
		return strings.TrimSpace("response " + f.InvocationID + " " + s + f.Error.Name)
	}
	return f.Type
}
