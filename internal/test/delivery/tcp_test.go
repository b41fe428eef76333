package delivery_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/tcpproxy"
)

// TestReliableDeliveryOverTCP is a short run in real time, over real connections
// that a proxy resets.
func TestReliableDeliveryOverTCP(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	proxy := tcpproxy.Start(t, strings.TrimPrefix(srv.URL(), "http://"))
	r := newRun(t, firstSeed, srv.ConnectionString(), overTCP(proxy))
	r.steps = 40
	if testing.Short() {
		r.steps = 10
	}
	r.all()
}

// overTCP has the clients go through a proxy.
func overTCP(proxy *tcpproxy.Proxy) network {
	var d net.Dialer
	return network{
		web: d.DialContext,
		clients: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, proxy.Addr())
		},
		cut: proxy.Cut,
	}
}
