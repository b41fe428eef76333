package emulator

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/names"
)

var errNotBinary = &mqtt.Error{Code: mqtt.ProtocolError, Rule: "MQTT travels in binary WebSocket messages, not in text (section 6)"}

// nextBinary returns the next message of an MQTT client.
func (l *link) nextBinary() (io.Reader, error) {
	opcode, r, err := l.ws.NextReader()
	if err == nil && opcode != websocket.BinaryMessage {
		err = errNotBinary
	}
	return r, err
}

// readMQTT reads a link to its end.
func (c *conn) readMQTT(l *link, packets *mqtt.Reader) {
	c.watch(l)
	var err error
	for err == nil && c.holds(l) {
		var p mqtt.Packet
		p, err = packets.Next()
		c.hub.srv.busy.begin()
		var broken *mqtt.Error
		switch {
		case err == nil:
			l.alive.Store(true)
			c.receivePacket(l, p)
		case errors.As(err, &broken):
			c.dropMQTT(l, broken.Code, broken.Rule)
			err = nil
		}
		c.hub.srv.busy.end()
	}
	if err == nil { // closed from here: the peer has to answer
		err = l.discard()
	}
	c.hub.srv.busy.begin()
	defer c.hub.srv.busy.end()
	c.linkEnded(l, err)
}

// holds reports whether the link is the one that the client has.
func (c *conn) holds(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.link == l
}

// receivePacket carries out one packet of the client. What a link brings after
// another one has taken over counts as lost: the client sends it again.
func (c *conn) receivePacket(l *link, p mqtt.Packet) {
	if c.hub.srv.faults.Load() != nil && !c.strike(AtReceive, p.Type().String(), l) {
		return
	}
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if !c.holds(l) {
		return
	}
	c.mu.Lock()
	c.mqtt.heard = c.hub.srv.opts.Clock.Now()
	c.mu.Unlock()
	switch p := p.(type) {
	case *mqtt.Publish:
		c.receivePublish(l, p)
	case *mqtt.Ack:
		c.receiveAck(l, p)
	case *mqtt.Subscribe:
		c.subscribe(p)
	case *mqtt.Unsubscribe:
		c.unsubscribe(p)
	case *mqtt.Disconnect:
		c.receiveDisconnect(l, p)
	case mqtt.Ping:
		if p.Kind == mqtt.TypePingreq {
			c.sendPacket(mqtt.Ping{Kind: mqtt.TypePingresp})
			return
		}
		c.dropMQTT(l, mqtt.ProtocolError, "PINGRESP is for the server to send")
	case *mqtt.Connect:
		c.dropMQTT(l, mqtt.ProtocolError, "a client sends CONNECT once (section 3.1)")
	default:
		c.dropMQTT(l, mqtt.ProtocolError, "this packet is not for a client to send here")
	}
}

// receivePublish takes a message and answers as its QoS asks. Where it breaks a
// rule, QoS 1 and 2 have a packet to say so, if only in MQTT 5.0; QoS 0 has
// none, and the service closes the connection (Azure/azure-webpubsub, issue 793).
func (c *conn) receivePublish(l *link, p *mqtt.Publish) {
	_, alias := p.Properties.Int(mqtt.TopicAlias)
	_, identified := p.Properties.Int(mqtt.SubscriptionID)
	switch {
	case alias:
		c.dropMQTT(l, mqtt.TopicAliasInvalid, "topic aliases are not supported, as CONNACK said by leaving out Topic Alias Maximum")
		return
	case identified:
		c.dropMQTT(l, mqtt.ProtocolError, "a client puts no subscription identifier on a message (section 3.3.2.3.8)")
		return
	case p.Retain:
		c.dropMQTT(l, mqtt.RetainNotSupported, retainRule)
		return
	}
	answer := &mqtt.Ack{Kind: mqtt.TypePuback, PacketID: p.PacketID}
	if p.QoS == 2 {
		answer.Kind = mqtt.TypePubrec
		c.mu.Lock()
		_, again := c.mqtt.received[p.PacketID]
		c.mu.Unlock()
		if again {
			c.sendPacket(answer)
			return
		}
	}
	e := c.acceptPublish(p)
	switch {
	case e != nil && p.QoS == 0:
		c.dropMQTT(l, e.Code, e.Rule)
		return
	case p.QoS == 0:
		return
	case e != nil:
		c.journal(Entry{Kind: KindRefused, Name: "PUBLISH", Status: int(e.Code), Reason: e.Rule})
		answer.Code = e.Code
		answer.Properties = explain(e.Rule)
	case p.QoS == 2:
		c.mu.Lock()
		if c.mqtt.received == nil {
			c.mqtt.received = make(map[uint16]struct{})
		}
		c.mqtt.received[p.PacketID] = struct{}{}
		c.mu.Unlock()
	}
	c.sendPacket(answer)
}

// explain is a reason string, for clients that want them.
func explain(rule string) (p mqtt.Properties) {
	p.AddData(mqtt.ReasonString, clipReason(rule))
	return p
}

// maxServerTopics bounds the subscriptions of a session that need no role.
const maxServerTopics = 1000

// subscribe joins groups. A client may subscribe to topics of the service's own
// messages without a role; it gets those messages in any case, and chooses a
// lower QoS for them this way. (What the service does here is not documented.)
func (c *conn) subscribe(p *mqtt.Subscribe) {
	id, _ := p.Properties.Int(mqtt.SubscriptionID)
	answer := &mqtt.Suback{PacketID: p.PacketID}
	for _, f := range p.Filters {
		e := c.subscribeTo(f.Topic, subscription{f.QoS, f.NoLocal, id})
		if e == nil {
			answer.Codes = append(answer.Codes, mqtt.Code(f.QoS))
			continue
		}
		c.journal(Entry{Kind: KindRefused, Name: "SUBSCRIBE " + f.Topic, Status: int(e.Code), Reason: e.Rule})
		answer.Codes = append(answer.Codes, e.Code)
		if answer.Properties == nil { // there is one reason string for all filters
			answer.Properties = explain(e.Rule)
		}
	}
	c.sendPacket(answer)
}

func (c *conn) subscribeTo(topic string, sub subscription) *mqtt.Error {
	switch {
	case strings.HasPrefix(topic, "$share/"):
		return &mqtt.Error{Code: mqtt.SharedNotSupported, Rule: "shared subscriptions are not supported: subscribe to the topic itself"}
	case strings.ContainsAny(topic, "+#"):
		return &mqtt.Error{Code: mqtt.WildcardNotSupported, Rule: "wildcards are not supported: subscribe to each topic by its name"}
	case strings.HasPrefix(topic, systemTopics) && !isServerTopic(topic):
		return &mqtt.Error{Code: mqtt.TopicFilterInvalid, Rule: "under " + systemTopics + " there are server/messages and server/events/{name}/succeeded and /failed"}
	case names.Group(topic) != nil:
		return &mqtt.Error{Code: mqtt.TopicFilterInvalid, Rule: names.Group(topic).Error()}
	}
	s, server := c.mqtt, strings.HasPrefix(topic, systemTopics)
	c.mu.Lock()
	before, had := s.subscriptions[topic]
	if server && !had {
		if s.serverTopics >= maxServerTopics {
			c.mu.Unlock()
			return &mqtt.Error{Code: mqtt.QuotaExceeded, Rule: fmt.Sprintf("a session has at most %d subscriptions under %s: unsubscribe from some first", maxServerTopics, systemTopics)}
		}
		s.serverTopics++
	}
	if s.subscriptions == nil {
		s.subscriptions = make(map[string]subscription)
	}
	s.subscriptions[topic] = sub // before the first message comes
	c.mu.Unlock()
	if server {
		return nil
	}
	e := c.joinGroup(topic)
	if e == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if had {
		s.subscriptions[topic] = before
	} else {
		delete(s.subscriptions, topic)
	}
	return &mqtt.Error{Code: mqtt.NotAuthorized, Rule: e.Message}
}

// unsubscribed forgets the options of a subscription that is over, whoever
// ended it.
func (c *conn) unsubscribed(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, had := c.mqtt.subscriptions[topic]; had && strings.HasPrefix(topic, systemTopics) {
		c.mqtt.serverTopics--
	}
	delete(c.mqtt.subscriptions, topic)
}

func (c *conn) unsubscribe(p *mqtt.Unsubscribe) {
	answer := &mqtt.Unsuback{PacketID: p.PacketID}
	for _, topic := range p.Filters {
		c.mu.Lock()
		_, had := c.mqtt.subscriptions[topic]
		c.mu.Unlock()
		c.hub.mu.RLock()
		_, member := c.groups[c.hub.groups[topic]]
		c.hub.mu.RUnlock()
		code := mqtt.Success
		switch {
		case !had && !member:
			code = mqtt.NoSubscriptionExisted
		case !member:
			c.unsubscribed(topic)
		default:
			if e := c.leaveGroup(topic); e != nil {
				c.journal(Entry{Kind: KindRefused, Name: "UNSUBSCRIBE " + topic, Status: int(mqtt.NotAuthorized), Reason: e.Message})
				code = mqtt.NotAuthorized
			}
		}
		answer.Codes = append(answer.Codes, code)
	}
	c.sendPacket(answer)
}
