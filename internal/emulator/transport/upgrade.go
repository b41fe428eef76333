package transport

import (
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/frame"
)

// upgrader performs the handshake. Origins are checked before, by the caller.
var upgrader = websocket.Upgrader{
	ReadBufferSize:  1 << 10,
	WriteBufferSize: 1 << 10,
	WriteBufferPool: &sync.Pool{},
	CheckOrigin:     func(*http.Request) bool { return true },
	Error:           func(http.ResponseWriter, *http.Request, int, error) {},
}

// Subprotocols returns what the client offers, in its order. A list may be spread
// over several header lines (RFC 6455, section 11.3.4).
func Subprotocols(r *http.Request) []string {
	var offered []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" {
				offered = append(offered, p)
			}
		}
	}
	return offered
}

// Upgrade responds to the handshake with 101. The subprotocol is echoed in the
// spelling of the client. It reports false if the client has given up.
func (l *Link) Upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) bool {
	header := http.Header{}
	if subprotocol != "" {
		for _, p := range Subprotocols(r) {
			if strings.EqualFold(p, subprotocol) {
				subprotocol = p
				break
			}
		}
		header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	ws, err := upgrader.Upgrade(hijacker{w, l.conn}, r, header)
	if err != nil {
		return false
	}
	l.ws = ws
	return true
}

// Reject closes a WebSocket that belongs to no connection, after its handshake.
// The last frame of f is a close frame.
func (l *Link) Reject(f *frame.Frame) {
	l.Close(f, false)
	l.Start()
	l.t.tasks.Background(func() {
		l.Listen()
		_ = l.Discard()
		l.ReadEnded(true)
	})
}
