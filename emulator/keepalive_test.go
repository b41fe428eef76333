package emulator_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// The service pings every 20 s; a client that answers stays, one that does not
// is cut when the ping after it is due.
func TestKeepAlive(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.subprotocol = jsonProtocol
		mute, hello := dialJSON(t, srv, o)
		mute.ws.SetPingHandler(func(string) error { return nil })
		polite, _ := dialJSON(t, srv, o)
		pings := 0
		answer := polite.ws.PingHandler()
		polite.ws.SetPingHandler(func(s string) error { pings++; return answer(s) })
		ended := make(chan error, 1)
		_ = polite.ws.SetReadDeadline(time.Time{})
		go func() {
			_, _, err := polite.ws.ReadMessage()
			ended <- err
		}()

		start := time.Now()
		_ = mute.ws.SetReadDeadline(time.Time{})
		if _, _, err := mute.ws.ReadMessage(); err == nil {
			t.Error("got a message, want the connection to be cut")
		}
		if e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); !strings.Contains(e.Reason, "PingTimeout") || e.Time.Sub(start) != 40*time.Second {
			t.Errorf("ended after %v: %s", e.Time.Sub(start), e.Reason)
		}
		time.Sleep(time.Hour - time.Since(start))
		synctest.Wait()
		if pings != 180 {
			t.Errorf("%d pings in an hour, want 180", pings)
		}
		_ = polite.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		var closed *websocket.CloseError
		if err := <-ended; !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
			t.Errorf("ended with %v", err)
		}
	})
}

// Closing the emulator while clients come and go must end, and leave nothing
// behind: a client in the middle of its handshake was once forgotten.
func TestCloseDuringHandshakes(t *testing.T) {
	for range 20 {
		srv, err := emulator.Start(emulator.Options{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		for range 4 {
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					ws, _, err := websocket.DefaultDialer.Dial(srv.ClientURL(hubName)+"?access_token="+accessToken(t, srv, dialOptions{}), nil)
					if err != nil {
						return
					}
					defer ws.Close()
				}
			}()
		}
		// By now others are under way; any number will do.
		waitForEntry(t, srv, "a client", func(e emulator.Entry) bool { return e.Kind == emulator.EntryConnected })
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			<-done
		}
	}
}

// Close returns when all that the emulator does has ended. The look at the file
// of settings once went on, and so did the answer to a stray request: a journal
// entry that comes after the end of a test makes its log panic.
func TestCloseWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, begin := range map[string]func(*emulator.MemoryListener){
		"a reload": func(*emulator.MemoryListener) { write(`{"hubs":{"chat":{}}}`) },
		"a stray request": func(network *emulator.MemoryListener) {
			c, err := network.DialContext(context.Background(), "tcp", "localhost:80")
			if err == nil {
				_, err = io.WriteString(c, "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
			if err != nil {
				t.Error(err)
			}
		},
	} {
		write(`{"hubs":{}}`)
		synctest.Test(t, func(t *testing.T) {
			begun, release := make(chan bool), make(chan bool)
			network := emulator.NewMemoryListener()
			srv, err := emulator.Start(emulator.Options{HubsFile: path, Listener: network, Observe: func(emulator.Entry) {
				close(begun)
				<-release
			}})
			if err != nil {
				t.Fatal(err)
			}
			begin(network)
			<-begun
			closed := make(chan error, 1)
			go func() { closed <- srv.Close() }()
			synctest.Wait()
			if len(closed) > 0 {
				t.Errorf("%s goes on after Close", name)
			}
			close(release)
			if err := <-closed; err != nil {
				t.Error(err)
			}
		})
	}
}
