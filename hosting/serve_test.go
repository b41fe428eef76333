package hosting_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
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

// serveOne serves h over one connection, which buffers nothing, and returns the
// client's end.
func serveOne(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	l := pipeListener{conns: make(chan net.Conn, 1)}
	l.conns <- server
	srv := hosting.NewServer(h, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(hosting.NewStallListener(l)) }()
	t.Cleanup(func() {
		close(l.conns)
		_ = client.Close()
		_ = srv.Close()
		<-ended
	})
	return client
}

// request serves h and sends it the head of a request and then the parts of its
// body, with 20 seconds before each. The response is ignored.
func request(t *testing.T, h http.HandlerFunc, length int, parts ...string) {
	t.Helper()
	client := serveOne(t, h)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length)
	for _, part := range parts {
		time.Sleep(20 * time.Second)
		_, _ = io.WriteString(client, part)
	}
}

// A client that stops in the middle of a body is disconnected.
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

// A client that has sent the whole request may wait for the response.
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

// respond serves h and sends it a number of requests in advance. It returns the
// client's end of the connection.
func respond(t *testing.T, h http.HandlerFunc, requests int) net.Conn {
	t.Helper()
	client := serveOne(t, h)
	go func() { _, _ = io.WriteString(client, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", requests)) }()
	return client
}

// Clients that sent requests ahead and never read were held for minutes, each
// with a goroutine and its response.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		failed := make(chan error, 1)
		client := respond(t, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 100_000))
			failed <- err
		}, 200)
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the response ended with %v, want %v", err, os.ErrDeadlineExceeded)
		}
		synctest.Wait()
		if _, err := client.Write([]byte("x")); err == nil {
			t.Error("the connection is still open")
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the client was disconnected after %v", took)
		}
	})
}

// A slow client gets a long response, in one write of the handler, as long as it
// keeps reading: here for more than a quarter of an hour.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		wrote := make(chan error, 1)
		client := respond(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(size))
			_, err := w.Write(make([]byte, size))
			wrote <- err
		}, 1)
		resp, err := http.ReadResponse(bufio.NewReaderSize(client, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for read, block := 0, make([]byte, 1000); read < size; {
			time.Sleep(time.Second)
			n, err := resp.Body.Read(block)
			if read += n; err != nil && read < size {
				t.Fatalf("after %d bytes and %v: %v", read, time.Since(begin), err)
			}
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 15*time.Minute {
			t.Errorf("the client took %v, which is no slow one", took)
		}
	})
}

// An earlier deadline of the handler's own counts.
func TestDeadlineOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		failed := make(chan error, 1)
		respond(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
			_, err := w.Write(make([]byte, 100_000))
			failed <- err
		}, 1)
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("the response ended with %v after %v", err, time.Since(begin))
		}
	})
}
