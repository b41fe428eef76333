package wsconn_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"
)

// pair returns both ends of a WebSocket connection in memory.
func pair(t *testing.T) (client, service *websocket.Conn) {
	t.Helper()
	near, far := net.Pipe()
	upgraded := make(chan *websocket.Conn, 1)
	go func() {
		defer close(upgraded)
		br := bufio.NewReader(far)
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		ws, err := new(websocket.Upgrader).Upgrade(&response{c: far, br: br}, r, nil)
		if err == nil {
			upgraded <- ws
		}
	}()
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return near, nil }}
	client, _, err := d.Dial("ws://test/", nil)
	service = <-upgraded
	if err != nil || service == nil {
		t.Fatalf("no handshake: %v", err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return client, service
}

// response is the part of an http.ResponseWriter that an upgrade needs.
type response struct {
	c  net.Conn
	br *bufio.Reader
}

func (r *response) Header() http.Header         { return http.Header{} }
func (r *response) Write(b []byte) (int, error) { return r.c.Write(b) }
func (r *response) WriteHeader(int)             {}
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return r.c, bufio.NewReadWriter(r.br, bufio.NewWriter(r.c)), nil
}
