package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/service"
)

const mqttSubscribers = 100

// mqttClient is a bare client of MQTT 5.0 over WebSocket.
type mqttClient struct {
	ws      *websocket.Conn
	packets *mqtt.Reader
}

func dialMQTT(ctx context.Context, url, id string) (*mqttClient, error) {
	d := websocket.Dialer{HandshakeTimeout: 20 * time.Second, Subprotocols: []string{"mqtt"}}
	ws, resp, err := d.DialContext(ctx, url, nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: %s", err, resp.Status)
		}
		return nil, err
	}
	c := &mqttClient{ws: ws, packets: mqtt.NewReader(mqtt.Joined(func() (io.Reader, error) {
		_, r, err := ws.NextReader()
		return r, err
	}), 1<<20)}
	c.packets.Version = mqtt.V5
	answer, err := c.exchange(&mqtt.Connect{Version: mqtt.V5, ClientID: id, CleanStart: true})
	if connack, ok := answer.(*mqtt.Connack); err == nil && (!ok || connack.Code != mqtt.Success) {
		err = fmt.Errorf("CONNECT was answered with %+v", answer)
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	return c, nil
}

func (c *mqttClient) send(p mqtt.Packet) error {
	return c.ws.WriteMessage(websocket.BinaryMessage, mqtt.V5.Append(nil, p))
}

func (c *mqttClient) exchange(p mqtt.Packet) (mqtt.Packet, error) {
	if err := c.send(p); err != nil {
		return nil, err
	}
	return c.packets.Next()
}

// receive reads messages and acknowledges them until the connection ends.
func (c *mqttClient) receive(in *inspector) error {
	for {
		p, err := c.packets.Next()
		if err != nil {
			return err
		}
		message, ok := p.(*mqtt.Publish)
		if !ok {
			return fmt.Errorf("%+v where a message was due", p)
		}
		if _, err := in.frame(message.Payload, time.Now()); err != nil {
			return err
		}
		if err := c.send(&mqtt.Ack{Kind: mqtt.TypePuback, PacketID: message.PacketID}); err != nil {
			return err
		}
	}
}

// subscribeMQTT connects the clients that receive.
func (a *audience) subscribeMQTT(ctx context.Context, url string, n int) (context.Context, error) {
	ctx, a.fail = context.WithCancelCause(ctx)
	for i := range n {
		c, err := dialMQTT(ctx, url, fmt.Sprint("subscriber_", i))
		if err != nil {
			return ctx, err
		}
		in := newInspector(&a.received)
		a.conns, a.all = append(a.conns, c.ws), append(a.all, in)
		answer, err := c.exchange(&mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: groupName, QoS: 1}}})
		if suback, ok := answer.(*mqtt.Suback); err == nil && (!ok || suback.Codes[0] != 1) {
			err = fmt.Errorf("SUBSCRIBE was answered with %+v", answer)
		}
		if err != nil {
			return ctx, err
		}
		a.wg.Go(func() {
			if err := c.receive(in); !a.leaving.Load() {
				a.fail(fmt.Errorf("subscriber %d: %w", i, err))
			}
		})
	}
	return ctx, nil
}

// publisher returns the publisher i of the client, which waits for PUBACK.
func (c *mqttClient) publisher(i int) publisher {
	number := 0
	return func() error {
		number++
		id := uint16(number%60_000 + 1)
		p := &mqtt.Publish{QoS: 1, Topic: groupName, PacketID: id, Payload: stamp(nil, i, number, time.Now())}
		answer, err := c.exchange(p)
		if ack, ok := answer.(*mqtt.Ack); err == nil && (!ok || ack.PacketID != id || ack.Code >= mqtt.UnspecifiedError) {
			err = fmt.Errorf("PUBLISH was answered with %+v", answer)
		}
		return err
	}
}

// fanoutMQTT measures a broker at a WebSocket address.
func fanoutMQTT(ctx context.Context, s settings, p *process, url string) (sample, error) {
	a := new(audience)
	defer a.leave()
	ctx, err := a.subscribeMQTT(ctx, url, mqttSubscribers)
	if err != nil {
		return sample{}, err
	}
	var all []publisher
	for i := range publishers {
		c, err := dialMQTT(ctx, url, fmt.Sprint("publisher_", i))
		if err != nil {
			return sample{}, err
		}
		defer c.ws.Close()
		all = append(all, c.publisher(i))
	}
	sent, err := a.measure(ctx, s, p, all, mqttSubscribers)
	if err != nil {
		return sample{}, err
	}
	one := sent.perSecond(mqttSubscribers)
	one.p50, one.p99, one.max = percentiles(a.took())
	return one, nil
}

var mqttRow = row{
	name: "mqtt", title: fmt.Sprintf("MQTT 5.0 over WebSocket: fan-out to %d subscribers, QoS 1, %d bytes", mqttSubscribers, payloadSize),
	unit:     "acknowledged deliveries per CPU second of the server",
	emulator: true,
	contenders: []contender{
		{"this emulator", func(ctx context.Context, s settings) (sample, error) {
			p, err := startRole(ctx, "emulator")
			if err != nil {
				return sample{}, err
			}
			defer p.stop()
			c, err := service.NewClientFromConnectionString(p.ready, hubName, nil)
			if err != nil {
				return sample{}, err
			}
			t, err := c.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{
				Protocol: service.ClientProtocolMQTT, Roles: []string{webpubsub.RoleSendToAnyGroup, webpubsub.RoleJoinLeaveAnyGroup},
			})
			if err != nil {
				return sample{}, err
			}
			return fanoutMQTT(ctx, s, p, t.URL)
		}},
		{"peer: mochi-mqtt v2.7.9", func(ctx context.Context, s settings) (sample, error) {
			p, err := startRole(ctx, "hub-mochi")
			if err != nil {
				return sample{}, err
			}
			defer p.stop()
			return fanoutMQTT(ctx, s, p, "ws://"+p.ready)
		}},
	},
	targets: []target{{text: "of the peer", a: "this emulator", b: "peer: mochi-mqtt v2.7.9", field: value, goal: 1}},
}
