package emulator_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

// connectBody is the part of a connect event that says how a client shook hands.
type connectBody struct {
	Headers, Query map[string][]string
	Subprotocols   []string
}

// connectBodies is an event handler that keeps the connect events.
func connectBodies(t *testing.T) (map[string]emulator.HubSettings, func() connectBody) {
	handlers, events := upstream(t, nil)
	handlers[0].SystemEvents = []string{"connect"}
	return map[string]emulator.HubSettings{hubName: {EventHandlers: handlers}}, func() (c connectBody) {
		t.Helper()
		if err := json.Unmarshal([]byte(nextEvent(t, events).Body), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// Event handlers got the names of a client's headers in the spelling of net/http,
// such as Sec-Websocket-Key, though the service passes them on as they were sent.
func TestHeaderNamesAsSent(t *testing.T) {
	hubs, next := connectBodies(t)
	plain := emulator.StartT(t, emulator.Options{Hubs: hubs})
	secure := emulator.StartT(t, emulator.Options{Hubs: hubs, TLS: true})
	header := append(goodHeader(), "x-lower: 1", "X-ALL-CAPS: 2", "x-Mixed-cAse: 3", "X-mixed-Case: 4", "cookie: a=b")
	expect := func(t *testing.T, got connectBody) {
		t.Helper()
		for name, want := range map[string]string{
			"Host": "[localhost]", "Sec-WebSocket-Key": "[dGhlIHNhbXBsZSBub25jZQ==]",
			"x-lower": "[1]", "X-ALL-CAPS": "[2]", "x-Mixed-cAse": "[3 4]", "cookie": "[a=b]",
		} {
			if fmt.Sprint(got.Headers[name]) != want {
				t.Errorf("%s: got %v in %v", name, got.Headers[name], got.Headers)
			}
		}
		if len(got.Headers) != len(goodHeader())+4 {
			t.Errorf("got %v", got.Headers)
		}
	}
	t.Run("plain", func(t *testing.T) {
		rawHandshake{header: header}.send(t, plain)
		expect(t, next())
	})
	t.Run("after another request", func(t *testing.T) {
		c, err := net.Dial("tcp", strings.TrimPrefix(plain.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 3 { // heads that are longer than what is recorded are among them
			fmt.Fprintf(c, "GET /api/health HTTP/1.1\r\nHost: localhost\r\nx-lower: 9\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 50_000))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
		}
		fmt.Fprintf(c, "GET /client/hubs/chat?access_token=%s HTTP/1.1\r\n%s\r\n\r\n", accessToken(t, plain, dialOptions{}), strings.Join(header, "\r\n"))
		expect(t, next())
	})
	t.Run("TLS", func(t *testing.T) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(secure.URL(), "https://"), &tls.Config{RootCAs: secure.CertPool()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /client/hubs/chat?access_token=%s HTTP/1.1\r\n%s\r\n\r\n", accessToken(t, secure, dialOptions{}), strings.Join(header, "\r\n"))
		expect(t, next())
	})
	t.Run("very long", func(t *testing.T) {
		long := append(goodHeader(), "x-lower: 1", "X-Long: "+strings.Repeat("x", 100_000))
		rawHandshake{header: long}.send(t, plain)
		if got := next().Headers; len(got["X-Lower"]) != 1 || len(got["Sec-WebSocket-Key"]) != 1 || len(got["X-Long"][0]) != 100_000 {
			t.Errorf("got %d headers", len(got))
		}
	})
}

// On another server only the names that are known can be right.
func TestHeaderNamesOfAnotherServer(t *testing.T) {
	hubs, next := connectBodies(t)
	srv := emulator.StartT(t, emulator.Options{Hubs: hubs})
	mounted := httptest.NewServer(srv)
	defer mounted.Close()
	c, err := net.Dial("tcp", mounted.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	compact := serviceToken(t, emulator.DefaultAccessKey, mounted.URL+"/client/hubs/chat", time.Now().Add(time.Hour))
	header := goodHeader("Host: "+mounted.Listener.Addr().String(), "sec-websocket-protocol: x", "x-lower: 1", "TraceParent: 2")
	fmt.Fprintf(c, "GET /client/hubs/chat?access_token=%s HTTP/1.1\r\n%s\r\n\r\n", compact, strings.Join(header, "\r\n"))
	got := next().Headers
	for _, name := range []string{"Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "X-Lower", "traceparent"} {
		if len(got[name]) != 1 {
			t.Errorf("no %s in %v", name, got)
		}
	}
}

// The query of a handshake reaches the handler whole; url.URL.Query drops pairs
// with a semicolon or a bad escape in silence.
func TestConnectQueryIsWhole(t *testing.T) {
	hubs, next := connectBodies(t)
	srv := emulator.StartT(t, emulator.Options{Hubs: hubs})
	path := "/client/hubs/chat?ACCESS_TOKEN=" + url.QueryEscape(accessToken(t, srv, dialOptions{})) + "&a=b;c&bad=%zz&q=1&Q=2&plus=a+b&empty"
	resp, _, _ := rawHandshake{path: path, header: goodHeader()}.send(t, srv)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp.Status)
	}
	got := next().Query
	for name, want := range map[string]string{"a": "[b;c]", "bad": "[%zz]", "q": "[1 2]", "plus": "[a b]", "empty": "[]"} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s: %q, want %s", name, got[name], want)
		}
	}
}

// Listening on localhost took 127.0.0.1 only, and clients that try ::1 first were
// refused.
func TestLocalhostIsBothAddresses(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6: " + err.Error())
	} else {
		_ = l.Close()
	}
	srv := emulator.StartT(t, emulator.Options{Addr: "localhost:0", AllowUnverifiedEntra: true})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(srv.URL(), "http://"))
	for _, host := range []string{"127.0.0.1", "::1"} {
		a := raw(t, request{method: "GET"}, "http://"+net.JoinHostPort(host, port)+"/api/health", "")
		if a.status != http.StatusOK {
			t.Errorf("%s: %d", host, a.status)
		}
	}
	if other, err := emulator.Start(emulator.Options{Addr: "localhost:" + port}); err == nil {
		_ = other.Close()
		t.Error("two emulators share a port")
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	// The port of one of the two is taken by another program.
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	if srv, err := emulator.Start(emulator.Options{Addr: "localhost:" + port}); err == nil {
		_ = srv.Close()
		t.Error("half of localhost belongs to another program")
	}
}

// A client that sends a head or a body a byte at a time held its connection for
// ever.
func TestSlowRequestsEnd(t *testing.T) {
	const head = "POST /api/hubs/chat/:send?api-version=2024-12-01 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n"
	for name, tt := range map[string]struct {
		send   func(srv *emulator.Server) string
		within time.Duration
		status string
	}{
		"head": {func(*emulator.Server) string { return head }, 11 * time.Second, "400"},
		"body": {func(srv *emulator.Server) string {
			return head + "Authorization: Bearer " + serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/chat/:send?api-version=2024-12-01", time.Now().Add(time.Hour)) + "\r\n\r\n"
		}, 61 * time.Second, "408"},
		"body of a stranger": {func(*emulator.Server) string { return head + "\r\n" }, 61 * time.Second, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
				c, err := o.network.DialContext(context.Background(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				start := time.Now()
				_, _ = io.WriteString(c, tt.send(srv))
				go func() {
					for err := error(nil); err == nil; time.Sleep(time.Second) {
						_, err = io.WriteString(c, "x")
					}
				}()
				got, _ := io.ReadAll(c)
				if status := strings.TrimPrefix(string(got[:min(len(got), 12)]), "HTTP/1.1 "); status != tt.status {
					t.Errorf("got %q", got)
				}
				if d := time.Since(start); d > tt.within {
					t.Errorf("held for %v", d)
				}
				time.Sleep(2 * time.Second) // for the writer
			})
		})
	}
}

// Whatever the handler of a connect event takes, the deadlines of requests have
// no part in it.
func TestSlowConnectIsNotARequestTimeout(t *testing.T) {
	bubble(t, emulator.Options{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		if r.Method == http.MethodPost {
			time.Sleep(95 * time.Second)
		}
	})}, Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: []emulator.EventHandler{{URL: "http://handler.example", SystemEvents: []string{"connect"}}}}}},
		func(t *testing.T, srv *emulator.Server, o dialOptions) {
			c, _ := dialJSON(t, srv, o)
			c.expectNothingElse()
		})
}

// A Microsoft Entra token was refused on the network in memory, although nobody
// else can reach it.
func TestUnverifiedEntraInMemory(t *testing.T) {
	network := emulator.NewMemoryListener()
	srv := emulator.StartT(t, emulator.Options{Listener: network, AllowUnverifiedEntra: true})
	client := &http.Client{Transport: &http.Transport{DialContext: network.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), "HEAD", srv.URL()+"/api/hubs/chat/users/u", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+entraToken("https://webpubsub.azure.com", time.Now().Add(time.Hour)))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
}
