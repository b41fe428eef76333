package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

// A handshake and a call take a round trip each, and so does every protocol.
func TestNetworkLatency(t *testing.T) {
	const latency = 3 * time.Second
	for _, subprotocol := range []string{"", jsonProtocol, reliableProtocol} {
		t.Run(subprotocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{NetworkConditions: emulator.NetworkConditions{Latency: latency}})
				start := time.Now()
				if subprotocol == "" {
					dial(t, srv, dialOptions{})
				} else {
					dialJSON(t, srv, dialOptions{roles: anything, subprotocol: subprotocol})
				}
				if got := time.Since(start); got != 2*latency {
					t.Errorf("the handshake took %v", got)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{NetworkConditions: emulator.NetworkConditions{Latency: latency}})
		c, _ := dialJSON(t, srv, dialOptions{roles: anything})
		start := time.Now()
		c.send(`{"type":"joinGroup","group":"g","ackId":1}`)
		c.expect(`{"type":"ack","ackId":1,"success":true}`)
		if got := time.Since(start); got != 2*latency {
			t.Errorf("a call took %v", got)
		}
		if err := srv.SetNetworkConditions(emulator.NetworkConditions{}); err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		c.send(`{"type":"leaveGroup","group":"g","ackId":2}`)
		c.expect(`{"type":"ack","ackId":2,"success":true}`)
		if got := time.Since(start); got != 0 {
			t.Errorf("without latency a call took %v", got)
		}
	})
}

func TestNetworkLatencyOfMQTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{NetworkConditions: emulator.NetworkConditions{Latency: time.Second, Jitter: time.Second}})
		c := connectMQTT(t, srv, "c", anything...)
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "g", QoS: 1}}})
		if _, ok := c.recv().(*mqtt.Suback); !ok {
			t.Fatal("no SUBACK")
		}
		for i := range 100 {
			c.send(&mqtt.Publish{PacketID: uint16(i + 2), QoS: 1, Topic: "g", Payload: []byte(fmt.Sprint(i))})
		}
		for next := 0; next < 100; {
			if p, ok := c.recv().(*mqtt.Publish); ok {
				if string(p.Payload) != fmt.Sprint(next) {
					t.Fatalf("got %s, want %d", p.Payload, next)
				}
				next++
			}
		}
	})
}

// A client that reads as fast as its line allows is not taken for dead while the line
// is full: pings wait behind what was sent before.
func TestKeepAliveOverASlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{NetworkConditions: emulator.NetworkConditions{Bandwidth: 2000}})
		c, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		start := time.Now()
		for range 20 {
			send(t, srv, "groups/g/:send", strings.Repeat("x", 20_000))
		}
		for range 20 {
			_ = c.ws.SetReadDeadline(time.Time{})
			if _, m, err := c.ws.ReadMessage(); err != nil || len(m) < 20_000 {
				t.Fatalf("%d bytes, %v", len(m), err)
			}
		}
		if got := time.Since(start); got < 200*time.Second {
			t.Errorf("400 kB took %v at 2,000 bytes per second", got)
		}
	})
}

// Requests to event handlers are delayed, in order and at the same time.
func TestHandlerLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at := make(chan string, 10)
		handlers, _ := upstreamInProcess(t, func(w http.ResponseWriter, e event) {
			at <- fmt.Sprintf("%s %v", e.Name, time.Since(began).Round(time.Second))
			w.WriteHeader(http.StatusNoContent)
		})
		srv := virtual(t, emulator.Options{
			Hubs:              map[string]emulator.HubSettings{hubName: {EventHandlers: handlers}},
			NetworkConditions: emulator.NetworkConditions{HandlerLatency: 4 * time.Second},
		})
		c, _ := dialJSON(t, srv, dialOptions{})
		// The validation and the connect event.
		if got := time.Since(began); got != 8*time.Second {
			t.Errorf("the handshake took %v", got)
		}
		c.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"x"}`)
		c.expect(`{"type":"ack","ackId":1,"success":true}`)
		// connected is not waited for: the user event is on its way at the same time.
		for _, want := range []string{"connect 8s", "connected 12s", "say 12s"} {
			if got := <-at; got != want {
				t.Errorf("the handler was called for %s, want %s", got, want)
			}
		}
	})
}

func TestNetworkConditionsAreChecked(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for want, c := range map[string]emulator.NetworkConditions{
		"Latency is -1s: 0 to 1m0s":         {Latency: -time.Second},
		"Jitter is 1m1s: 0 to 1m0s":         {Jitter: 61 * time.Second},
		"HandlerLatency is 1h0m0s: 0 to":    {HandlerLatency: time.Hour},
		"Bandwidth is -5 bytes per second:": {Bandwidth: -5},
	} {
		if err := srv.SetNetworkConditions(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("SetNetworkConditions: %v, want %q", err, want)
		}
		if _, err := emulator.Start(emulator.Options{NetworkConditions: c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want %q", err, want)
		}
	}
	if got := srv.NetworkConditions(); got != (emulator.NetworkConditions{}) {
		t.Errorf("in force are %+v", got)
	}
}

// Below TLS and on a real network all is the same.
func TestNetworkConditionsOverTLS(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{TLS: true, NetworkConditions: emulator.NetworkConditions{
		Latency: 2 * time.Millisecond, Jitter: time.Millisecond, Bandwidth: 10_000_000,
	}})
	c := dialTLS(t, srv, accessToken(t, srv, dialOptions{roles: anything, groups: []string{"g"}}))
	c.recv()
	large := strings.Repeat("x", 100_000)
	for i := range 20 {
		c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","ackId":%d,"dataType":"text","data":%q}`, i, large))
	}
	for i := range 20 {
		if got := c.recv(); !strings.Contains(got, large) {
			t.Fatalf("got %.80s", got)
		}
		c.expect(fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, i))
	}
	if err := c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")); err != nil {
		t.Fatal(err)
	}
	c.expectClose(1000, "")
}

// What is on its way does not hold up the end of an emulator.
func TestCloseDoesNotWaitForTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		other, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		if err := srv.SetNetworkConditions(emulator.NetworkConditions{Latency: time.Minute}); err != nil {
			t.Fatal(err)
		}
		send(t, srv, "groups/g/:send", "on its way")
		_ = other.ws.NetConn().Close() // whose link is closed behind what is on its way
		synctest.Wait()
		start := time.Now()
		if err := srv.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close took %v, %v", time.Since(start), err)
		}
		if _, m, err := c.ws.ReadMessage(); err == nil {
			t.Errorf("the client got %s", m)
		}
	})
}
