package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// dialProxy connects to addr through a proxy. It supports the schemes of
// net/http, of which gorilla/websocket lacks https.
func dialProxy(ctx context.Context, via *url.URL, config *tls.Config, addr string, dial dialFunc) (net.Conn, error) {
	switch via.Scheme {
	case "http", "https":
		conn, err := dial(ctx, "tcp", hostPort(via))
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		if via.Scheme == "https" {
			conn, err = proxyTLS(ctx, conn, via, config)
		}
		if err == nil {
			err = connectTunnel(conn, via, addr)
		}
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("proxy %s: %w", via.Host, err)
		}
		return conn, nil
	case "socks5", "socks5h":
		var auth *proxy.Auth
		if via.User != nil {
			password, _ := via.User.Password()
			auth = &proxy.Auth{User: via.User.Username(), Password: password}
		}
		d, err := proxy.SOCKS5("tcp", hostPort(via), auth, contextDialer(dial))
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	}
	return nil, fmt.Errorf("proxy: the scheme %q is not supported: use http, https or socks5", via.Scheme)
}

func hostPort(via *url.URL) string {
	port := via.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[via.Scheme]
		if port == "" {
			port = "1080"
		}
	}
	return net.JoinHostPort(via.Hostname(), port)
}

func proxyTLS(ctx context.Context, conn net.Conn, via *url.URL, config *tls.Config) (net.Conn, error) {
	if config == nil {
		config = &tls.Config{}
	}
	config = config.Clone()
	config.NextProtos = nil
	// The name in the configuration, if any, is that of the service.
	config.ServerName = via.Hostname()
	t := tls.Client(conn, config)
	return t, t.HandshakeContext(ctx)
}

// connectTunnel sends CONNECT (RFC 9110, section 9.3.6).
func connectTunnel(conn net.Conn, via *url.URL, addr string) error {
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if via.User != nil {
		password, _ := via.User.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(via.User.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return err
	}
	// The service does not send anything before the client does, so nothing that
	// is read ahead gets lost.
	resp, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("CONNECT failed with status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// contextDialer is a dialFunc as package proxy wants it.
type contextDialer dialFunc

func (d contextDialer) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

func (d contextDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}
