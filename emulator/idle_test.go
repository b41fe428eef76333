package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

func waitIdle(t *testing.T, srv *emulator.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWaitIdle(t *testing.T) {
	release := make(chan struct{})
	handlers, events := upstream(t, func(w http.ResponseWriter, e event) {
		if e.Name == "slow" {
			<-release
		}
	})
	srv := startWith(t, handlers)
	a, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	waitIdle(t, srv)
	for len(events) > 0 {
		<-events
	}

	// What came of a message is in the client's hands, or at least on its way.
	a.send(`{"type":"sendToGroup","group":"g","data":1,"ackId":1}`)
	a.recv()
	waitIdle(t, srv)
	a.expect(`{"type":"ack","ackId":1,"success":true}`)

	// While a handler thinks, the emulator is not idle.
	a.send(`{"type":"event","event":"slow","dataType":"text","data":"","ackId":2}`)
	nextEvent(t, events)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.WaitIdle(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "operations") {
		t.Errorf("got %v", err)
	}
	close(release)
	waitIdle(t, srv)
	a.expect(`{"type":"ack","ackId":2,"success":true}`)
}

// A client that says goodbye while the emulator's own close frame still waits
// behind other messages once saw the connection break, with 1006.
func TestSimultaneousClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := emulator.NewMemoryListener()
		srv := emulator.StartT(t, emulator.Options{Listener: network})
		c := dial(t, srv, dialOptions{groups: []string{"g"}, network: network})
		from, _ := dialJSON(t, srv, dialOptions{roles: anything, network: network})
		const n = 300 // more than the network holds
		for i := range n {
			from.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","dataType":"text","data":"%0500d"}`, i))
		}
		from.expectNothingElse()

		target := srv.URL() + "/api/hubs/chat/:closeConnections?reason=Enough.&api-version=2024-12-01"
		r := httptest.NewRequest(http.MethodPost, target, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/chat/:closeConnections", time.Now().Add(time.Hour)))
		w := httptest.NewRecorder()
		if srv.ServeHTTP(w, r); w.Code != http.StatusNoContent {
			t.Fatalf("close: %d %s", w.Code, w.Body)
		}
		if err := c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, "")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range n {
			c.recv()
		}
		c.expectClose(websocket.CloseNormalClosure, "Enough.")
	})
}
