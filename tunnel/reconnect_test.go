package tunnel_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
	"example.com/webpubsub/tunnel"
)

// A connection that is to be replaced goes on until the new one is open, and its
// requests get their responses.
func TestReconnect(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		running, release := make(chan struct{}), make(chan struct{})
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				running <- struct{}{}
				<-release
			}
			echo(w, r)
		}), nil)
		first := <-s.opened
		waiting := make(chan result)
		go func() { waiting <- s.post("/wait") }()
		<-running
		if err := s.Send(first.ConnectionID, &tunnelwire.Reconnect{Redirect: tunnelwire.Redirect{Target: "node 2", Message: "moving"}}); err != nil {
			t.Fatal(err)
		}
		second := <-s.opened
		if second.Target != "node 2" {
			t.Errorf("opened %+v", second)
		}
		<-s.dialed
		if d := <-s.dialed; d.claims.Audience != "ws://service.test/server/tunnel?hub=chat&target=node+2" {
			t.Errorf("audience %q", d.claims.Audience)
		}
		if r := s.post("/new"); r.body != "/new" {
			t.Errorf("%+v", r)
		}
		synctest.Wait()
		if len(s.closed) != 0 || len(s.Tunnels()) != 2 {
			t.Errorf("the old connection is closed while a request is open on it")
		}
		close(release)
		if r := <-waiting; r.body != "/wait" {
			t.Errorf("%+v", r)
		}
		if closed := <-s.closed; closed != first {
			t.Errorf("closed %+v", closed)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A Reconnect whose target rejects the handshake keeps the old connection in service.
func TestReconnectToNowhere(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		stop := s.serve(http.HandlerFunc(echo), nil)
		first := <-s.opened
		s.status.Store(503)
		if err := s.Send(first.ConnectionID, &tunnelwire.Reconnect{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if r := s.post("/still"); r.body != "/still" {
			t.Errorf("%+v", r)
		}
		if n := len(s.dialed); n < 10 || n > 25 {
			t.Errorf("%d attempts in 5 minutes", n)
		}
		s.status.Store(0)
		<-s.opened
		if closed := <-s.closed; closed != first {
			t.Errorf("closed %+v", closed)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRebalanceAndClose(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		tun, err := tunnel.NewFromConnectionString("Endpoint="+endpoint+";AccessKey="+key+";", hub, s.options())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- tun.Serve(t.Context(), http.HandlerFunc(echo)) }()
		first := <-s.opened
		if err := s.Send(first.ConnectionID, &tunnelwire.Rebalance{Redirect: tunnelwire.Redirect{Target: "b"}}); err != nil {
			t.Fatal(err)
		}
		second := <-s.opened
		if len(s.Tunnels()) != 2 || second.Target != "b" {
			t.Errorf("%+v", s.Tunnels())
		}
		for _, m := range []tunnelwire.Message{&tunnelwire.Status{Message: "hello"}, &tunnelwire.Response{AckID: 9}} {
			if err := s.Send(first.ConnectionID, m); err != nil {
				t.Fatal(err)
			}
		}
		for range 4 {
			if r := s.post("/x"); r.body != "/x" {
				t.Errorf("%+v", r)
			}
		}
		for _, c := range []string{first.ConnectionID, second.ConnectionID} {
			if err := s.Send(c, &tunnelwire.Close{Message: "enough"}); err != nil {
				t.Fatal(err)
			}
			<-s.closed
		}
		if err := <-done; !errors.Is(err, tunnel.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if r := s.post("/x"); r.err == nil {
			t.Errorf("%+v", r)
		}
	})
}

// A lost connection is replaced. The same tunnel keeps its identity.
func TestLost(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var connected []string
		o := s.options()
		o.Connected = func(id string) { connected = append(connected, id) }
		stop := s.serve(http.HandlerFunc(echo), o)
		first := <-s.opened
		if err := s.Drop(first.ConnectionID); err != nil {
			t.Fatal(err)
		}
		second := <-s.opened
		if r := s.post("/x"); r.body != "/x" {
			t.Errorf("%+v", r)
		}
		if a, b := <-s.dialed, <-s.dialed; a.claims.UserID != b.claims.UserID {
			t.Errorf("%q and %q", a.claims.UserID, b.claims.UserID)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if want := []string{first.ConnectionID, second.ConnectionID}; !reflect.DeepEqual(connected, want) {
			t.Errorf("connected %v, want %v", connected, want)
		}
	})
}

// Each of these services is hostile or broken: the tunnel must not dial in a loop, and
// must end with its context.
func TestBrokenService(t *testing.T) {
	frame := func(m tunnelwire.Message) []byte {
		b, err := tunnelwire.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	connected := frame(&tunnelwire.Connected{ConnectionID: "c"})
	many := func(b []byte, n int) (out [][]byte) {
		for range n {
			out = append(out, b)
		}
		return out
	}
	for name, tt := range map[string]struct {
		frames  [][]byte
		kind    int
		stay    bool
		silent  bool   // reads nothing, so that pings get no pong
		fails   string // Serve fails with the first connection
		atMost  int    // dials in 10 minutes
		atLeast int
	}{
		"closes":                 {frames: [][]byte{connected}, atMost: 45, atLeast: 20},
		"goes silent":            {frames: [][]byte{connected}, silent: true, atMost: 11, atLeast: 8},
		"malformed frame":        {frames: [][]byte{connected, []byte("\xff\xff\xff\xff")}, stay: true, atMost: 45, atLeast: 20},
		"always reconnects":      {frames: [][]byte{connected, frame(&tunnelwire.Reconnect{})}, stay: true, atMost: 45, atLeast: 20},
		"always rebalances":      {frames: append([][]byte{connected}, many(frame(&tunnelwire.Rebalance{}), 100)...), stay: true, atMost: 16, atLeast: 16},
		"other types":            {frames: [][]byte{connected, connected, []byte("\x05\x00\x00\x00\x93\x63\xa1x\xc0")}, stay: true, atMost: 1, atLeast: 1},
		"redirect without TLS":   {frames: [][]byte{connected, frame(&tunnelwire.Reconnect{Redirect: tunnelwire.Redirect{Endpoint: "ftp://x"}})}, stay: true, atMost: 1, atLeast: 1},
		"first message is wrong": {frames: [][]byte{frame(&tunnelwire.Status{})}, stay: true, fails: "not Connected"},
		"close comes first":      {frames: [][]byte{frame(&tunnelwire.Close{Message: "go"})}, stay: true, fails: `"go"`},
		"nothing comes":          {stay: true, fails: "no first message"},
		"text":                   {frames: [][]byte{connected}, kind: websocket.TextMessage, stay: true, fails: "text message"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *service) {
				quit := make(chan struct{})
				defer close(quit)
				s.accept = func(w http.ResponseWriter, r *http.Request) {
					ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
					if err != nil {
						return
					}
					defer ws.Close()
					kind := websocket.BinaryMessage
					if tt.kind != 0 {
						kind = tt.kind
					}
					for _, b := range tt.frames {
						_ = ws.WriteMessage(kind, b)
					}
					if tt.silent {
						<-quit
					}
					for tt.stay {
						if _, _, err := ws.ReadMessage(); err != nil {
							return
						}
					}
				}
				tun, err := tunnel.NewFromConnectionString("Endpoint="+endpoint+";AccessKey="+key+";", hub, s.options())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				err = tun.Serve(ctx, http.HandlerFunc(echo))
				switch {
				case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
					t.Errorf("Serve: %v", err)
				case tt.fails == "" && err != nil:
					t.Errorf("Serve: %v", err)
				case tt.fails == "" && (len(s.dialed) > tt.atMost || len(s.dialed) < tt.atLeast):
					t.Errorf("%d connections in 10 minutes, want %d to %d", len(s.dialed), tt.atLeast, tt.atMost)
				}
			})
		})
	}
}
