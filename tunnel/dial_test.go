package tunnel_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub/tunnel"
)

// The headers of the response to a handshake were read to their end, of which a
// hostile server need not send one.
func TestHandshakeIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, s *service) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		sent := make(chan int, 1)
		s.accept = func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nX: "))
			n, chunk := 0, []byte(strings.Repeat("x", 64<<10))
			for ; n < 16<<20; n += len(chunk) {
				if _, err := c.Write(chunk); err != nil {
					break
				}
			}
			cancel() // one attempt is enough
			sent <- n
		}
		tun, err := tunnel.NewFromConnectionString("Endpoint="+endpoint+";AccessKey="+key+";", hub, s.options())
		if err != nil {
			t.Fatal(err)
		}
		_ = tun.Serve(ctx, http.NotFoundHandler())
		if n := <-sent; n > 4<<20 {
			t.Errorf("%d bytes were read", n)
		}
	})
}
