package emulator_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

// In a bubble, with everything in memory, the system's clock is virtual: half a
// minute passes in no time.
func TestRecoveryWindowInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := emulator.NewMemoryListener()
		srv := emulator.StartT(t, emulator.Options{Listener: network})
		if got := srv.ClientURL(hubName); got != "ws://localhost:80/client/hubs/chat" {
			t.Errorf("ClientURL is %s", got)
		}
		drop := func() connected {
			c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, network: network})
			_ = c.ws.NetConn().Close()
			synctest.Wait()
			waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
			return hello
		}
		back := func(hello connected) *client {
			o := recovery(hello)
			o.network = network
			return dial(t, srv, o)
		}

		hello := drop()
		time.Sleep(29 * time.Second)
		back(hello).expectNothingElse()

		start := time.Now()
		hello = drop()
		time.Sleep(30*time.Second + time.Millisecond)
		synctest.Wait()
		e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID)
		if e.Reason != "The connection recovery timeout expired." || e.Time.Sub(start) != 30*time.Second {
			t.Errorf("ended after %v: %s", e.Time.Sub(start), e.Reason)
		}
		back(hello).expectClose(1008, "The connection could not be recovered.")
	})
}

func memoryPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l := emulator.NewMemoryListener()
	defer l.Close()
	accepted := make(chan net.Conn)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	a, err := l.DialContext(context.Background(), "tcp", "anywhere:1")
	if err != nil {
		t.Fatal(err)
	}
	b = <-accepted
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

func TestMemoryConn(t *testing.T) {
	t.Run("more than the buffer", func(t *testing.T) {
		a, b := memoryPair(t)
		want := bytes.Repeat([]byte("0123456789"), 50_000)
		go func() {
			_, _ = a.Write(want)
			_ = a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, want %d: %v", len(got), len(want), err)
		}
		if _, err := b.Write([]byte("x")); err == nil {
			t.Error("wrote to a closed connection")
		}
	})
	t.Run("reset", func(t *testing.T) {
		a, b := memoryPair(t)
		_, _ = a.Write([]byte("lost"))
		_ = a.(interface{ SetLinger(int) error }).SetLinger(0)
		_ = a.Close()
		if _, err := b.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want a reset", err)
		}
	})
	t.Run("deadlines", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memoryPair(t)
			_ = b.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			_ = a.SetWriteDeadline(time.Now().Add(time.Second))
			if n, err := a.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n != 64<<10 {
				t.Errorf("write: %d, %v", n, err)
			}
		})
	})
	t.Run("nobody listens", func(t *testing.T) {
		l := emulator.NewMemoryListener()
		_ = l.Close()
		if _, err := l.DialContext(context.Background(), "tcp", ""); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
	})
}

// inProcess carries requests to a handler without a network.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	header := make(http.Header)
	for name, values := range r.Header { // as a server reads them
		for _, v := range values {
			header.Add(name, v)
		}
	}
	r = r.Clone(r.Context())
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

// An event handler can live in the bubble too, and take its virtual time.
func TestEventsInVirtualTime(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		time.Sleep(time.Minute)
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "done")
	})
	hub := emulator.HubSettings{EventHandlers: []emulator.EventHandler{{URL: "http://handler.test/", UserEvents: "*"}}}
	bubble(t, emulator.Options{Transport: inProcess{handler}, Hubs: map[string]emulator.HubSettings{hubName: hub}}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		c, _ := dialJSON(t, srv, o)
		_ = c.ws.SetReadDeadline(time.Time{})
		start := time.Now()
		c.send(`{"type":"event","event":"work","dataType":"text","data":"x","ackId":1}`)
		_, _, err := c.ws.ReadMessage()
		if took := time.Since(start); err != nil || took != time.Minute {
			t.Errorf("the answer took %v, %v", took, err)
		}
		waitIdle(t, srv)
		c.expect(acked(1))
	})
}
