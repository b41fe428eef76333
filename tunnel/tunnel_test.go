package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
	"example.com/webpubsub/internal/viatunnel"
	"example.com/webpubsub/tunnel"
)

// A request reaches the handler as it would by HTTP, and its response the
// service.
func TestServe(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var got *http.Request
		var body []byte
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
			w.Header()["ce-connectionState"] = []string{"s"}
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "<p>hello")
		}), nil)
		<-s.opened
		r := s.do("POST", "tunnel:///api/a%2Fb?code=k%20&x", "the body", http.Header{
			"ce-signature": {"sha256=1", "sha256=2"}, "Content-Type": {"text/plain"}, "Webhook-Request-Origin": {"service.test"},
			"ce-userId": {"J\u00fcrgen"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Host": {"contoso.example"},
		})
		if r.err != nil || r.status != 202 || r.body != "<p>hello" || r.header.Get("ce-connectionState") != "s" ||
			!reflect.DeepEqual(r.header["Set-Cookie"], []string{"a=1", "b=2"}) || r.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("response %+v", r)
		}
		if got.Method != "POST" || got.RequestURI != "/api/a%2Fb?code=k%20&x" || got.Host != "contoso.example" ||
			string(body) != "the body" || got.RemoteAddr != "service.test:80" {
			t.Errorf("request %+v, body %q", got, body)
		}
		want := http.Header{
			"Ce-Signature": {"sha256=1", "sha256=2"}, "Content-Type": {"text/plain"}, "Webhook-Request-Origin": {"service.test"},
			"Ce-Userid": {"J\u00fcrgen"}, "Content-Length": {"8"},
		}
		if !reflect.DeepEqual(got.Header, want) {
			t.Errorf("header\n%v, want\n%v", got.Header, want)
		}
		if !viatunnel.Marked(got.Context()) {
			t.Error("the request does not carry the mark")
		}
		if r := s.do("HEAD", "tunnel:///x", "", nil); r.status != 202 || r.body != "" {
			t.Errorf("HEAD: %+v", r)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}

		d := <-s.dialed
		if d.url.Path != "/server/tunnel" || d.url.Query().Get("hub") != hub || len(d.url.Query()) != 2 {
			t.Errorf("dialed %v", d.url)
		}
		if _, ok := d.header["Sec-Websocket-Protocol"]; ok {
			t.Error("a subprotocol was offered")
		}
		if _, ok := d.header["Authorization"]; ok {
			t.Error("there is an Authorization header")
		}
		c := d.claims
		if c.Audience != "ws://service.test/server/tunnel?hub=chat" || len(c.UserID) != 36 || len(c.Roles) > 0 {
			t.Errorf("claims %+v", c)
		}
		if left := time.Until(c.Expires); left < 59*time.Minute || left > time.Hour {
			t.Errorf("the token expires in %v", left)
		}
	})
}

// A handler that fails results in a response, as with net/http.
func TestFailingHandler(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var log bytes.Buffer
		o := s.options()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		o.RequestTimeout = 5 * time.Second
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/panic":
				_, _ = io.WriteString(w, "begun")
				panic("oh no")
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/large":
				_, _ = w.Write(make([]byte, 16<<20+1))
			case "/slow":
				<-r.Context().Done()
			case "/most":
				_, _ = w.Write(make([]byte, 16<<20))
			}
		}), o)
		<-s.opened
		for path, want := range map[string]int{"/panic": 500, "/abort": 500, "/large": 500, "/slow": 504, "/most": 200} {
			if r := s.post(path); r.err != nil || r.status != want {
				t.Errorf("%s: %d, %v", path, r.status, r.err)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"panic=\"oh no\"", "more than 16777216 bytes", "longer than 5s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %q", want)
			}
		}
		if n := strings.Count(log.String(), "the handler panicked"); n != 1 {
			t.Errorf("%d panics are logged", n)
		}
	})
}

// No more requests than allowed run at the same time; the others wait.
func TestMaxConcurrent(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		running := make(chan string)
		release := make(chan struct{})
		o := s.options()
		o.MaxConcurrent = 2
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running <- r.URL.Path
			<-release
			echo(w, r)
		}), o)
		<-s.opened
		results := make(chan result)
		for i := range 3 {
			go func() { results <- s.post(fmt.Sprintf("/%d", i)) }()
		}
		<-running
		<-running
		synctest.Wait()
		select {
		case path := <-running:
			t.Errorf("%s runs too", path)
		default:
		}
		release <- struct{}{}
		<-running
		close(release)
		for range 3 {
			if r := <-results; r.status != 200 {
				t.Errorf("%+v", r)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

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

// The error of a rejected handshake has a remedy and no token.
func TestRefused(t *testing.T) {
	for status, want := range map[int]string{
		401: "access key", 403: "network access control", 404: "check the endpoint", 503: "not available", 302: "a Web PubSub resource",
	} {
		bubble(t, func(t *testing.T, s *service) {
			s.status.Store(int32(status))
			tun, err := tunnel.NewFromConnectionString("Endpoint="+endpoint+";AccessKey="+key+";", hub, s.options())
			if err != nil {
				t.Fatal(err)
			}
			err = tun.Serve(t.Context(), http.HandlerFunc(echo))
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"said the service"`) || strings.Contains(err.Error(), "access_token") {
				t.Errorf("%d: %v", status, err)
			}
		})
	}
	tun, err := tunnel.NewFromConnectionString("Endpoint=http://127.0.0.1:1;AccessKey=k;", hub, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tun.Serve(t.Context(), http.HandlerFunc(echo)); err == nil || !strings.Contains(err.Error(), "cannot connect to http://127.0.0.1:1") {
		t.Errorf("%v", err)
	}
}

// Cancelling the context ends what is open, not what runs.
func TestShutdown(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		bubble(t, func(t *testing.T, s *service) {
			running := make(chan struct{})
			stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(running)
				if stuck {
					<-r.Context().Done()
				}
				time.Sleep(5 * time.Second)
				if !stuck && r.Context().Err() != nil {
					t.Error("the context of the request was cancelled")
				}
				echo(w, r)
			}), nil)
			<-s.opened
			got := make(chan result)
			go func() { got <- s.post("/x") }()
			<-running
			began := time.Now()
			err := stop()
			r := <-got
			if stuck && (err == nil || r.err == nil || time.Since(began) != 10*time.Second) {
				t.Errorf("stuck: %v, %+v after %v", err, r, time.Since(began))
			}
			if !stuck && (err != nil || r.body != "/x") {
				t.Errorf("%v, %+v", err, r)
			}
			time.Sleep(time.Minute) // the handler itself ends
		})
	}
}

type fakeCredential struct {
	scopes chan string
	err    error
}

func (f fakeCredential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	f.scopes <- strings.Join(o.Scopes, " ")
	return azcore.AccessToken{Token: "entra token"}, f.err
}

func TestEntra(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		cred := fakeCredential{scopes: make(chan string, 10)}
		if _, err := tunnel.New(endpoint, hub, cred, s.options()); err == nil || !strings.Contains(err.Error(), "require https") {
			t.Errorf("http: %v", err)
		}
		o := s.options()
		o.InsecureAllowCredentialWithHTTP = true
		open := make(chan string, 1)
		o.Connected = func(id string) { open <- id }
		tun, err := tunnel.New(endpoint, hub, cred, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tun.Serve(ctx, http.HandlerFunc(echo)) }()
		<-open
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := (<-s.dialed).url.Query().Get("access_token"); got != "entra token" {
			t.Errorf("token %q", got)
		}
		if got := <-cred.scopes; got != "https://webpubsub.azure.com/.default" {
			t.Errorf("scope %q", got)
		}
		cred.err = errors.New("log in first")
		tun, err = tunnel.New(endpoint, hub, cred, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := tun.Serve(t.Context(), http.HandlerFunc(echo)); !errors.Is(err, cred.err) {
			t.Errorf("%v", err)
		}
	})
}

// The proxy is dialed, and the token is for the endpoint.
func TestReverseProxy(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		var dialed string
		o := s.options()
		o.ReverseProxyEndpoint = "http://gateway.test/pubsub"
		dial := o.Dialer.NetDialContext
		o.Dialer = &websocket.Dialer{Proxy: func(r *http.Request) (*url.URL, error) { dialed = r.URL.Host; return nil, nil }, NetDialContext: dial}
		stop := s.serve(http.HandlerFunc(echo), o)
		<-s.opened
		if err := stop(); err != nil {
			t.Error(err)
		}
		if d := <-s.dialed; dialed != "gateway.test" || d.url.Path != "/pubsub/server/tunnel" || d.claims.Audience != "ws://service.test/server/tunnel?hub=chat" {
			t.Errorf("dialed %s, %v with %+v", dialed, d.url, d.claims)
		}
	})
}

func TestOptions(t *testing.T) {
	cs := "Endpoint=https://x.webpubsub.azure.com;AccessKey=k;"
	for name, f := range map[string]func() (*tunnel.Tunnel, error){
		"no credential": func() (*tunnel.Tunnel, error) { return tunnel.New("https://x", hub, nil, nil) },
		"no key":        func() (*tunnel.Tunnel, error) { return tunnel.NewWithKeyCredential("https://x", hub, nil, nil) },
		"bad hub":       func() (*tunnel.Tunnel, error) { return tunnel.NewFromConnectionString(cs, "1", nil) },
		"bad string":    func() (*tunnel.Tunnel, error) { return tunnel.NewFromConnectionString("x", hub, nil) },
		"bad proxy": func() (*tunnel.Tunnel, error) {
			return tunnel.NewFromConnectionString(cs, hub, &tunnel.Options{ReverseProxyEndpoint: "ftp://x"})
		},
		"negative timeout": func() (*tunnel.Tunnel, error) {
			return tunnel.NewFromConnectionString(cs, hub, &tunnel.Options{RequestTimeout: -1})
		},
		"negative number": func() (*tunnel.Tunnel, error) {
			return tunnel.NewFromConnectionString(cs, hub, &tunnel.Options{MaxConcurrent: -1})
		},
	} {
		if got, err := f(); got != nil || err == nil || !strings.HasPrefix(err.Error(), "tunnel: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := func(context.Context) (string, error) { return "", nil }
	tun, err := tunnel.NewWithKeyCredential("https://x", hub, empty, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tun.Serve(t.Context(), http.HandlerFunc(echo)); err == nil || !strings.Contains(err.Error(), "access key is empty") {
		t.Errorf("empty key: %v", err)
	}
	if err := tun.Serve(t.Context(), nil); err == nil {
		t.Error("a nil handler is accepted")
	}
}
