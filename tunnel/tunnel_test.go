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
