package emulator_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

// rawHandshake is a request of a client that writes its head by hand.
type rawHandshake struct {
	method, path string // GET, and the client endpoint of the hub with a token
	header       []string
}

// goodHeader are the lines of a handshake; replaced ones start like the line.
func goodHeader(replace ...string) []string {
	lines := []string{"Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	for _, r := range replace {
		name, value, _ := strings.Cut(r, ":")
		kept := lines[:0:0]
		for _, l := range lines {
			if !strings.HasPrefix(l, name+":") {
				kept = append(kept, l)
			}
		}
		if lines = kept; value != "" {
			lines = append(lines, r)
		}
	}
	return lines
}

// send writes the request and returns the response, whose connection is open.
func (h rawHandshake) send(t *testing.T, srv *emulator.Server) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if h.method == "" {
		h.method = "GET"
	}
	if h.path == "" {
		h.path = "/client/hubs/chat?access_token=" + accessToken(t, srv, dialOptions{user: "alice"})
	}
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\n%s\r\n\r\n", h.method, h.path, strings.Join(h.header, "\r\n"))
	buf := bufio.NewReader(c)
	resp, err := http.ReadResponse(buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, c, buf
}

// A handshake of another version, without a key or by POST was answered with 200
// and an empty body, after the event handler had accepted the client; then it got
// disconnected for a client that had never been connected.
func TestBadHandshakes(t *testing.T) {
	handlers, events := upstream(t, nil)
	srv := startWith(t, handlers)
	for name, tt := range map[string]struct {
		method string
		header []string
		status int
	}{
		"version 12":        {"GET", goodHeader("Sec-WebSocket-Version: 12"), 426},
		"a version list":    {"GET", goodHeader("Sec-WebSocket-Version: 13, 12"), 426},
		"no version":        {"GET", goodHeader("Sec-WebSocket-Version:"), 400},
		"two versions":      {"GET", append(goodHeader(), "Sec-WebSocket-Version: 13"), 400},
		"no key":            {"GET", goodHeader("Sec-WebSocket-Key:"), 400},
		"a short key":       {"GET", goodHeader("Sec-WebSocket-Key: dGhlIHNhbXBsZQ=="), 400},
		"a key not base64":  {"GET", goodHeader("Sec-WebSocket-Key: ????????????????????????"), 400},
		"two keys":          {"GET", append(goodHeader(), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400},
		"POST":              {"POST", append(goodHeader(), "Content-Length: 0"), 400},
		"no upgrade":        {"GET", goodHeader("Upgrade:"), 400},
		"another upgrade":   {"GET", goodHeader("Upgrade: h2c"), 400},
		"connection: close": {"GET", goodHeader("Connection: close"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			// Twice: neither a good token nor a bad one is looked at.
			for _, path := range []string{"", "/client/hubs/chat?access_token=x"} {
				resp, c, _ := rawHandshake{method: tt.method, path: path, header: tt.header}.send(t, srv)
				defer c.Close()
				if resp.StatusCode != tt.status {
					t.Errorf("got %s, want %d", resp.Status, tt.status)
				}
				if tt.status == 426 && (resp.Header.Get("Sec-WebSocket-Version") != "13" || resp.Header.Get("Upgrade") != "websocket") {
					t.Errorf("426 came with %v", resp.Header)
				}
			}
		})
	}
	waitIdle(t, srv)
	if len(events) > 0 {
		t.Errorf("the handler got %+v", <-events)
	}
	resp, _, _ := rawHandshake{header: goodHeader("Sec-WebSocket-Version:  13")}.send(t, srv)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("a good handshake: %s", resp.Status)
	}
}

// A middleware that wraps the ResponseWriter made the handler accept a client
// that could not be served.
func TestHandshakeWithoutHijacker(t *testing.T) {
	handlers, events := upstream(t, nil)
	srv := startWith(t, handlers)
	r := httptest.NewRequest("GET", strings.Replace(srv.ClientURL(hubName), "ws", "http", 1)+"?access_token="+accessToken(t, srv, dialOptions{}), nil)
	for _, line := range goodHeader()[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	if srv.ServeHTTP(w, r); w.Code != http.StatusInternalServerError || len(events) > 0 {
		t.Errorf("got %d, and %d events", w.Code, len(events))
	}
	waitForReason(t, srv, "http.Hijacker")
}

// A list of subprotocols in two header lines is one list (RFC 6455, section
// 11.3.4). Only the first line was read, so the client became a simple one.
func TestSubprotocolsInTwoLines(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	resp, _, _ := rawHandshake{header: append(goodHeader(), "Sec-WebSocket-Protocol: unknown,", "Sec-WebSocket-Protocol: "+reliableProtocol+", "+jsonProtocol)}.send(t, srv)
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != reliableProtocol {
		t.Errorf("selected %q", got)
	}
	mqtt, _, _ := rawHandshake{
		path:   "/clients/mqtt/hubs/chat?access_token=" + url.QueryEscape(serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/clients/mqtt/hubs/chat", time.Now().Add(time.Hour))),
		header: append(goodHeader(), "Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: mqtt"),
	}.send(t, srv)
	if got := mqtt.Header.Get("Sec-WebSocket-Protocol"); got != "mqtt" {
		t.Errorf("selected %q: %s", got, mqtt.Status)
	}
}
