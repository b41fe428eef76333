package emulator_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/tunnel"
)

// tunneled is an emulator in virtual time whose event handler has the URL
// tunnel:///api/events.
type tunneled struct {
	*emulator.Server
	t       *testing.T
	network *emulator.MemoryListener
	handler *handler.Handler
}

func inTunnel(t *testing.T, f func(t *testing.T, s *tunneled)) {
	synctest.Test(t, func(t *testing.T) {
		s := &tunneled{t: t, network: emulator.NewMemoryListener()}
		s.Server = emulator.StartT(t, emulator.Options{
			Listener: s.network,
			Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: []emulator.EventHandler{{
				URL: "tunnel:///api/events?code=k", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
			}}}},
		})
		var err error
		s.handler, err = handler.New(handler.Options{ConnectionStrings: []string{s.ConnectionString()}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		f(t, s)
	})
}

// serve opens a tunnel for the event handler, and returns when it is open.
func (s *tunneled) serve() (stop func() error) {
	s.t.Helper()
	open := make(chan string, 1000)
	tun, err := tunnel.NewFromConnectionString(s.ConnectionString(), hubName, &tunnel.Options{
		Dialer:    &websocket.Dialer{NetDialContext: s.network.DialContext},
		Connected: func(id string) { open <- id },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tun.Serve(ctx, s.handler) }()
	select {
	case <-open:
	case err := <-done:
		s.t.Fatalf("Serve: %v", err)
	}
	return func() error { cancel(); return <-done }
}

func (s *tunneled) dial(user string) *client {
	s.t.Helper()
	c, _ := dialJSON(s.t, s.Server, dialOptions{user: user, network: s.network})
	return c
}

// Events travel through a tunnel as they do by HTTP: abuse protection, connect with
// its response, user events with their reply and state, and notifications.
func TestTunnelEvents(t *testing.T) {
	inTunnel(t, func(t *testing.T, s *tunneled) {
		ended := make(chan string, 1)
		s.handler.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
			if r.UserID == "mallory" {
				return nil, handler.Reject(http.StatusForbidden, "no")
			}
			return &handler.ConnectResponse{UserID: "alice of " + r.UserID, State: map[string]any{"n": 1}}, nil
		})
		s.handler.OnEvent("count", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			n, err := handler.StateValue[int](e.State(), "n")
			if err != nil {
				return nil, err
			}
			return &handler.EventResponse{Message: webpubsub.Text(fmt.Sprint(e.UserID, " ", n)), State: map[string]any{"n": n + 1}}, nil
		})
		s.handler.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
			ended <- e.Reason
			return nil
		})
		stop := s.serve()
		c := s.dial("a")
		for n := 1; n <= 2; n++ {
			c.send(`{"type":"event","event":"count","ackId":` + fmt.Sprint(n) + `,"dataType":"text","data":""}`)
			c.expect(fmt.Sprintf(`{"type":"message","from":"server","dataType":"text","data":"alice of a %d"}`, n))
			c.expect(fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, n))
		}
		if _, resp, err := tryDial(t, s.Server, dialOptions{user: "mallory", network: s.network, subprotocol: jsonProtocol}); err == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("mallory: %v, %v", resp, err)
		}
		_ = c.ws.Close()
		<-ended
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, e := range s.Journal() {
			if strings.Contains(e.String(), "code=k") {
				t.Errorf("the journal shows the query: %v", e)
			}
		}
	})
}

// Without a tunnel the event handler cannot be reached, and events are repeated as
// for any other that cannot.
func TestWithoutTunnel(t *testing.T) {
	inTunnel(t, func(t *testing.T, s *tunneled) {
		s.handler.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
			return &handler.ConnectResponse{}, nil
		})
		began := time.Now()
		_, resp, err := tryDial(t, s.Server, dialOptions{network: s.network, subprotocol: jsonProtocol})
		if err == nil || resp.StatusCode != http.StatusInternalServerError || time.Since(began) != 9*time.Second {
			t.Errorf("without a tunnel: %v, %v after %v", resp, err, time.Since(began))
		}
		waitForReason(t, s.Server, "no tunnel is open for the hub")
		time.Sleep(time.Minute) // the failed validation is forgotten
		opened := make(chan func() error)
		go func() {
			time.Sleep(2 * time.Second)
			opened <- s.serve()
		}()
		c := s.dial("a") // at the third attempt
		c.expectNothingElse()
		if err := (<-opened)(); err != nil {
			t.Error(err)
		}
	})
}

// A tunnel that is lost fails its open requests, and the retry finds the next one.
func TestTunnelLostWithAnOpenRequest(t *testing.T) {
	inTunnel(t, func(t *testing.T, s *tunneled) {
		calls := make(chan struct{}, 10)
		release := make(chan struct{})
		s.handler.OnEvent("wait", func(ctx context.Context, _ *handler.UserEvent) (*handler.EventResponse, error) {
			calls <- struct{}{}
			<-release
			return &handler.EventResponse{Message: webpubsub.Text("done")}, nil
		})
		stop := s.serve()
		c := s.dial("a")
		c.send(`{"type":"event","event":"wait","ackId":1,"dataType":"text","data":""}`)
		<-calls
		if n := s.InjectNow(emulator.Fault{Action: emulator.ResetTunnel(), Hub: hubName}); n != 1 {
			t.Errorf("%d tunnels were reset", n)
		}
		<-calls // again, over the new connection
		close(release)
		c.expect(`{"type":"message","from":"server","dataType":"text","data":"done"}`)
		c.expect(`{"type":"ack","ackId":1,"success":true}`)
		if len(calls) > 0 {
			t.Error("the event was delivered a third time")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTunnelFaults(t *testing.T) {
	inTunnel(t, func(t *testing.T, s *tunneled) {
		s.handler.OnEvent("ping", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: webpubsub.Text("pong")}, nil
		})
		stop := s.serve()
		c := s.dial("a")
		ping := func() {
			t.Helper()
			c.send(`{"type":"event","event":"ping","dataType":"text","data":""}`)
			c.expect(`{"type":"message","from":"server","dataType":"text","data":"pong"}`)
		}
		ping()
		first := s.Tunnels()[0]
		if n := s.InjectNow(emulator.Fault{Action: emulator.ReconnectTunnel("b"), ConnectionID: first.ConnectionID}); n != 1 {
			t.Errorf("reconnect: %d", n)
		}
		waitFor(t, s.Server, emulator.EntryTunnelClosed, first.ConnectionID)
		ping()
		second := s.Tunnels()
		if len(second) != 1 || second[0].Target != "b" || second[0].ConnectionID == first.ConnectionID {
			t.Errorf("tunnels %+v", second)
		}
		s.InjectNow(emulator.Fault{Action: emulator.RebalanceTunnel("c")})
		synctest.Wait()
		if open := s.Tunnels(); len(open) != 2 || open[1].Target != "c" {
			t.Errorf("tunnels %+v", open)
		}
		ping()
		if n := s.InjectNow(emulator.Fault{Action: emulator.CloseTunnel("enough")}); n != 2 {
			t.Errorf("close: %d", n)
		}
		if err := stop(); err != tunnel.ErrClosed && err != nil {
			t.Error(err)
		}
		synctest.Wait() // until the emulator has read that they are closed
		if n := s.InjectNow(emulator.Fault{Action: emulator.ResetTunnel()}); n != 0 {
			t.Errorf("%d tunnels are left", n)
		}
		for _, want := range []string{"reconnect tunnel", "rebalance tunnel", "close tunnel"} {
			found := false
			for _, e := range s.Journal() {
				found = found || e.Kind == emulator.EntryFault && e.Name == want
			}
			if !found {
				t.Errorf("the journal has no %q", want)
			}
		}
	})
	srv := emulator.StartT(t, emulator.Options{})
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "InjectNow") {
			t.Errorf("Inject panicked with %v", v)
		}
	}()
	srv.Inject(emulator.Fault{At: emulator.AtSend, Action: emulator.ResetTunnel()})
}

func TestTunnelRejected(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	sign := func(key, audience string) string {
		compact, err := token.Sign(key, token.Claims{Audience: audience, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	base := strings.Replace(srv.URL(), "http", "ws", 1) + "/server/tunnel"
	key := emulator.DefaultAccessKey
	for name, tt := range map[string]struct {
		query, token, origin string
		status               int
	}{
		"accepted":           {"?hub=chat", sign(key, base+"?hub=chat"), "", 101},
		"with a target":      {"?hub=chat&target=a+b", sign(key, base+"?hub=chat&target=a+b"), "", 101},
		"another key":        {"?hub=chat", sign("other", base+"?hub=chat"), "", 401},
		"another hub":        {"?hub=chat", sign(key, base+"?hub=other"), "", 401},
		"another target":     {"?hub=chat&target=b", sign(key, base+"?hub=chat"), "", 401},
		"token of a client":  {"?hub=chat", sign(key, srv.ClientURL("chat")), "", 401},
		"no token":           {"?hub=chat", "", "", 401},
		"no hub":             {"?", sign(key, base), "", 400},
		"bad hub":            {"?hub=1", sign(key, base+"?hub=1"), "", 400},
		"page of a stranger": {"?hub=chat", sign(key, base+"?hub=chat"), "https://evil.example", 403},
	} {
		header := http.Header{}
		if tt.origin != "" {
			header.Set("Origin", tt.origin)
		}
		address := base + tt.query
		if tt.token != "" {
			address += "&access_token=" + url.QueryEscape(tt.token)
		}
		ws, resp, err := websocket.DefaultDialer.Dial(address, header)
		if resp == nil || resp.StatusCode != tt.status || (err == nil) != (tt.status == 101) {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		if err == nil {
			_ = ws.Close()
		}
	}
	resp, err := http.Get(srv.URL() + "/server/tunnel?hub=chat")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), "webpubsub tunnel") {
		t.Errorf("without a WebSocket: %s %s", resp.Status, b)
	}
	http.DefaultClient.CloseIdleConnections()
}

// Clients raise ten thousand events while the tunnels are moved, doubled, reset and
// restarted. Every event is acknowledged. One is delivered twice only if the tunnel
// was lost while it was open.
func TestTunnelLosesNoEvent(t *testing.T) {
	clients, events := 50, 200
	if testing.Short() {
		events = 20
	}
	inTunnel(t, func(t *testing.T, s *tunneled) {
		var mu sync.Mutex
		delivered := make(map[string]int)
		s.handler.OnEvent("n", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			delivered[e.UserID+" "+string(e.Message.Data)]++
			return nil, nil
		})
		stop := s.serve()
		quit, done := make(chan struct{}), make(chan struct{})
		injected := 0
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				case <-time.After(300 * time.Millisecond):
				}
				switch i % 6 {
				case 0, 3:
					injected += s.InjectNow(emulator.Fault{Action: emulator.ReconnectTunnel(fmt.Sprint(i))})
				case 1:
					if len(s.Tunnels()) < 4 {
						injected += s.InjectNow(emulator.Fault{Action: emulator.RebalanceTunnel(fmt.Sprint(i))})
					}
				case 2, 4:
					if open := s.Tunnels(); len(open) > 0 {
						injected += s.InjectNow(emulator.Fault{Action: emulator.ResetTunnel(), ConnectionID: open[0].ConnectionID})
					}
				case 5: // another program takes over
					old := stop
					stop = s.serve()
					if err := old(); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		var work sync.WaitGroup
		for i := range clients {
			c := s.dial(fmt.Sprint("user", i))
			work.Go(func() {
				for n := range events {
					c.send(fmt.Sprintf(`{"type":"event","event":"n","ackId":%d,"dataType":"text","data":"%d"}`, n+1, n))
					if _, got, err := c.next(); err != nil || got != fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, n+1) {
						t.Errorf("user%d, event %d: %s, %v", i, n, got, err)
						return
					}
				}
			})
		}
		work.Wait()
		close(quit)
		<-done
		if err := stop(); err != nil {
			t.Error(err)
		}
		twice := 0
		for i := range clients {
			for n := range events {
				switch d := delivered[fmt.Sprintf("user%d %d", i, n)]; {
				case d == 0:
					t.Errorf("event %d of user%d was acknowledged and not delivered", n, i)
				case d > 1:
					twice += d - 1
				}
			}
		}
		t.Logf("%d of %d events were delivered again after %d faults", twice, clients*events, injected)
		if injected == 0 && !testing.Short() {
			t.Error("no fault was injected")
		}
	})
}
