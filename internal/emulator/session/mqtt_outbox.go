package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/mqtt"
)

// mqttMessage is one message for MQTT clients. It is immutable once made.
type mqttMessage struct {
	topic      string
	qos        byte
	payload    []byte
	properties mqtt.Properties
}

// outbox contains the messages of QoS 1 and 2 that the client has not
// acknowledged. They outlive the link.
type outbox struct {
	waiting  []*delivery // not sent yet
	inFlight []*delivery // sent, in that order
	again    []*delivery // those of inFlight that are not sent again yet on this link
	bytes    int         // of all of them
	lastID   uint16
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
// as many as the client accepts (Receive Maximum), and Options.MaxMessages at most; as many
// again may wait for that. A burst may be larger: while the client acknowledges,
// only Options.MaxBytes is a bound. s.mu must be held.
func (s *MQTT) overrun(d *delivery) bool {
	o, now := s.srv, time.Now()
	if len(s.waiting)+len(s.inFlight) == 0 {
		s.progress = now
	}
	stuck := s.link == nil || now.Sub(s.progress) >= ackGrace
	return s.bytes+d.size() > o.MaxBytes || len(s.waiting) >= o.MaxMessages && stuck
}

// queueMessage queues a message, and returns how many got it: one or none. A
// message of QoS 0 is lost on a client that is away.
func (s *MQTT) queueMessage(m *mqttMessage, expires time.Time, from *broker.Conn) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.closing {
		return 0
	}
	// Members of a group that did not subscribe have the default options. Which
	// QoS that means is not documented; in MQTT an option is off unless asked for.
	sub, subscribed := s.subscriptions[m.topic]
	qos := min(m.qos, sub.qos)
	if !subscribed && isServerTopic(m.topic) {
		qos = m.qos
	}
	if sub.noLocal && from == s.conn {
		return 0
	}
	d := &delivery{expires: expires, packet: mqtt.Publish{QoS: qos, Topic: m.topic, Payload: m.payload, Properties: m.properties}}
	if sub.id != 0 {
		d.packet.Properties = append(mqtt.Properties{{ID: mqtt.SubscriptionID, Int: sub.id}}, m.properties...)
	}
	if qos == 0 {
		if s.link == nil {
			return 0
		}
		s.srv.Limits.Sent(len(m.topic) + len(m.payload))
		return s.sendMessage(d)
	}
	if s.overrun(d) {
		s.closeSlow("The session's message buffer is full.")
		return 0
	}
	s.srv.Limits.Sent(len(m.topic) + len(m.payload))
	s.waiting = append(s.waiting, d)
	s.bytes += d.size()
	s.sendWaiting()
	return 1
}

// sendWaiting sends what waits, as far as the client takes it: first what it did not
// acknowledge on the link before. s.mu must be held.
func (s *MQTT) sendWaiting() {
	for s.link != nil && len(s.inFlight)-len(s.again) < s.window {
		if len(s.again) > 0 {
			d := s.again[0]
			if s.again = s.again[1:]; s.sendMessage(d) == 0 {
				s.complete(slices.Index(s.inFlight, d))
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
		if s.sendMessage(d) == 1 {
			s.inFlight = append(s.inFlight, d)
		} else {
			s.bytes -= d.size()
		}
	}
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
}

// sendMessage sends a message, unless it is too late or too large for the client. It
// must be called with s.mu held, and returns how many messages were sent: one or none.
func (s *MQTT) sendMessage(d *delivery) int {
	now := time.Now()
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
		s.journalSoon(journal.Entry{Kind: journal.Rejected, Name: "PUBLISH " + p.Topic, Status: int(mqtt.PacketTooLarge), Reason: fmt.Sprintf("a packet of %d bytes is not sent: the client's Maximum Packet Size is %d", len(b), s.maxPacket)})
		return 0
	}
	f := packetFrame(p.Type(), b)
	if p.QoS == 0 {
		f.Expires = d.expires
	}
	if !s.push(transport.Item{Frame: f, Kept: p.QoS > 0}) {
		return 0
	}
	return 1
}

// journalSoon is for where locks are held: who observes the journal may ask the
// hub.
func (s *MQTT) journalSoon(e journal.Entry) { s.srv.Tasks.Go(func() { s.conn.Journal(e) }) }

// nextID returns a packet identifier that is not in use. There is one: fewer
// messages than identifiers are in flight.
func (s *MQTT) nextID() uint16 {
	for {
		if s.lastID++; s.lastID != 0 && s.find(s.lastID) < 0 {
			return s.lastID
		}
	}
}

// find returns the place of a message among those in flight, or -1. Clients
// acknowledge in order, so it is most often the first.
func (s *MQTT) find(id uint16) int {
	for i, d := range s.inFlight {
		if d.packet.PacketID == id {
			return i
		}
	}
	return -1
}

// complete forgets the message at that place of those in flight: it is delivered,
// or given up.
func (s *MQTT) complete(i int) {
	d := s.inFlight[i]
	s.bytes -= d.size()
	s.inFlight = slices.Delete(s.inFlight, i, i+1)
	if j := slices.Index(s.again, d); j >= 0 { // acknowledged before it was sent again
		s.again = slices.Delete(s.again, j, j+1)
	}
}

// resend repeats what the client has not acknowledged on the link before, and
// goes on with what waits (section 4.4). A release is not a message: it does not
// wait until the client takes more (section 3.3.4), but the message counts until
// it is complete. s.mu must be held.
func (s *MQTT) resend() {
	s.again = nil
	for _, d := range s.inFlight {
		if d.released {
			s.pushKept(&mqtt.Ack{Kind: mqtt.TypePubrel, PacketID: d.packet.PacketID})
		} else {
			d.packet.Dup = true
			s.again = append(s.again, d)
		}
	}
	s.sendWaiting()
}

// receiveAck goes one step further with the delivery of a message to the client
// (section 4.3).
func (s *MQTT) receiveAck(l *transport.Link, a *mqtt.Ack) {
	s.mu.Lock()
	i := s.find(a.PacketID)
	if i >= 0 && !s.inFlight[i].expects(a.Kind) {
		s.mu.Unlock()
		s.dropLink(l, mqtt.ProtocolError, "an acknowledgement does not fit the QoS of its message: PUBACK is for QoS 1, PUBREC and then PUBCOMP for QoS 2", nil)
		return
	}
	defer s.mu.Unlock()
	if a.Kind == mqtt.TypePubrec && (i < 0 || a.Code < mqtt.UnspecifiedError) {
		next := &mqtt.Ack{Kind: mqtt.TypePubrel, PacketID: a.PacketID}
		if i < 0 {
			next.Code = mqtt.PacketIdentifierNotFound
		} else {
			d := s.inFlight[i]
			s.bytes -= d.size()
			d.released, d.packet = true, mqtt.Publish{QoS: 2, PacketID: a.PacketID}
			s.bytes += d.size()
			if j := slices.Index(s.again, d); j >= 0 {
				s.again = slices.Delete(s.again, j, j+1)
			}
			s.progress = time.Now()
		}
		s.pushPacket(next)
		return
	}
	if i >= 0 {
		s.complete(i)
		s.progress = time.Now()
		s.sendWaiting()
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

// sendPacket queues a packet that is not a message.
func (s *MQTT) sendPacket(p mqtt.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && !s.closing {
		s.pushPacket(p)
	}
}

// pushPacket must be called with s.mu held.
func (s *MQTT) pushPacket(p mqtt.Packet) { s.pushOf(p, false) }

// pushKept is pushPacket for a packet that the session keeps, within its own
// bounds.
func (s *MQTT) pushKept(p mqtt.Packet) { s.pushOf(p, true) }

func (s *MQTT) pushOf(p mqtt.Packet, kept bool) {
	b, ok := s.encode(p)
	if l := s.link; l != nil && !ok {
		// Without the response the client would wait indefinitely: it gets a new link.
		rule := fmt.Sprintf("%v needs %d bytes, and the client's Maximum Packet Size is %d", p.Type(), len(b), s.maxPacket)
		s.srv.Tasks.Go(func() { s.dropLink(l, mqtt.PacketTooLarge, rule, nil) })
		return
	}
	s.push(transport.Item{Frame: packetFrame(p.Type(), b), Kept: kept})
}

func packetFrame(t mqtt.Type, b []byte) *frame.Frame {
	f := frame.New(websocket.BinaryMessage, b)
	f.Name = t.String()
	return f
}
