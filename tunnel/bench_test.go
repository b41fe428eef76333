package tunnel_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/tunnel"
)

// BenchmarkEvent is one event of 100 bytes from the service's end to the handler
// and back, over TCP.
func BenchmarkEvent(b *testing.B) {
	opened := make(chan struct{}, 1)
	registry := tunnels.New(tunnels.Options{Opened: func(tunnels.Info, string) { opened <- struct{}{} }})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { registry.Accept(w, r, hub) }))
	defer server.Close()
	defer registry.Close()
	t, err := tunnel.NewFromConnectionString("Endpoint="+server.URL+";AccessKey="+key+";", hub, nil)
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = t.Serve(b.Context(), http.HandlerFunc(echo)) }()
	<-opened
	body := strings.Repeat("x", 100)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest("POST", "tunnel:///api/events", strings.NewReader(body))
			resp, err := registry.Transport(hub).RoundTrip(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
