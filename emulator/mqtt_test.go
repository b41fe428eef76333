package emulator_test

import (
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

func TestMQTTConnack(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	supported := mqtt.Properties{
		{ID: mqtt.MaximumPacketSize, Int: 1 << 20},
		{ID: mqtt.RetainAvailable},
		{ID: mqtt.WildcardAvailable},
		{ID: mqtt.SharedSubscriptionAvailable},
	}
	c, answer := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{ClientID: "client_1", KeepAlive: 60})
	if answer.Code != 0 || answer.SessionPresent || len(answer.Properties) != len(supported) {
		t.Errorf("answer %+v", answer)
	}
	c.expectNothingElse()

	// The service answers with its own values where it cannot give what is asked.
	_, answer = dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 3600}}})
	expiry, _ := answer.Properties.Int(mqtt.SessionExpiry)
	keepAlive, _ := answer.Properties.Int(mqtt.ServerKeepAlive)
	id, _ := answer.Properties.Data(mqtt.AssignedClientID)
	if expiry != 30 || keepAlive != 180 || len(id) < 20 {
		t.Errorf("session expiry %d, keep-alive %d, client id %q", expiry, keepAlive, id)
	}
	if got := rest(t, srv, request{method: "HEAD", path: "connections/" + id}); got.status != 200 {
		t.Errorf("the assigned client id is no connection id: %d", got.status)
	}

	c, answer = dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Version: mqtt.V311, ClientID: "old", CleanStart: true})
	if answer.Code != 0 || answer.Properties != nil {
		t.Errorf("answer %+v", answer)
	}
	c.expectNothingElse()
}

// Packets may be split and joined over WebSocket messages.
func TestMQTTStream(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _, err := tryDialMQTT(t, srv, dialOptions{roles: anything})
	if err != nil {
		t.Fatal(err)
	}
	c.packets.Version = mqtt.V5
	b := mqtt.V5.Append(nil, &mqtt.Connect{Version: mqtt.V5, ClientID: "a", KeepAlive: 60})
	b = mqtt.V5.Append(b, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "t"}}})
	b = mqtt.V5.Append(b, message("t", "", "hi"))
	for len(b) > 0 {
		n := min(7, len(b))
		if err := c.ws.WriteMessage(websocket.BinaryMessage, b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if _, ok := c.recv().(*mqtt.Connack); !ok {
		t.Fatal("no CONNACK")
	}
	c.expect(&mqtt.Suback{PacketID: 1, Codes: []mqtt.Code{0}}, message("t", "", "hi"))
}

func TestMQTTQoS(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a, b := connectMQTT(t, srv, "a", anything...), connectMQTT(t, srv, "b", anything...)
	for granted := range byte(3) {
		b.subscribe("t", granted)
		for sent := range byte(3) {
			p := message("t", "", "m")
			switch sent {
			case 0:
				a.send(p)
			case 1:
				a.send(withQoS(1, 5, p))
				a.expect(step(mqtt.TypePuback, 5))
			case 2:
				a.send(withQoS(2, 6, p))
				a.expect(step(mqtt.TypePubrec, 6))
				a.send(withQoS(2, 6, p)) // not a second message
				a.expect(step(mqtt.TypePubrec, 6))
				a.send(step(mqtt.TypePubrel, 6))
				a.expect(step(mqtt.TypePubcomp, 6))
			}
			got, ok := b.recv().(*mqtt.Publish)
			if !ok || got.QoS != min(sent, granted) || string(got.Payload) != "m" || got.Dup || got.Retain {
				t.Fatalf("sent with QoS %d, subscribed with %d: got %+v", sent, granted, got)
			}
			switch got.QoS {
			case 1:
				b.send(step(mqtt.TypePuback, got.PacketID))
			case 2:
				b.send(step(mqtt.TypePubrec, got.PacketID))
				b.expect(step(mqtt.TypePubrel, got.PacketID))
				b.send(step(mqtt.TypePubcomp, got.PacketID))
			}
			b.expectNothingElse()
		}
	}
}
