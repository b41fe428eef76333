package tunnels_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/tunnelwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a registry behind an HTTP server.
type server struct {
	*tunnels.Registry
	t      *testing.T
	url    string
	opened chan tunnels.Info
	closed chan string
}

func start(t *testing.T, rest func(hub string) http.Handler) *server {
	s := &server{t: t, opened: make(chan tunnels.Info, 10), closed: make(chan string, 10)}
	s.Registry = tunnels.New(tunnels.Options{
		REST:   rest,
		Opened: func(i tunnels.Info, _ string) { s.opened <- i },
		Closed: func(_ tunnels.Info, why string) { s.closed <- why },
	})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Accept(w, r, r.URL.Query().Get("hub")) }))
	s.url = "ws" + strings.TrimPrefix(web.URL, "http")
	t.Cleanup(web.Close)
	t.Cleanup(s.Close)
	return s
}

// client is a bare client end.
type client struct {
	t  *testing.T
	ws *websocket.Conn
	id string
}

func (s *server) dial(query string) *client {
	s.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(s.url+"/server/tunnel?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	c := &client{t: s.t, ws: ws}
	hello, ok := c.next().(*tunnelwire.Connected)
	if !ok {
		s.t.Fatal("the first message is not Connected")
	}
	if opened := <-s.opened; opened.ConnectionID != hello.ConnectionID || hello.ConnectionID == "" {
		s.t.Fatalf("opened %+v, connected %+v", opened, hello)
	}
	c.id = hello.ConnectionID
	return c
}

func (c *client) next() tunnelwire.Message {
	c.t.Helper()
	_, b, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	m, err := tunnelwire.Decode(b)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *client) send(m tunnelwire.Message) {
	c.t.Helper()
	b, err := tunnelwire.Append(nil, m)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		c.t.Fatal(err)
	}
}

type result struct {
	resp *http.Response
	body string
	err  error
}

// do sends a request in the background.
func (s *server) do(ctx context.Context, hub, method, url, body string) chan result {
	out := make(chan result, 1)
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Ce-Hub", hub)
	go func() {
		resp, err := s.Transport(hub).RoundTrip(r)
		if err != nil {
			out <- result{err: err}
			return
		}
		b, err := io.ReadAll(resp.Body)
		out <- result{resp, string(b), err}
	}()
	return out
}

func TestRequest(t *testing.T) {
	s := start(t, nil)
	c := s.dial("hub=chat")
	got := s.do(t.Context(), "CHAT", "POST", "tunnel:///api/events?code=k", "body")
	m, ok := c.next().(*tunnelwire.Request)
	if !ok || m.Method != "POST" || m.URL != "http://localhost/api/events?code=k" || string(m.Body) != "body" || m.Header.Get("Ce-Hub") != "CHAT" {
		t.Fatalf("request %+v", m)
	}
	c.send(&tunnelwire.Response{AckID: m.AckID + 1, StatusCode: 500}) // of no request
	c.send(&tunnelwire.Response{
		AckID: m.AckID, StatusCode: 201, NotCompleted: true, Body: []byte("one, "),
		Header: http.Header{"content-type": {"text/plain"}, "set-cookie": {"a", "b"}, "transfer-encoding": {"chunked"}},
	})
	c.send(&tunnelwire.Response{AckID: m.AckID, StatusCode: 200, NotCompleted: true, Body: []byte("two, ")})
	c.send(&tunnelwire.Response{AckID: m.AckID, Body: []byte("three")})
	r := <-got
	if r.err != nil || r.resp.StatusCode != 201 || r.body != "one, two, three" || r.resp.ContentLength != 15 ||
		!reflect.DeepEqual(r.resp.Header, http.Header{"Content-Type": {"text/plain"}, "Set-Cookie": {"a", "b"}}) {
		t.Errorf("response %+v", r)
	}
	if r := <-s.do(t.Context(), "other", "POST", "tunnel:///x", ""); !errors.Is(r.err, tunnels.ErrNoTunnel) {
		t.Errorf("a hub without a tunnel: %+v", r)
	}
}

func TestGivenUp(t *testing.T) {
	s := start(t, nil)
	c := s.dial("hub=chat")
	ctx, cancel := context.WithCancel(t.Context())
	got := s.do(ctx, "chat", "POST", "tunnel:///x", "")
	m := c.next().(*tunnelwire.Request)
	cancel()
	if r := <-got; !errors.Is(r.err, context.Canceled) {
		t.Errorf("%+v", r)
	}
	c.send(&tunnelwire.Response{AckID: m.AckID, StatusCode: 200}) // too late
	again := s.do(t.Context(), "chat", "POST", "tunnel:///y", "")
	c.send(&tunnelwire.Response{AckID: c.next().(*tunnelwire.Request).AckID, StatusCode: 204})
	if r := <-again; r.resp.StatusCode != 204 {
		t.Errorf("%+v", r)
	}
	// More than an event handler may send.
	large := s.do(t.Context(), "chat", "POST", "tunnel:///z", "")
	m = c.next().(*tunnelwire.Request)
	for range 17 {
		c.send(&tunnelwire.Response{AckID: m.AckID, StatusCode: 200, NotCompleted: true, Body: make([]byte, 1<<20)})
	}
	if r := <-large; r.err == nil || !strings.Contains(r.err.Error(), "more than 16777216 bytes") {
		t.Errorf("%+v", r)
	}
}

// A tunnel that is lost, or breaks the protocol, fails what is open on it.
func TestLost(t *testing.T) {
	for name, end := range map[string]func(s *server, c *client){
		"closed by the client": func(_ *server, c *client) { _ = c.ws.Close() },
		"dropped":              func(s *server, c *client) { _ = s.Drop(c.id) },
		"text":                 func(_ *server, c *client) { _ = c.ws.WriteMessage(websocket.TextMessage, []byte("x")) },
		"malformed":            func(_ *server, c *client) { _ = c.ws.WriteMessage(websocket.BinaryMessage, []byte("x")) },
		"server closed":        func(s *server, _ *client) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			c := s.dial("hub=chat")
			got := s.do(t.Context(), "chat", "POST", "tunnel:///x", "")
			c.next()
			end(s, c)
			if r := <-got; r.err == nil || !strings.Contains(r.err.Error(), "the tunnel was lost") {
				t.Errorf("%+v", r)
			}
			<-s.closed
			if open := s.Tunnels(); len(open) > 0 {
				t.Errorf("open: %v", open)
			}
			if err := s.Send(c.id, &tunnelwire.Status{}); !errors.Is(err, tunnels.ErrNoTunnel) {
				t.Errorf("send: %v", err)
			}
			if err := s.Drop(c.id); !errors.Is(err, tunnels.ErrNoTunnel) {
				t.Errorf("drop: %v", err)
			}
		})
	}
}

// Requests go to the tunnels in turn, and to one that was asked to close only
// if there is no other.
func TestInTurn(t *testing.T) {
	s := start(t, nil)
	a, b := s.dial("hub=chat"), s.dial("hub=chat&target=b")
	if open := s.Tunnels(); len(open) != 2 || open[1] != (tunnels.Info{Hub: "chat", ConnectionID: b.id, Target: "b"}) {
		t.Errorf("open %+v", open)
	}
	respond := func(c *client) {
		t.Helper()
		m, ok := c.next().(*tunnelwire.Request)
		if !ok {
			t.Fatalf("got %+v", m)
		}
		c.send(&tunnelwire.Response{AckID: m.AckID, StatusCode: 200})
	}
	var open []chan result
	for range 4 {
		open = append(open, s.do(t.Context(), "chat", "POST", "tunnel:///x", ""))
	}
	for range 2 {
		respond(a)
		respond(b)
	}
	for _, r := range open {
		<-r
	}
	if err := s.Send(a.id, &tunnelwire.Reconnect{Redirect: tunnelwire.Redirect{Target: "c"}}); err != nil {
		t.Fatal(err)
	}
	if m, ok := a.next().(*tunnelwire.Reconnect); !ok || m.Target != "c" {
		t.Errorf("got %+v", m)
	}
	for range 3 {
		r := s.do(t.Context(), "chat", "POST", "tunnel:///x", "")
		respond(b)
		<-r
	}
	_ = b.ws.Close()
	<-s.closed
	r := s.do(t.Context(), "chat", "POST", "tunnel:///x", "")
	respond(a)
	<-r
}

// Every REST call of a client gets a response.
func TestCalls(t *testing.T) {
	rest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/hubs/chat/:send":
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Got", r.URL.Query().Get("filter")+" "+string(b)+" "+r.Header.Get("Content-Type"))
			w.WriteHeader(202)
		case "/api/panic":
			panic("oh no")
		default:
			http.NotFound(w, r)
		}
	})
	for _, tt := range []struct {
		rest   func(string) http.Handler
		method string
		url    string
		status int
		body   string
	}{
		{nil, "POST", "https://host/api/hubs/chat/:send", 501, "no REST API"},
		{func(string) http.Handler { return nil }, "POST", "https://host/api/hubs/chat/:send", 501, "no REST API"},
		{func(string) http.Handler { return rest }, "POST", "https://host/api/hubs/chat/:send?api-version=2023-07-01&filter=f", 202, ""},
		{func(string) http.Handler { return rest }, "POST", "https://host/api/hubs/chat/:invoke?filter=f", 501, "no public version"},
		{func(string) http.Handler { return rest }, "HEAD", "https://host/api/hubs/chat/connections/x", 404, "not found"},
		{func(string) http.Handler { return rest }, "GET", "https://host/api/panic", 500, "failed"},
		{func(string) http.Handler { return rest }, "GET", "://", 400, "absolute URL"},
		{func(string) http.Handler { return rest }, "NOT A METHOD", "https://host/", 400, "needs a method"},
	} {
		s := start(t, tt.rest)
		c := s.dial("hub=chat")
		c.send(&tunnelwire.Request{
			AckID: 7, Method: tt.method, URL: tt.url, LocalRouting: true, ChannelName: "n", Body: []byte("b"),
			Header: http.Header{"Content-Type": {"text/plain"}},
		})
		m, ok := c.next().(*tunnelwire.Response)
		if !ok || m.AckID != 7 || !m.LocalRouting || m.ChannelName != "n" || m.NotCompleted || m.StatusCode != tt.status || !strings.Contains(string(m.Body), tt.body) {
			t.Errorf("%s: %+v, %s", tt.url, m, m.Body)
		}
		if m.StatusCode == 202 && m.Header.Get("X-Got") != "f b text/plain" {
			t.Errorf("the call had %q", m.Header.Get("X-Got"))
		}
	}
}
