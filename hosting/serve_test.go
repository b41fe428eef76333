package hosting_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/hosting"
)

// pipeListener accepts one connection, which is in memory so that it lives in
// virtual time.
type pipeListener struct {
	net.Listener
	conns chan net.Conn
}

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l pipeListener) Close() error { return nil }

// request serves h and sends it the head of a request and then the parts of its
// body, with 20 seconds before each. The answer is not looked at.
func request(t *testing.T, h http.HandlerFunc, length int, parts ...string) {
	t.Helper()
	client, server := net.Pipe()
	l := pipeListener{conns: make(chan net.Conn, 1)}
	l.conns <- server
	srv := hosting.NewServer(h, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	t.Cleanup(func() {
		close(l.conns)
		_ = client.Close()
		_ = srv.Close()
		<-ended
	})
	fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length)
	for _, part := range parts {
		time.Sleep(20 * time.Second)
		_, _ = io.WriteString(client, part)
	}
}

// A client that stops in the middle of a body is given up.
func TestUnfinishedBody(t *testing.T) {
	for name, parts := range map[string][]string{"stops": {"ab", "cd"}, "too slow": {"a", "b", "c", "d", "e", "f"}, "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := make(chan error, 1)
				request(t, func(_ http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					read <- err
				}, 6, parts...)
				if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the body ended with %v, want %v", err, os.ErrDeadlineExceeded)
				}
			})
		})
	}
}

// Whoever has sent the whole request may wait for the answer.
func TestLongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan error, 1)
		request(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			time.Sleep(10 * time.Minute)
			answered <- errors.Join(err, r.Context().Err())
		}, 4, "ab", "cd")
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
}
