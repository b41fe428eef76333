package emulator_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// handshake answers a WebSocket handshake and returns the status. A handshake that
// succeeds needs a connection, so it goes over the network.
func handshake(t *testing.T, srv *emulator.Server, host, origin string) int {
	t.Helper()
	header := http.Header{}
	if host != "" {
		header.Set("Host", host)
	}
	if origin != "" {
		header.Set("Origin", origin)
	}
	d := websocket.Dialer{}
	if network := networkOf(srv); network != nil {
		d.NetDialContext = network.DialContext
	}
	ws, resp, err := d.DialContext(t.Context(), srv.ClientURL(hubName)+"?access_token="+accessToken(t, srv, dialOptions{}), header)
	if err == nil {
		_ = ws.Close()
		return resp.StatusCode
	}
	if resp == nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.0.0.2" // a machine without a network
}

// The default access key is public, so any site that was open in the browser of
// a developer could connect a WebSocket to the emulator on localhost as any user.
func TestOriginsOfWebPages(t *testing.T) {
	plain := emulator.StartT(t, emulator.Options{})
	open := emulator.StartT(t, emulator.Options{
		AllowHosts: []string{"emulator.example"}, AllowOrigins: []string{"https://App.example:443", "http://dev.example:3000"},
	})
	anyOrigin := emulator.StartT(t, emulator.Options{AllowOrigins: []string{"*"}})
	anyHost := emulator.StartT(t, emulator.Options{AllowHosts: []string{"*"}})
	for _, tt := range []struct {
		name, origin string
		srv          *emulator.Server
		ok           bool
	}{
		{"no browser", "", plain, true},
		{"localhost", "http://localhost:3000", plain, true},
		{"a name of loopback", "https://app.localhost", plain, true},
		{"IPv4", "http://127.0.0.1:7071", plain, true},
		{"IPv6", "http://[::1]:7071", plain, true},
		{"this machine", "http://" + ownAddress(t) + ":3000", plain, true},
		{"another site", "https://evil.example", plain, false},
		{"a look-alike", "http://localhost.evil.example", plain, false},
		{"another look-alike", "http://127.0.0.1.evil.example", plain, false},
		{"with a user", "http://localhost@evil.example", plain, false},
		{"another machine", "http://192.0.2.7:3000", plain, false},
		{"an extension", "chrome-extension://abcdefgh", plain, false},
		{"a sandbox", "null", plain, false},
		{"no origin at all", "localhost", plain, false},
		{"configured", "https://app.example", open, true},
		{"configured with a port", "http://dev.example:3000", open, true},
		{"another port", "http://dev.example:3001", open, false},
		{"another scheme", "http://app.example", open, false},
		{"a host of the emulator", "http://emulator.example:3000", open, true},
		{"a sandbox still", "null", open, false},
		{"any", "https://evil.example", anyOrigin, true},
		{"any, a sandbox", "null", anyOrigin, true},
		{"any host is no origin", "https://evil.example", anyHost, false},
	} {
		want := http.StatusSwitchingProtocols
		if !tt.ok {
			want = http.StatusForbidden
		}
		if got := handshake(t, tt.srv, "", tt.origin); got != want {
			t.Errorf("%s: the origin %q got %d, want %d", tt.name, tt.origin, got, want)
		}
	}
	waitForReason(t, plain, "-allow-origin")
}

// DNS rebinding: the page of evil.example lets its name lead to 127.0.0.1, and
// the browser takes the emulator for a part of evil.example.
func TestHostNames(t *testing.T) {
	plain := emulator.StartT(t, emulator.Options{Control: true})
	open := emulator.StartT(t, emulator.Options{AllowHosts: []string{"Emulator.example", "fd00::1"}})
	for _, tt := range []struct {
		host string
		srv  *emulator.Server
		ok   bool
	}{
		{"localhost", plain, true},
		{"LOCALHOST:80", plain, true},
		{"localhost.:8080", plain, true},
		{"app.localhost:8080", plain, true},
		{"127.0.0.1:8080", plain, true},
		{"[::1]:8080", plain, true},
		{ownAddress(t) + ":8080", plain, true},
		{"evil.example", plain, false},
		{"evil.example:8080", plain, false},
		{"localhost.evil.example", plain, false},
		{"emulator.example:8080", open, true},
		{"EMULATOR.EXAMPLE", open, true},
		{"x.emulator.example", open, false},
	} {
		t.Run(tt.host, func(t *testing.T) {
			for _, path := range []string{"/", "/api/health", "/api/hubs/chat/groups/g", "/client/hubs/chat", "/dashboard/", "/favicon.ico", "/oauth/none"} {
				r := httptest.NewRequest("GET", "http://localhost"+path, nil)
				r.Host = tt.host
				w := httptest.NewRecorder()
				if tt.srv.ServeHTTP(w, r); !tt.ok && w.Code != http.StatusForbidden || tt.ok && path != "/dashboard/" && w.Code == http.StatusForbidden {
					t.Errorf("%s: got %d", path, w.Code)
				}
			}
			want := http.StatusSwitchingProtocols
			if !tt.ok {
				want = http.StatusForbidden
			}
			// A token is for the name of the request, so only the accepted ones get that far.
			if got := handshake(t, tt.srv, tt.host, ""); got != want {
				t.Errorf("a WebSocket got %d, want %d", got, want)
			}
		})
	}
	waitForReason(t, plain, "-allow-host")

	// A test that names its server by the address, as in a container network.
	named := emulator.StartT(t, emulator.Options{Addr: "emulator.example:0", Listener: emulator.NewMemoryListener()})
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://emulator.example/api/health", nil)
	if named.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("the server's own name got %d", w.Code)
	}
}

func TestAllowedNamesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "http://a.example", "a.example:80", "a.example:", "a.example/x", "*.example", "bücher.example", "a b"} {
		if srv, err := emulator.Start(emulator.Options{AllowHosts: []string{bad}}); err == nil || !strings.Contains(err.Error(), "host name") {
			t.Errorf("host %q: %v", bad, err)
			if srv != nil {
				_ = srv.Close()
			}
		}
	}
	for _, bad := range []string{"", "a.example", "https://a.example/", "https://a.example/x", "https://*.example", "https://u@a.example", "https://"} {
		if srv, err := emulator.Start(emulator.Options{AllowOrigins: []string{bad}}); err == nil || !strings.Contains(err.Error(), "origin") {
			t.Errorf("origin %q: %v", bad, err)
			if srv != nil {
				_ = srv.Close()
			}
		}
	}
	_, err := emulator.ReadHubs(strings.NewReader("{\"allowedHosts\": [\"a.example\"],\n \"allowedOrigins\": [\"https://a.example\",\n  \"b.example\"]}"))
	if err == nil || !strings.Contains(err.Error(), "line 3: allowedOrigins[1]") {
		t.Errorf("got %v", err)
	}
}

// The names in the file are added to those of the options, and follow the file.
func TestAllowedNamesInTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hubs.json")
		write := func(origin string) {
			t.Helper()
			if err := os.WriteFile(path, fmt.Appendf(nil, `{"allowedHosts": ["file.example"], "allowedOrigins": [%q]}`, origin), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("https://a.example")
		srv := virtual(t, emulator.Options{HubsFile: path, AllowOrigins: []string{"https://always.example"}})
		expect := func(want map[string]int) {
			t.Helper()
			for origin, status := range want {
				if got := handshake(t, srv, "file.example", origin); got != status {
					t.Errorf("%s: got %d, want %d", origin, got, status)
				}
			}
		}
		expect(map[string]int{"https://a.example": 101, "https://b.example": 403, "https://always.example": 101})
		write("https://b.example")
		advance(2 * time.Second)
		waitForCount(t, srv, emulator.EntryReloaded, 1)
		expect(map[string]int{"https://a.example": 403, "https://b.example": 101, "https://always.example": 101})
	})
}

// Whatever a request has in Host, what is not refused leads to this machine.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"localhost", "localhost.:80", "a.localhost:1", "[::1]:80", "[::1%25eth0]", "127.1", "0x7f.1", "evil.example", "localhost:80@evil.example", "evil.example#localhost", "[localhost]", ":80", "", "::1", "allowed.example.:8"} {
		f.Add(host)
	}
	srv, err := emulator.Start(emulator.Options{Listener: emulator.NewMemoryListener(), AllowHosts: []string{"allowed.example"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = srv.Close() })
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest("GET", "/api/health", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if srv.ServeHTTP(w, r); w.Code == http.StatusForbidden {
			return
		}
		name := host
		if i := strings.LastIndex(host, ":"); i >= 0 && net.ParseIP(host) == nil && !strings.HasSuffix(host, "]") {
			name = host[:i]
		}
		name = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), "."))
		if name != "localhost" && !strings.HasSuffix(name, ".localhost") && name != "allowed.example" && net.ParseIP(name) == nil {
			t.Errorf("%q was accepted", host)
		}
	})
}
