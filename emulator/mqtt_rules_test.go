package emulator_test

import (
	"context"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/mqtt"
)

// The normative statements of MQTT 5.0 that no other test is about, by their
// numbers.

// MQTT-3.1.2-29: a client that wants no problem information gets it on CONNACK
// and DISCONNECT at most.
func TestMQTTRequestProblemInformation(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.RequestProblem, Int: 0}}})
	c.send(withQoS(1, 1, message("t", "", "")), &mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Filter{{Topic: "t"}}})
	for range 2 {
		switch p := c.recv().(type) {
		case *mqtt.Ack:
			if p.Code != mqtt.NotAuthorized || p.Properties != nil {
				t.Errorf("PUBACK %+v", p)
			}
		case *mqtt.Suback:
			if p.Codes[0] != mqtt.NotAuthorized || p.Properties != nil {
				t.Errorf("SUBACK %+v", p)
			}
		default:
			t.Fatalf("got %+v", p)
		}
	}
}

// MQTT-3.1.4-6 and MQTT-3.2.2-6: what follows a CONNECT that is rejected is not
// carried out, and there is no session.
func TestMQTTNothingAfterARejectedConnect(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	watcher, _ := dialJSON(t, srv, dialOptions{groups: []string{"t"}})
	c, _, err := tryDialMQTT(t, srv, dialOptions{roles: anything})
	if err != nil {
		t.Fatal(err)
	}
	c.packets.Version = mqtt.V5
	c.send(&mqtt.Connect{Version: mqtt.V5, ClientID: "not-allowed"}, message("t", "", "x"))
	if answer, ok := c.recv().(*mqtt.Connack); !ok || answer.Code != mqtt.ClientIdentifierNotValid || answer.SessionPresent {
		t.Errorf("answer %+v", answer)
	}
	c.expectClosed()
	watcher.expectNothingElse()
}

// MQTT-3.3.1-3: whether a message is a duplicate for its receivers does not
// depend on whether it was one for the server.
func TestMQTTDuplicateIsNotForwarded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a, b := connectMQTT(t, srv, "a", anything...), connectMQTT(t, srv, "b", anything...)
	b.subscribe("t", 1)
	a.send(duplicate(withQoS(1, 7, message("t", "", "x"))))
	a.expect(step(mqtt.TypePuback, 7))
	b.expect(withQoS(1, 1, message("t", "", "x")))
	// MQTT-4.3.2-5: after PUBACK the same packet identifier is a new message.
	a.send(duplicate(withQoS(1, 7, message("t", "", "y"))))
	a.expect(step(mqtt.TypePuback, 7))
	b.expect(withQoS(1, 2, message("t", "", "y")))
}

// MQTT-4.3.3-9: after a PUBREC that is an error, the same packet identifier is a
// new message.
func TestMQTTQoS2AfterAnError(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a, b := connectMQTT(t, srv, "a", anything...), connectMQTT(t, srv, "b", anything...)
	b.subscribe("t", 0)
	a.send(withQoS(2, 7, message("t", "application/json", "{")), withQoS(2, 7, message("t", "application/json", "{}")))
	a.expect(&mqtt.Ack{Kind: mqtt.TypePubrec, PacketID: 7, Code: mqtt.PayloadFormatInvalid}, step(mqtt.TypePubrec, 7))
	b.expect(message("t", "application/json", "{}"))
}

// PUBREL took effect when it was read, and so before a repeated PUBLISH of the same
// message that waited behind an event: the repetition was then a new message, and
// was delivered a second time.
func TestMQTTReleaseKeepsItsPlace(t *testing.T) {
	answer := make(chan struct{})
	srv := handled(t, func(h *handler.Handler) {
		h.OnEvent("slow", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			<-answer
			return nil, nil
		})
	})
	a, b := connectMQTT(t, srv, "a", anything...), connectMQTT(t, srv, "b", anything...)
	b.subscribe("t", 0)
	a.send(withQoS(2, 7, message("t", "", "x")))
	a.expect(step(mqtt.TypePubrec, 7))
	a.send(withQoS(1, 8, message("$webpubsub/server/events/slow", "", "")),
		duplicate(withQoS(2, 7, message("t", "", "x"))), step(mqtt.TypePubrel, 7),
		mqtt.Ping{Kind: mqtt.TypePingreq})
	a.expect(mqtt.Ping{Kind: mqtt.TypePingresp}) // everything is read by now
	close(answer)
	for _, want := range []*mqtt.Ack{step(mqtt.TypePuback, 8), step(mqtt.TypePubrec, 7), step(mqtt.TypePubcomp, 7)} {
		for {
			got, ok := a.recv().(*mqtt.Ack)
			if ok && got.Kind == want.Kind && got.PacketID == want.PacketID {
				break
			}
		}
	}
	b.expect(message("t", "", "x"))
	b.expectNothingElse()
}

// MQTT-3.10.4-2 and MQTT-3.10.4-3: the end of a subscription stops new messages,
// and the delivery of one that was sent is completed.
func TestMQTTUnsubscribeCompletes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a", anything...)
	c.subscribe("t", 2)
	b := connectMQTT(t, srv, "b", anything...)
	b.send(withQoS(2, 1, message("t", "", "x")))
	b.expect(step(mqtt.TypePubrec, 1))
	c.expect(withQoS(2, 1, message("t", "", "x")))
	c.send(&mqtt.Unsubscribe{PacketID: 5, Filters: []string{"t"}})
	c.expect(&mqtt.Unsuback{PacketID: 5, Codes: []mqtt.Code{0}})
	b.send(withQoS(2, 2, message("t", "", "y")))
	b.expect(step(mqtt.TypePubrec, 2))
	c.send(step(mqtt.TypePubrec, 1))
	c.expect(step(mqtt.TypePubrel, 1))
	c.send(step(mqtt.TypePubcomp, 1))
	c.expectNothingElse()
}

// MQTT-4.7.3-4 and MQTT-1.5.4-3: topics are compared as they are, and a byte
// order mark is a character of one.
func TestMQTTTopicsAreNotNormalized(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a", anything...)
	topics := []string{"é", "e\u0301", "\ufefft", "t", "T", "t/", "/t", "t "}
	for _, topic := range topics {
		c.subscribe(topic, 0)
	}
	for _, topic := range topics {
		c.send(message(topic, "", topic))
		c.expect(message(topic, "", topic))
	}
	c.expectNothingElse()
}
