package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

// noAnswer stands for a CONNECT that is answered with the end of the connection:
// MQTT 3.1.1 wants that where none of its five codes fits (section 3.2.2.3).
const noAnswer = mqtt.Success

func TestMQTTConnectRefused(t *testing.T) {
	long := strings.Repeat("x", 129)
	v3 := func(p mqtt.Connect) *mqtt.Connect {
		p.Version = mqtt.V311
		if p.KeepAlive == 0 {
			p.KeepAlive = 1
		}
		return &p
	}
	will := func(topic, payload string, retain bool) *mqtt.Will {
		return &mqtt.Will{Topic: topic, Payload: []byte(payload), Retain: retain}
	}
	for _, tt := range []struct {
		packet *mqtt.Connect
		code   mqtt.Code
		rule   string
	}{
		{&mqtt.Connect{ClientID: "a-b"}, 0x85, "client id"},
		{&mqtt.Connect{ClientID: long}, 0x85, "client id"},
		{v3(mqtt.Connect{ClientID: "a b"}), 2, "client id"},
		{v3(mqtt.Connect{CleanStart: true}), 2, "empty"},
		{v3(mqtt.Connect{ClientID: "a", KeepAlive: 181}), noAnswer, "keep-alive"},
		{&mqtt.Connect{ClientID: "a", Will: will(" ", "", false)}, 0x90, "topic of a will"},
		{&mqtt.Connect{ClientID: "a", Will: will("a/+", "", false)}, 0x90, "topic of a will"},
		{&mqtt.Connect{ClientID: "a", Will: will("t", strings.Repeat("x", 2001), false)}, 0x95, "2,000 bytes"},
		{&mqtt.Connect{ClientID: "a", Will: will("t", "", true)}, 0x9a, "retained"},
		{v3(mqtt.Connect{ClientID: "a", Will: will("t", "", true)}), noAnswer, "retained"},
		{&mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.AuthenticationMethod, Data: "x"}}}, 0x8c, "extended authentication"},
		{&mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.AuthenticationData, Data: "x"}}}, 0x82, "authentication method"},
		{&mqtt.Connect{ClientID: "a", Will: &mqtt.Will{Topic: "w", Properties: mqtt.Properties{{ID: mqtt.ResponseTopic, Data: "a/+"}}}}, 0x82, "response topic"},
	} {
		srv := emulator.StartT(t, emulator.Options{})
		if tt.code == noAnswer {
			c, _, err := tryDialMQTT(t, srv, dialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c.version = tt.packet.Version
			c.send(tt.packet)
			c.expectClosed()
			waitForReason(t, srv, tt.rule)
			continue
		}
		c, answer := dialMQTT(t, srv, dialOptions{}, tt.packet)
		reason, _ := answer.Properties.Data(mqtt.ReasonString)
		if answer.Code != tt.code || tt.packet.Version == mqtt.V5 && !strings.Contains(reason, tt.rule) {
			t.Errorf("%s: answer %+v", tt.rule, answer)
		}
		c.expectClosed()
		waitForReason(t, srv, tt.rule)
	}
}

func TestMQTTHandshakeRefused(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"open": {AllowAnonymous: true}}})
	for name, dial := range map[string]func() (*http.Response, error){
		"no token": func() (*http.Response, error) {
			_, resp, err := tryDialMQTT(t, srv, dialOptions{noToken: true})
			return resp, err
		},
		"token of the other endpoint": func() (*http.Response, error) {
			d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
			_, resp, err := d.Dial(srv.MQTTURL(hubName)+"?access_token="+accessToken(t, srv, dialOptions{}), nil)
			return resp, err
		},
	} {
		if resp, err := dial(); err == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if _, resp, err := (&websocket.Dialer{}).Dial(srv.MQTTURL("open"), nil); err == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no subprotocol: %v, %v", resp, err)
	}
	if _, answer := dialMQTT(t, srv, dialOptions{hub: "open", noToken: true}, &mqtt.Connect{ClientID: "a"}); answer.Code != 0 {
		t.Errorf("anonymous: %+v", answer)
	}
}

// What breaks the protocol, or needs what the service does not support, ends
// the connection with the code that says so.
func TestMQTTDropped(t *testing.T) {
	retained := message("t", "", "")
	retained.Retain = true
	alias := message("t", "", "")
	alias.Properties.AddInt(mqtt.TopicAlias, 1)
	identified := message("t", "", "")
	identified.Properties.AddInt(mqtt.SubscriptionID, 1)
	respondTo := message("t", "", "")
	respondTo.Properties.AddData(mqtt.ResponseTopic, "answers/#")
	badJSON := message("t", "application/json", "{")
	for _, tt := range []struct {
		rule    string
		packets []mqtt.Packet
		code    mqtt.Code
	}{
		{"retained", []mqtt.Packet{retained}, 0x9a},
		{"topic aliases", []mqtt.Packet{alias}, 0x94},
		{"subscription identifier", []mqtt.Packet{identified}, 0x82},
		{"wildcards", []mqtt.Packet{message("a/#", "", "")}, 0x90},
		{"response topic", []mqtt.Packet{respondTo}, 0x82},
		{"QoS 3", []mqtt.Packet{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "t", QoS: 3}}}}, 0x82},
		{"retain handling", []mqtt.Packet{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "t", RetainHandling: 3}}}}, 0x82},
		{"No Local", []mqtt.Packet{&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "$share/g/t", NoLocal: true}}}}, 0x82},
		{"reason code", []mqtt.Packet{&mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 1, Code: mqtt.SessionTakenOver}}, 0x82},
		{"$webpubsub/", []mqtt.Packet{message("$webpubsub/other", "", "")}, 0x90},
		{"$webpubsub/", []mqtt.Packet{message("$webpubsub/server/events/a/b", "", "")}, 0x90},
		{"Invalid group name", []mqtt.Packet{message(" ", "", "")}, 0x90},
		{"JSON", []mqtt.Packet{badJSON}, 0x99},
		{"MIME", []mqtt.Packet{message("$webpubsub/server/events/e", "no type", "")}, 0x83},
		{"CONNECT once", []mqtt.Packet{&mqtt.Connect{Version: mqtt.V5}}, 0x82},
		{"PINGRESP", []mqtt.Packet{mqtt.Ping{Kind: mqtt.TypePingresp}}, 0x82},
		{"not for a client", []mqtt.Packet{&mqtt.Suback{PacketID: 1}}, 0x82},
		{"not for a client", []mqtt.Packet{&mqtt.Auth{}}, 0x82},
		{"too large", []mqtt.Packet{message("t", "", strings.Repeat("x", 1<<20))}, 0x95},
		{"expiry", []mqtt.Packet{&mqtt.Disconnect{Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 1}}}}, 0x82},
	} {
		srv := emulator.StartT(t, emulator.Options{})
		c := connectMQTT(t, srv, "a", anything...)
		c.send(tt.packets...)
		c.expectEnd(tt.code)
		waitForReason(t, srv, tt.rule)
	}

	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a")
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	c.expectEnd(mqtt.ProtocolError)
	c, _, err := tryDialMQTT(t, srv, dialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.send(mqtt.Ping{Kind: mqtt.TypePingreq})
	c.expectClosed()
	waitForReason(t, srv, "must be CONNECT")

	// MQTT 3.1.1 has no packet to say why.
	c, _ = dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{Version: mqtt.V311, ClientID: "b", CleanStart: true})
	c.send(retained)
	c.expectClosed()
}

// A CONNECT that is broken or of an unknown level gets an answer if its version
// has one. A malformed CONNECT of MQTT 3.1.1 used to be answered with "server
// unavailable", which asks the client to try again later.
func TestMQTTConnectBroken(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for packet, want := range map[string]struct {
		version mqtt.Version
		code    mqtt.Code
	}{
		"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01a":   {mqtt.V311, mqtt.V311UnacceptableVersion},
		"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a":     {mqtt.V311, mqtt.V311UnacceptableVersion},
		"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a":     {mqtt.V311, noAnswer},
		"\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01a": {mqtt.V5, mqtt.MalformedPacket},
		"\x10\x80\x80\x80\x01":                              {mqtt.V311, noAnswer},
	} {
		c, _, err := tryDialMQTT(t, srv, dialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ws.WriteMessage(websocket.BinaryMessage, []byte(packet)); err != nil {
			t.Fatal(err)
		}
		c.packets.Version = want.version
		if want.code != noAnswer {
			if got, ok := c.recv().(*mqtt.Connack); !ok || got.Code != want.code {
				t.Errorf("%q: %+v", packet, got)
			}
		}
		c.expectClosed()
	}
}

func TestMQTTSubscribeRefused(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	filters := []mqtt.Filter{
		{Topic: "mine", QoS: 1},
		{Topic: "other"},
		{Topic: "a/+"},
		{Topic: "#"},
		{Topic: "$share/g/mine"},
		{Topic: " "},
		{Topic: "$webpubsub/x"},
		{Topic: "$webpubsub/server/messages", QoS: 2},
		{Topic: "$webpubsub/server/events/e/failed"},
	}
	for _, version := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		c, _ := dialMQTT(t, srv, dialOptions{roles: []string{"webpubsub.joinLeaveGroup.mine"}}, &mqtt.Connect{Version: version, ClientID: "a", CleanStart: true})
		c.send(&mqtt.Subscribe{PacketID: 3, Filters: filters})
		codes := []mqtt.Code{1, 0x87, 0xa2, 0xa2, 0x9e, 0x8f, 0x8f, 2, 0}
		if version == mqtt.V311 {
			codes = []mqtt.Code{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0}
		}
		c.expect(&mqtt.Suback{PacketID: 3, Codes: codes})
		c.send(&mqtt.Unsubscribe{PacketID: 4, Filters: []string{"mine", "mine", "$webpubsub/server/messages", "other"}})
		want := &mqtt.Unsuback{PacketID: 4}
		if version == mqtt.V5 {
			want.Codes = []mqtt.Code{0, mqtt.NoSubscriptionExisted, 0, mqtt.NoSubscriptionExisted}
		}
		c.expect(want)
	}
	waitForReason(t, srv, "wildcards are not supported")
}

// A message that may not be sent ends the connection with QoS 0 only.
func TestMQTTPublishForbidden(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a")
	c.send(withQoS(1, 1, message("t", "", "")), withQoS(2, 2, message("t", "", "")))
	c.expect(
		&mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 1, Code: mqtt.NotAuthorized},
		&mqtt.Ack{Kind: mqtt.TypePubrec, PacketID: 2, Code: mqtt.NotAuthorized},
	)
	if got := rest(t, srv, request{method: "PUT", path: "permissions/sendToGroup/connections/a?targetName=t"}); got.status != 200 {
		t.Fatalf("grant: %d", got.status)
	}
	c.send(withQoS(1, 1, message("t", "", "")))
	c.expect(step(mqtt.TypePuback, 1))
	c.send(message("u", "", ""))
	c.expectEnd(mqtt.NotAuthorized)
	waitForReason(t, srv, "permission to send to group 'u'")
}
