package client_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
)

// connectProxy is an HTTP proxy with a user and a password.
type connectProxy struct {
	t       *testing.T
	tunnels atomic.Int32
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("user:pass")) {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	far, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	p.tunnels.Add(1)
	_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	splice(near, rw, far)
}

func splice(near net.Conn, fromNear io.Reader, far net.Conn) {
	go func() { _, _ = io.Copy(far, fromNear); _ = far.Close() }()
	_, _ = io.Copy(near, far)
	_ = near.Close()
}

// socksProxy is a SOCKS version 5 proxy without authentication (RFC 1928).
func socksProxy(t *testing.T, tunnels *atomic.Int32) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var b [262]byte
				read := func(n int) []byte { _, _ = io.ReadFull(c, b[:n]); return b[:n] }
				read(int(read(2)[1])) // methods
				_, _ = c.Write([]byte{5, 0})
				var host string
				switch read(4)[3] {
				case 1:
					host = net.IP(read(4)).String()
				case 3:
					host = string(read(int(read(1)[0])))
				}
				port := read(2)
				far, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1]))))
				if err != nil {
					return
				}
				tunnels.Add(1)
				_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				splice(c, c, far)
			}()
		}
	}()
	return l.Addr().String()
}

// The client connects through proxies of every scheme that net/http supports.
// Regression test: gorilla/websocket rejects https proxies, and panics on a status
// line without a reason.
func TestProxy(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {AllowAnonymous: true}}})
	front := httptest.NewTLSServer(srv)
	t.Cleanup(front.Close)
	config := front.Client().Transport.(*http.Transport).TLSClientConfig
	handler := &connectProxy{t: t}
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	socks := socksProxy(t, &handler.tunnels)

	start := func(target, proxy string) error {
		c, err := client.New(client.URL(strings.Replace(target, "http", "ws", 1)+"/client/hubs/chat?access_token=secret"), client.Options{
			TLSConfig: config,
			Proxy: func(r *http.Request) (*url.URL, error) {
				if r.URL.String() != target+"/client/hubs/chat" {
					t.Errorf("proxy requested for %s", r.URL)
				}
				return url.Parse(proxy)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			return err
		}
		return c.Stop(t.Context())
	}
	withUser := func(u string) string { return strings.Replace(u, "://", "://user:pass@", 1) }
	for _, target := range []string{srv.URL(), front.URL} {
		for _, proxy := range []string{withUser(plain.URL), withUser(secure.URL), "socks5://" + socks, "socks5h://" + socks} {
			before := handler.tunnels.Load()
			// The emulator rejects the access token.
			var rejected *client.HandshakeError
			if err := start(target, proxy); !errors.As(err, &rejected) || rejected.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s by %s: %v", target, proxy, err)
			}
			if n := handler.tunnels.Load() - before; n != 1 {
				t.Errorf("%s by %s: %d tunnels", target, proxy, n)
			}
		}
	}

	odd, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = odd.Close() })
	go func() {
		for {
			c, err := odd.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, "HTTP/1.1 407\r\n\r\n")
			_ = c.Close()
		}
	}()
	for proxy, want := range map[string]string{
		plain.URL:                       "CONNECT failed with status 407 Proxy Authentication Required",
		"http://" + odd.Addr().String(): "CONNECT failed with status 407",
		"ftp://proxy.test":              `the scheme "ftp" is not supported`,
	} {
		err := start(front.URL, proxy)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("by %s: %v", proxy, err)
		}
	}
}

// If the upgrade is rejected, the error contains the response of the service, or of a
// proxy before it, and not the access token.
func TestRejectedUpgrade(t *testing.T) {
	for _, status := range []int{101, 200, 204, 301, 400, 401, 403, 404, 407, 429, 500, 502, 503} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			if status == 101 { // without what makes it one
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nRetry-After: 7\r\n\r\nreason")
				_ = conn.Close()
				return
			}
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = io.WriteString(w, strings.Repeat("reason", 1000))
			}
		}))
		c, err := client.New(client.URL("ws"+strings.TrimPrefix(front.URL, "http")+"/client/hubs/chat?access_token=secret"), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Start(context.Background())
		var refused *client.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != status || refused.Header.Get("Retry-After") != "7" || len(refused.Body) > 1024 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v", status, err)
		}
		front.Close()
	}
}
