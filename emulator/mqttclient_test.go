package emulator_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/token"
)

// mqttClient is a bare MQTT client: it sends and reads packets and does nothing
// by itself.
type mqttClient struct {
	t       *testing.T
	ws      *websocket.Conn
	version mqtt.Version
	packets *mqtt.Reader
}

// tryDialMQTT opens the WebSocket and sends nothing.
func tryDialMQTT(t *testing.T, srv *emulator.Server, o dialOptions) (*mqttClient, *http.Response, error) {
	t.Helper()
	if o.hub == "" {
		o.hub = hubName
	}
	q := url.Values{}
	if !o.noToken {
		compact, err := token.Sign(emulator.DefaultAccessKey, token.Claims{
			Audience: srv.URL() + "/clients/mqtt/hubs/" + o.hub,
			UserID:   o.user, Roles: o.roles, Groups: o.groups, Expires: time.Now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		q.Set("access_token", compact)
	}
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	if network := networkOf(srv); network != nil {
		d.NetDialContext = network.DialContext
	}
	ws, resp, err := d.Dial(srv.MQTTURL(o.hub)+"?"+q.Encode(), nil)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { _ = ws.Close() })
	stream := mqtt.Joined(func() (io.Reader, error) {
		kind, r, err := ws.NextReader()
		if err == nil && kind != websocket.BinaryMessage {
			err = fmt.Errorf("a packet in a message of kind %d", kind)
		}
		return r, err
	})
	return &mqttClient{t: t, ws: ws, version: mqtt.V5, packets: mqtt.NewReader(stream, 1<<28)}, resp, nil
}

// dialMQTT opens the WebSocket and connects; it returns the answer.
func dialMQTT(t *testing.T, srv *emulator.Server, o dialOptions, p *mqtt.Connect) (*mqttClient, *mqtt.Connack) {
	t.Helper()
	c, _, err := tryDialMQTT(t, srv, o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version == 0 {
		p.Version = mqtt.V5
	}
	if p.Version == mqtt.V311 && p.KeepAlive == 0 {
		p.KeepAlive = 60
	}
	c.version, c.packets.Version = p.Version, p.Version
	c.send(p)
	answer, ok := c.recv().(*mqtt.Connack)
	if !ok {
		t.Fatal("the first packet is no CONNACK")
	}
	return c, answer
}

// connectMQTT connects a client of MQTT 5.0 with a new session.
func connectMQTT(t *testing.T, srv *emulator.Server, id string, roles ...string) *mqttClient {
	t.Helper()
	c, answer := dialMQTT(t, srv, dialOptions{roles: roles}, &mqtt.Connect{ClientID: id, CleanStart: true, KeepAlive: 60})
	if answer.Code != 0 {
		t.Fatalf("refused: %+v", answer)
	}
	return c
}

func (c *mqttClient) send(packets ...mqtt.Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		b = c.version.Append(b, p)
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *mqttClient) next() (mqtt.Packet, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	return c.packets.Next()
}

func (c *mqttClient) recv() mqtt.Packet {
	c.t.Helper()
	p, err := c.next()
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return p
}

// expect wants these packets to come next. Reason strings are not compared.
func (c *mqttClient) expect(want ...mqtt.Packet) {
	c.t.Helper()
	for _, w := range want {
		got := c.recv()
		if !reflect.DeepEqual(withoutReason(got), w) {
			c.t.Fatalf("got  %T %+v\nwant %T %+v", got, got, w, w)
		}
	}
}

func withoutReason(p mqtt.Packet) mqtt.Packet {
	drop := func(p *mqtt.Properties) {
		var out mqtt.Properties
		for _, q := range *p {
			if q.ID != mqtt.ReasonString {
				out = append(out, q)
			}
		}
		*p = out
	}
	switch p := p.(type) {
	case *mqtt.Ack:
		drop(&p.Properties)
	case *mqtt.Suback:
		drop(&p.Properties)
	case *mqtt.Unsuback:
		drop(&p.Properties)
	case *mqtt.Disconnect:
		drop(&p.Properties)
	}
	return p
}

// expectNothingElse sends PINGREQ and wants its answer to be next.
func (c *mqttClient) expectNothingElse() {
	c.t.Helper()
	c.send(mqtt.Ping{Kind: mqtt.TypePingreq})
	c.expect(mqtt.Ping{Kind: mqtt.TypePingresp})
}

// expectEnd wants the DISCONNECT packet of this code and then the close.
func (c *mqttClient) expectEnd(code mqtt.Code) {
	c.t.Helper()
	c.expect(&mqtt.Disconnect{Code: code})
	c.expectClosed()
}

func (c *mqttClient) expectClosed() {
	c.t.Helper()
	p, err := c.next()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		c.t.Fatalf("got %+v (%v), want the WebSocket to be closed", p, err)
	}
}

func (c *mqttClient) subscribe(topic string, qos byte) {
	c.t.Helper()
	c.send(&mqtt.Subscribe{PacketID: 9, Filters: []mqtt.Filter{{Topic: topic, QoS: qos}}})
	c.expect(&mqtt.Suback{PacketID: 9, Codes: []mqtt.Code{mqtt.Code(qos)}})
}

// message is a PUBLISH packet as the service sends it.
func message(topic, contentType, payload string) *mqtt.Publish {
	p := &mqtt.Publish{Topic: topic, Payload: []byte(payload)}
	if contentType != "" {
		p.Properties.AddData(mqtt.ContentType, contentType)
	}
	return p
}

func withQoS(qos byte, id uint16, p *mqtt.Publish) *mqtt.Publish {
	q := *p
	q.QoS, q.PacketID = qos, id
	return &q
}

func duplicate(p *mqtt.Publish) *mqtt.Publish {
	q := *p
	q.Dup = true
	return &q
}

func step(kind mqtt.Type, id uint16) *mqtt.Ack { return &mqtt.Ack{Kind: kind, PacketID: id} }
