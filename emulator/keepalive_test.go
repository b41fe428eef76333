package emulator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// The service pings; a client that answers stays, one that does not is cut. The
// shortest interval is a second, and this test lasts for a few of them.
func TestKeepAlive(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{Hubs: map[string]emulator.Hub{hubName: {KeepAlive: time.Second}}})
	mute, hello := dialJSON(t, srv, dialOptions{})
	mute.ws.SetPingHandler(func(string) error { return nil })
	polite, _ := dialJSON(t, srv, dialOptions{})
	pings := make(chan struct{}, 100)
	answer := polite.ws.PingHandler()
	polite.ws.SetPingHandler(func(s string) error { pings <- struct{}{}; return answer(s) })
	ended := make(chan error, 1)
	go func() {
		_, _, err := polite.next()
		ended <- err
	}()

	if _, _, err := mute.next(); err == nil {
		t.Error("got a message, want the connection to be cut")
	}
	if e := waitFor(t, srv, emulator.KindDisconnected, hello.ConnectionID); !strings.Contains(e.Reason, "PingTimeout") {
		t.Errorf("reason %q", e.Reason)
	}
	for range 4 {
		select {
		case <-pings:
		case err := <-ended:
			t.Fatalf("a client that answers pings was cut: %v", err)
		}
	}
	_ = polite.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	var closed *websocket.CloseError
	if err := <-ended; !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
		t.Errorf("ended with %v", err)
	}
}

// Closing the emulator while clients come and go must end, and leave nothing
// behind: a client in the middle of its handshake was once forgotten.
func TestCloseDuringHandshakes(t *testing.T) {
	for range 20 {
		srv, err := emulator.New(emulator.Options{})
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
		time.Sleep(2 * time.Millisecond) // let some of them be under way; any number will do
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			<-done
		}
	}
}
