package emulator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/mqtt"
)

// A client may take fewer messages at once than on its connection before. All
// that it had not acknowledged used to be sent again at once: 50 messages to one
// that takes 3.
func TestMQTTReceiveMaximumOfAResumedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 2)
		b := connectMQTT(t, srv, "b", anything...)
		publish := func(id uint16, qos byte) *mqtt.Publish {
			p := withQoS(qos, id, message("t", "", fmt.Sprint(id)))
			b.send(p)
			if qos == 1 {
				b.expect(step(mqtt.TypePuback, id))
			} else {
				b.expect(step(mqtt.TypePubrec, id))
			}
			return p
		}
		var sent []*mqtt.Publish
		for i, qos := range []byte{2, 1, 2, 1, 1} {
			sent = append(sent, publish(uint16(i+1), qos))
		}
		a.expect(sent[0], sent[1], sent[2], sent[3], sent[4])
		a.send(step(mqtt.TypePubrec, 3))
		a.expect(step(mqtt.TypePubrel, 3))
		a.lose(srv, 1)
		sent = append(sent, publish(6, 1))

		a, _ = lasting(t, srv, mqtt.Connect{Properties: mqtt.Properties{{ID: mqtt.ReceiveMaximum, Int: 2}}})
		// The release waits for nothing, but its message counts until it is complete.
		a.expect(step(mqtt.TypePubrel, 3), duplicate(sent[0]))
		a.expectNothingElse()
		a.send(step(mqtt.TypePubcomp, 3))
		a.expect(duplicate(sent[1]))
		a.expectNothingElse()
		a.send(step(mqtt.TypePuback, 2))
		a.expect(duplicate(sent[3]))
		a.send(step(mqtt.TypePuback, 5)) // a late answer to the connection before: not sent again
		a.send(step(mqtt.TypePubrec, 1))
		a.expect(step(mqtt.TypePubrel, 1))
		a.expectNothingElse() // PUBREC makes no room
		a.send(step(mqtt.TypePubcomp, 1))
		a.expect(sent[5])
		a.send(step(mqtt.TypePuback, 4), step(mqtt.TypePuback, 6))
		a.expectNothingElse()
	})
}

// A burst that is larger than what may be in flight waits. It used to end the
// session of a client that acknowledges as it reads, while the publishers were
// told that all is well.
func TestMQTTBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, burst, rounds = 10, 500, 20
		srv := virtual(t, emulator.Options{MaxPendingMessages: most})
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 1)
		for range burst {
			send(t, srv, "groups/t/:send", "x")
		}
		id := uint16(0)
		for round := range (burst + rounds) / most {
			for range most {
				id++
				a.expect(withQoS(1, id, message("t", "text/plain", "x")))
			}
			a.expectNothingElse()
			if round < rounds {
				advance(9 * time.Second) // slow, but less than the grace
				send(t, srv, "groups/t/:send", "x")
			}
			for i := range uint16(most) {
				a.send(step(mqtt.TypePuback, id-most+1+i))
			}
		}
		a.expectNothingElse()
	})
}

// A client that acknowledges nothing is closed, as slow clients of other
// protocols are.
func TestMQTTSlow(t *testing.T) {
	const most = 3
	for name, act := range map[string]func(c *mqttClient, srv *emulator.Server){
		"no acknowledgement": func(c *mqttClient, srv *emulator.Server) {
			for range 4 * most { // beyond the bound, but for a moment only
				send(c.t, srv, "groups/t/:send", "x")
			}
			for id := range uint16(most) {
				c.expect(withQoS(1, id+1, message("t", "text/plain", "x")))
			}
			c.expectNothingElse()
			advance(10 * time.Second)
			send(c.t, srv, "groups/t/:send", "x")
		},
		"too many bytes": func(c *mqttClient, srv *emulator.Server) {
			for id := range uint16(most) {
				send(c.t, srv, "groups/t/:send", strings.Repeat("x", 3000))
				c.expect(withQoS(1, id+1, message("t", "text/plain", strings.Repeat("x", 3000))))
			}
			send(c.t, srv, "groups/t/:send", strings.Repeat("x", 3000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{MaxPendingMessages: most, MaxPendingBytes: 10_000})
				c := connectMQTT(t, srv, "a", anything...)
				c.subscribe("t", 1)
				act(c, srv)
				c.expectEnd(mqtt.QuotaExceeded)
				if e := waitFor(t, srv, emulator.EntryDisconnected, "a"); e.Status != websocket.ClosePolicyViolation {
					t.Error(e)
				}
			})
		})
	}
}

// While its client is away a session keeps no more messages than a connection
// of another protocol.
func TestMQTTFullWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{MaxPendingMessages: 3})
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 1)
		a.lose(srv, 1)
		for range 4 {
			send(t, srv, "groups/t/:send", "x")
		}
		waitFor(t, srv, emulator.EntryDisconnected, "a")
		if _, answer := lasting(t, srv, mqtt.Connect{}); answer.SessionPresent {
			t.Error("the session goes on, without the message that did not fit")
		}
	})
}

// A packet that is too large for the client counts as sent.
func TestMQTTMaximumPacketSize(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialMQTT(t, srv, dialOptions{roles: anything}, &mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.MaximumPacketSize, Int: 40}}})
	c.subscribe("t", 1)
	send(t, srv, "groups/t/:send", strings.Repeat("x", 40))
	send(t, srv, "groups/t/:send", "x")
	c.expect(withQoS(1, 2, message("t", "text/plain", "x")))
	waitForReason(t, srv, "Maximum Packet Size")

	// There is no room for a reason string either.
	c.send(withQoS(1, 1, message("$webpubsub/x", "", "")))
	if got, ok := c.recv().(*mqtt.Ack); !ok || got.Code != mqtt.TopicNameInvalid || got.Properties != nil {
		t.Errorf("got %+v", got)
	}
	c.send(mqtt.Ping{Kind: mqtt.TypePingresp})
	if got, ok := c.recv().(*mqtt.Disconnect); !ok || got.Code != mqtt.ProtocolError || got.Properties != nil {
		t.Errorf("got %+v", got)
	}

	// An answer that does not fit at all is not left out: the client would wait.
	c, _ = dialMQTT(t, srv, dialOptions{roles: anything}, &mqtt.Connect{ClientID: "b", Properties: mqtt.Properties{{ID: mqtt.MaximumPacketSize, Int: 40}}})
	many := &mqtt.Subscribe{PacketID: 1}
	for range 40 {
		many.Filters = append(many.Filters, mqtt.Filter{Topic: "t"})
	}
	c.send(many)
	c.expectEnd(mqtt.PacketTooLarge)
}

// The answer to CONNECT used to ignore the client's Maximum Packet Size: its
// user properties come from the connect handler.
func TestMQTTMaximumPacketSizeOfConnack(t *testing.T) {
	srv := handled(t, func(h *handler.Handler) {
		h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
			return &handler.ConnectResponse{MQTT: &handler.MQTTConnectResponse{
				UserProperties: []handler.MQTTUserProperty{{Name: "long", Value: strings.Repeat("v", 100)}},
			}}, nil
		})
	})
	for _, tt := range []struct {
		most uint32
		code mqtt.Code
		user bool
	}{{300, mqtt.Success, true}, {60, mqtt.Success, false}, {10, mqtt.PacketTooLarge, false}} {
		_, answer := dialMQTT(t, srv, dialOptions{noToken: true}, &mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.MaximumPacketSize, Int: tt.most}}})
		size := len(mqtt.V5.Append(nil, answer))
		if answer.Code != tt.code || size > int(tt.most) || (len(answer.Properties.Only(mqtt.UserProperty)) > 0) != tt.user {
			t.Errorf("at most %d bytes: got %d, %+v", tt.most, size, answer)
		}
	}
	c, _, err := tryDialMQTT(t, srv, dialOptions{noToken: true})
	if err != nil {
		t.Fatal(err)
	}
	c.send(&mqtt.Connect{Version: mqtt.V5, ClientID: "tiny", Properties: mqtt.Properties{{ID: mqtt.MaximumPacketSize, Int: 4}}})
	c.expectClosed()
	if got := rest(t, srv, request{method: "HEAD", path: "connections/tiny"}); got.status != 404 {
		t.Errorf("a client without an answer has a connection: %d", got.status)
	}
}

// What CONNACK promises to take counts the whole packet. Up to four bytes more
// used to be taken.
func TestMQTTPromisedMaximumPacketSize(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	b := connectMQTT(t, srv, "b", anything...)
	b.subscribe("t", 1)
	sized := func(size int) *mqtt.Publish {
		p := message("t", "", strings.Repeat("x", size-20))
		for len(mqtt.V5.Append(nil, p)) < size {
			p.Payload = append(p.Payload, 'x')
		}
		return p
	}
	a := connectMQTT(t, srv, "a", anything...)
	a.send(sized(1 << 20))
	if got, ok := b.recv().(*mqtt.Publish); !ok || len(got.Payload) < 1<<20-20 {
		t.Errorf("got %T", got)
	}
	a.send(sized(1<<20 + 1))
	a.expectEnd(mqtt.PacketTooLarge)
	b.expectNothingElse()
}

// Subscriptions to the service's own topics need no role, and each name of an
// event is one more: they used to be taken without bound.
func TestMQTTServerTopicsAreBounded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a")
	filters := func(from, to int) (out []mqtt.Filter) {
		for i := from; i < to; i++ {
			out = append(out, mqtt.Filter{Topic: fmt.Sprintf("$webpubsub/server/events/e%d/failed", i)})
		}
		return out
	}
	subscribe := func(f []mqtt.Filter) []mqtt.Code {
		t.Helper()
		c.send(&mqtt.Subscribe{PacketID: 1, Filters: f})
		answer, ok := c.recv().(*mqtt.Suback)
		if !ok {
			t.Fatal("no SUBACK")
		}
		return answer.Codes
	}
	for i, code := range subscribe(filters(0, 1000)) {
		if code != 0 {
			t.Fatalf("subscription %d: 0x%02x", i, byte(code))
		}
	}
	if got := subscribe(filters(999, 1001)); got[0] != 0 || got[1] != mqtt.QuotaExceeded {
		t.Errorf("one that is there, and one too many: %x", got)
	}
	c.send(&mqtt.Unsubscribe{PacketID: 2, Filters: []string{"$webpubsub/server/events/e0/failed"}})
	c.expect(&mqtt.Unsuback{PacketID: 2, Codes: []mqtt.Code{0}})
	if got := subscribe(filters(1000, 1002)); got[0] != 0 || got[1] != mqtt.QuotaExceeded {
		t.Errorf("in place of one that ended: %x", got)
	}
}
