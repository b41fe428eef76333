package control_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/wire"
)

// mqtt connects an MQTT client, and returns its WebSocket behind the CONNACK.
func (r *rig) mqtt(connect *mqtt.Connect, query string) *websocket.Conn {
	r.t.Helper()
	d := r.dialer()
	d.Subprotocols = []string{"mqtt"}
	ws, _, err := d.Dial(r.srv.MQTTURL("chat")+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = ws.Close() })
	r.sendPacket(ws, connect.Version, connect)
	if _, _, err := ws.ReadMessage(); err != nil {
		r.t.Fatal(err)
	}
	return ws
}

func (r *rig) sendPacket(ws *websocket.Conn, v mqtt.Version, p mqtt.Packet) {
	r.t.Helper()
	if err := ws.WriteMessage(websocket.BinaryMessage, v.Append(nil, p)); err != nil {
		r.t.Fatal(err)
	}
}

// Binary frames are shown raw and decoded.
func TestBinaryFrames(t *testing.T) {
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {AllowAnonymous: true}}})
	c := r.dial(`{"hub":"chat","roles":["webpubsub.sendToGroup","webpubsub.joinLeaveGroup"],"groups":["g"]}`, "protobuf.webpubsub.azure.v1")
	c.read() // connected
	frame, err := wire.Protobuf.AppendUpstream(nil, wire.SendToGroup{Group: "g", Message: webpubsub.Binary([]byte{0xff, 0})})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, frame); err != nil {
		t.Fatal(err)
	}
	c.read()
	r.idle()
	e := r.entry("sent", "g in chat")
	for path, want := range map[string]string{
		"content.frame.type": "sendToGroup", "content.frame.protocol": "protobuf", "content.frame.raw.encoding": "base64",
		"content.frame.decoded.type": "sendToGroup", "content.frame.decoded.data": "/wA=", "content.frame.decoded.group": "g",
		"content.message.encoding": "base64", "content.message.data": "/wA=", "content.message.contentType": "application/octet-stream",
		"receivers": "1", "bytes": "2",
	} {
		if got := e.text(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	delivered := object(e.get("content.delivered").([]any)[0].(map[string]any))
	if delivered.text("protocol") != "protobuf" || delivered.text("raw.encoding") != "base64" || delivered.text("decoded.type") != "message" {
		t.Errorf("delivered was %v", delivered)
	}

	for version, name := range map[mqtt.Version]string{mqtt.V311: "3.1.1", mqtt.V5: "5.0"} {
		token := r.must("POST", "/tokens", `{"hub":"chat","clientType":"mqtt","roles":["webpubsub.sendToGroup"],"userId":"`+name+`"}`).text("token")
		id := "client" + strings.ReplaceAll(name, ".", "")
		ws := r.mqtt(&mqtt.Connect{Version: version, ClientID: id, KeepAlive: 60, CleanStart: true}, "?access_token="+token)
		r.sendPacket(ws, version, &mqtt.Publish{Topic: "news", QoS: 1, PacketID: 7, Payload: []byte{0, 'a'}})
		if _, _, err := ws.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		e := r.entry("sent " + name)
		for path, want := range map[string]string{
			"content.frame.type": "PUBLISH", "content.frame.protocol": "mqtt", "content.frame.mqttVersion": name,
			"content.frame.decoded.topic": "news", "content.frame.decoded.qos": "1", "content.frame.decoded.packetId": "7",
			"content.frame.decoded.payload.bytes": "2",
		} {
			if got := e.text(path); got != want {
				t.Errorf("%s: %s is %q, want %q", name, path, got, want)
			}
		}
		connected := r.entry("connected " + name)
		if connected.text("content.frame.type") != "CONNECT" || connected.text("content.frame.decoded.clientId") != id || connected.text("content.frame.decoded.version") != name || connected.text("content.request.status") != "101" {
			t.Errorf("%s: connected by %v", name, connected["content"])
		}
	}
}
