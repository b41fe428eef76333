package emulator

import (
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
)

// mqttMessage is one message for MQTT clients. It is immutable once made.
type mqttMessage struct {
	topic      string
	qos        byte
	payload    []byte
	properties mqtt.Properties
}

// outbox holds the messages of QoS 1 and 2 that the client has not
// acknowledged. They outlive the link.
type outbox struct {
	waiting []*delivery // not sent yet
	flying  []*delivery // sent, in that order
	again   []*delivery // those of flying that are not sent again yet on this link
	bytes   int         // of all of them
	lastID  uint16
	// progress is when the client last acknowledged a message, or had none to
	// acknowledge.
	progress time.Time
}

// delivery is one message on its way to one client.
type delivery struct {
	packet   mqtt.Publish
	expires  time.Time // zero: never
	released bool      // QoS 2: PUBREL was sent
}

func (d *delivery) size() int { return len(d.packet.Topic) + len(d.packet.Payload) + 128 }

// ackGrace is for how long a session may keep more than Options.MaxMessages
// messages that were not sent yet while its client acknowledges none.
const ackGrace = 10 * time.Second

// overrun reports whether the session can keep no further message. In flight are
// as many as the client takes at once, and Options.MaxMessages at most; as many
// again may wait for that. A burst may be larger: while the client acknowledges,
// only Options.MaxBytes is a bound. It needs c.mu.
func (c *conn) overrun(d *delivery) bool {
	s, o := c.mqtt, &c.hub.srv.opts
	now := o.Clock.Now()
	if len(s.waiting)+len(s.flying) == 0 {
		s.progress = now
	}
	stuck := c.link == nil || now.Sub(s.progress) >= ackGrace
	return s.bytes+d.size() > o.MaxBytes || len(s.waiting) >= o.MaxMessages && stuck
}

// queueMessage queues a message, and returns how many got it: one or none. A
// message of QoS 0 is lost on a client that is away.
func (c *conn) queueMessage(m *mqttMessage, expires time.Time, from *conn) int {
	s := c.mqtt
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.doomed {
		return 0
	}
	// Members of a group that did not subscribe have the default options. Which
	// QoS that means is not documented; in MQTT an option is off unless asked for.
	sub, subscribed := s.subscriptions[m.topic]
	qos := min(m.qos, sub.qos)
	if !subscribed && isServerTopic(m.topic) {
		qos = m.qos
	}
	if sub.noLocal && from == c {
		return 0
	}
	d := &delivery{expires: expires, packet: mqtt.Publish{QoS: qos, Topic: m.topic, Payload: m.payload, Properties: m.properties}}
	if sub.id != 0 {
		d.packet.Properties = append(mqtt.Properties{{ID: mqtt.SubscriptionID, Int: sub.id}}, m.properties...)
	}
	if qos == 0 {
		if c.link == nil {
			return 0
		}
		return c.fly(d)
	}
	if c.overrun(d) {
		c.doom("The session's message buffer is full.")
		return 0
	}
	s.waiting = append(s.waiting, d)
	s.bytes += d.size()
	c.launch()
	return 1
}

// launch sends what waits, as far as the client takes it: first what it did not
// acknowledge on the link before. It needs c.mu.
func (c *conn) launch() {
	s := c.mqtt
	for c.link != nil && len(s.flying)-len(s.again) < s.window {
		if len(s.again) > 0 {
			d := s.again[0]
			if s.again = s.again[1:]; c.fly(d) == 0 {
				s.complete(slices.Index(s.flying, d))
			}
			continue
		}
		if len(s.waiting) == 0 {
			break
		}
		d := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		d.packet.PacketID = s.nextID()
		if c.fly(d) == 1 {
			s.flying = append(s.flying, d)
		} else {
			s.bytes -= d.size()
		}
	}
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
}

// fly sends a message, unless it is too late or too large for the client. It
// needs c.mu, and returns how many messages were sent: one or none.
func (c *conn) fly(d *delivery) int {
	s, now := c.mqtt, c.hub.srv.opts.Clock.Now()
	p := d.packet
	if !d.expires.IsZero() {
		left := d.expires.Sub(now)
		if left <= 0 && !p.Dup { // a delivery that has begun is brought to its end
			return 0
		}
		left = max(left, time.Second)
		p.Properties = append(mqtt.Properties{{ID: mqtt.MessageExpiry, Int: uint32((left + time.Second - 1) / time.Second)}}, p.Properties...)
	}
	b := s.version.Append(nil, &p)
	if len(b) > s.maxPacket {
		// It counts as sent (section 3.1.2.11.4).
		c.journalSoon(Entry{Kind: KindRefused, Name: "PUBLISH " + p.Topic, Status: int(mqtt.PacketTooLarge), Reason: fmt.Sprintf("a packet of %d bytes is not sent: the client's Maximum Packet Size is %d", len(b), s.maxPacket)})
		return 0
	}
	f := packetFrame(p.Type(), b)
	if p.QoS == 0 {
		f.expires = d.expires
	}
	if !c.push(item{frame: f, kept: p.QoS > 0}) {
		c.doom("The outbound message queue is full.")
		return 0
	}
	return 1
}

// journalSoon is for where locks are held: who observes the journal may ask the
// hub.
func (c *conn) journalSoon(e Entry) { c.hub.srv.work(func() { c.journal(e) }) }

// nextID returns a packet identifier that is not in use. There is one: fewer
// messages than identifiers fly at once.
func (s *mqttSession) nextID() uint16 {
	for {
		if s.lastID++; s.lastID != 0 && s.find(s.lastID) < 0 {
			return s.lastID
		}
	}
}

// find returns the place of a message among those that fly, or -1. Clients
// acknowledge in order, so it is most often the first.
func (s *mqttSession) find(id uint16) int {
	for i, d := range s.flying {
		if d.packet.PacketID == id {
			return i
		}
	}
	return -1
}

// complete forgets the message at that place of those in flight: it is delivered,
// or given up.
func (s *mqttSession) complete(i int) {
	d := s.flying[i]
	s.bytes -= d.size()
	s.flying = slices.Delete(s.flying, i, i+1)
	if j := slices.Index(s.again, d); j >= 0 { // acknowledged before it was sent again
		s.again = slices.Delete(s.again, j, j+1)
	}
}

// resend repeats what the client has not acknowledged on the link before, and
// goes on with what waits (section 4.4). A release is no message: it does not
// wait until the client takes more (section 3.3.4), but the message counts until
// it is complete. It needs c.mu.
func (c *conn) resend() {
	s := c.mqtt
	s.again = nil
	for _, d := range s.flying {
		if d.released {
			c.pushKept(&mqtt.Ack{Kind: mqtt.TypePubrel, PacketID: d.packet.PacketID})
		} else {
			d.packet.Dup = true
			s.again = append(s.again, d)
		}
	}
	c.launch()
}

// receiveAck goes one step further with the delivery of a message, in either
// direction (section 4.3).
func (c *conn) receiveAck(l *link, a *mqtt.Ack) {
	s := c.mqtt
	c.mu.Lock()
	next := &mqtt.Ack{PacketID: a.PacketID}
	if a.Kind == mqtt.TypePubrel {
		next.Kind = mqtt.TypePubcomp
		if _, ok := s.received[a.PacketID]; !ok {
			next.Code = mqtt.PacketIdentifierNotFound
		}
		delete(s.received, a.PacketID)
		c.pushPacket(next)
		c.mu.Unlock()
		return
	}
	i := s.find(a.PacketID)
	if i >= 0 && !s.flying[i].expects(a.Kind) {
		c.mu.Unlock()
		c.dropMQTT(l, mqtt.ProtocolError, "an acknowledgement does not fit the QoS of its message: PUBACK is for QoS 1, PUBREC and then PUBCOMP for QoS 2")
		return
	}
	defer c.mu.Unlock()
	if a.Kind == mqtt.TypePubrec && (i < 0 || a.Code < mqtt.UnspecifiedError) {
		next.Kind = mqtt.TypePubrel
		if i < 0 {
			next.Code = mqtt.PacketIdentifierNotFound
		} else {
			d := s.flying[i]
			s.bytes -= d.size()
			d.released, d.packet = true, mqtt.Publish{QoS: 2, PacketID: a.PacketID}
			s.bytes += d.size()
			if j := slices.Index(s.again, d); j >= 0 {
				s.again = slices.Delete(s.again, j, j+1)
			}
			s.progress = c.hub.srv.opts.Clock.Now()
		}
		c.pushPacket(next)
		return
	}
	if i >= 0 {
		s.complete(i)
		s.progress = c.hub.srv.opts.Clock.Now()
		c.launch()
	}
}

// expects reports whether the kind of acknowledgement is the one that is due. A
// client may repeat PUBREC on a new link.
func (d *delivery) expects(kind mqtt.Type) bool {
	switch {
	case d.packet.QoS == 1:
		return kind == mqtt.TypePuback
	case d.released:
		return kind == mqtt.TypePubcomp || kind == mqtt.TypePubrec
	}
	return kind == mqtt.TypePubrec
}

// sendPacket queues a packet that is no message.
func (c *conn) sendPacket(p mqtt.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.doomed {
		c.pushPacket(p)
	}
}

// pushPacket needs c.mu.
func (c *conn) pushPacket(p mqtt.Packet) { c.pushOf(p, false) }

// pushKept is pushPacket for a packet that the session keeps, within its own
// bounds.
func (c *conn) pushKept(p mqtt.Packet) { c.pushOf(p, true) }

func (c *conn) pushOf(p mqtt.Packet, kept bool) {
	b, ok := c.mqtt.encode(p)
	if l := c.link; l != nil && !ok {
		// Without its answer the client waits for ever: it gets a new link.
		rule := fmt.Sprintf("%v needs %d bytes, and the client's Maximum Packet Size is %d", p.Type(), len(b), c.mqtt.maxPacket)
		c.hub.srv.work(func() { c.dropMQTT(l, mqtt.PacketTooLarge, rule) })
		return
	}
	if !c.push(item{frame: packetFrame(p.Type(), b), kept: kept}) {
		c.doom("The outbound message queue is full.")
	}
}

func packetFrame(t mqtt.Type, b []byte) *frame {
	f := newFrame(websocket.BinaryMessage, b)
	f.name = t.String()
	return f
}
