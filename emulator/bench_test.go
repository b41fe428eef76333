package emulator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

// BenchmarkQueue is one REST call that queues a message of 150 bytes to 100
// members of a group, and its way to all of them.
func BenchmarkQueue(b *testing.B) {
	for _, protocol := range []string{"", jsonProtocol, reliableProtocol} {
		name := protocol
		if name == "" {
			name = "simple"
		}
		b.Run(name, func(b *testing.B) {
			network := emulator.NewMemoryListener()
			srv := emulator.StartT(b, emulator.Options{Listener: network, MaxPendingMessages: 1 << 30, MaxPendingBytes: 1 << 40})
			sign := func(audience string) string {
				compact, err := token.Sign(emulator.DefaultAccessKey, token.Claims{Audience: srv.URL() + audience, Groups: []string{"g"}, Expires: time.Now().Add(time.Hour)})
				if err != nil {
					b.Fatal(err)
				}
				return compact
			}
			d := websocket.Dialer{NetDialContext: network.DialContext}
			if protocol != "" {
				d.Subprotocols = []string{protocol}
			}
			for range 100 {
				ws, _, err := d.Dial(srv.ClientURL(hubName)+"?access_token="+sign("/client/hubs/"+hubName), nil)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = ws.Close() })
				go func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }()
			}
			const path = "/api/hubs/" + hubName + "/groups/g/:send"
			bearer := "Bearer " + sign(path)
			payload := strings.Repeat("x", 150)
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, srv.URL()+path, strings.NewReader(payload))
				r.Header.Set("Authorization", bearer)
				r.Header.Set("Content-Type", "text/plain")
				w := httptest.NewRecorder()
				if srv.ServeHTTP(w, r); w.Code != http.StatusAccepted {
					b.Fatal(w.Code, w.Body)
				}
				if err := srv.WaitIdle(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
