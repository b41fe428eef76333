package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/names"
)

var errNotBinary = &mqtt.Error{Code: mqtt.ProtocolError, Rule: "MQTT packets are sent in binary WebSocket messages, not in text (section 6)"}

// binaryMessages returns the messages of an MQTT client as a stream.
func binaryMessages(l *transport.Link) func() (io.Reader, error) {
	return func() (io.Reader, error) {
		opcode, r, err := l.NextReader()
		if err == nil && opcode != websocket.BinaryMessage {
			err = errNotBinary
		}
		return r, err
	}
}

// MQTTPackets returns the reader of a client's packets.
func MQTTPackets(l *transport.Link) *mqtt.Reader {
	return mqtt.NewReader(mqtt.Joined(binaryMessages(l)), transport.MaxMessage)
}

// Serve reads a link to its end.
func (s *MQTT) Serve(l *transport.Link, packets *mqtt.Reader) {
	tasks := s.srv.Tasks
	var err error
	for err == nil && s.current(l) {
		var p mqtt.Packet
		p, err = packets.Next()
		tasks.Begin()
		var broken *mqtt.Error
		switch {
		case err == nil:
			s.receive(l, p, s.cause(p, packets))
		case errors.As(err, &broken):
			s.dropLink(l, broken.Code, broken.Rule, nil)
			err = nil
		}
		tasks.End()
	}
	if err == nil { // closed by the emulator: the peer has to respond
		err = l.Discard()
	}
	tasks.Begin()
	defer tasks.End()
	s.linkEnded(l, err)
}

// cause returns the cause of what follows from a packet of the client.
func (s *MQTT) cause(p mqtt.Packet, packets *mqtt.Reader) *journal.Cause {
	by := s.srv.Journal.Begin(journal.CauseFrame)
	if by != nil {
		by.SetFrame(PacketFrame(p, packets))
	}
	return by
}

// PacketFrame returns the packet that was read last for the journal. Of CONNECT it
// contains no secrets.
func PacketFrame(p mqtt.Packet, packets *mqtt.Reader) journal.Frame {
	raw := packets.Raw()
	if c, ok := p.(*mqtt.Connect); ok {
		shown := *c
		if c.Password != nil {
			shown.Password = []byte(journal.Removed)
		}
		shown.Properties = slices.DeleteFunc(slices.Clone(c.Properties), func(p mqtt.Property) bool { return p.ID == mqtt.AuthenticationData })
		raw = c.Version.Append(nil, &shown)
	}
	version := "3.1.1"
	if packets.Version == mqtt.V5 {
		version = "5.0"
	}
	return journal.Frame{Type: p.Type().String(), Protocol: MQTTSubprotocol, MQTTVersion: version, Raw: journal.NewPayload(raw, "")}
}

// packet is a packet in line, with the link that brought it.
type packet struct {
	link *transport.Link
	mqtt.Packet
}

// receive takes a packet of the client. What a link brings after another one has
// taken over counts as lost: the client sends it again.
func (s *MQTT) receive(l *transport.Link, p mqtt.Packet, by *journal.Cause) {
	if !s.applyFaults(fault.AtReceive, p.Type().String(), l) || !s.current(l) {
		return
	}
	s.hear()
	switch p := p.(type) {
	case *mqtt.Publish:
		s.mu.Lock()
		ticket := s.mqttLink.ticket
		s.mu.Unlock()
		if e := ticket.Receive(len(p.Topic) + len(p.Payload)); e != nil {
			s.dropLink(l, mqtt.QuotaExceeded, e.Rule, by)
			return
		}
		_, event := eventOf(p.Topic)
		s.inbox.put(packet{l, p}, len(p.Topic)+len(p.Payload), event, by)
		s.hear() // put may have waited, during which the client was not silent
	case *mqtt.Subscribe, *mqtt.Unsubscribe:
		s.inbox.put(packet{l, p}, 0, false, by)
	case *mqtt.Ack:
		if p.Kind == mqtt.TypePubrel { // it keeps its place behind the message
			s.inbox.put(packet{l, p}, 0, false, by)
			return
		}
		s.receiveAck(l, p)
	case *mqtt.Disconnect:
		s.receiveDisconnect(l, p, by)
	case mqtt.Ping:
		if p.Kind == mqtt.TypePingreq {
			s.sendPacket(mqtt.Ping{Kind: mqtt.TypePingresp})
			return
		}
		s.dropLink(l, mqtt.ProtocolError, "PINGRESP is for the server to send", by)
	case *mqtt.Connect:
		s.dropLink(l, mqtt.ProtocolError, "a client sends CONNECT once (section 3.1)", by)
	default:
		s.dropLink(l, mqtt.ProtocolError, "this packet is not for a client to send here", by)
	}
}

// hear notes that the client is there.
func (s *MQTT) hear() {
	s.mu.Lock()
	s.heard = time.Now()
	s.mu.Unlock()
}

func (s *MQTT) execute(f any, by *journal.Cause) {
	in := f.(packet)
	if exactlyOnce(in.Packet) && s.superseded(in.link) {
		return // the client sends it again, and may have done so already
	}
	switch p := in.Packet.(type) {
	case *mqtt.Publish:
		s.receivePublish(in.link, p, by)
	case *mqtt.Subscribe:
		s.subscribe(p, by)
	case *mqtt.Unsubscribe:
		s.unsubscribe(p, by)
	case *mqtt.Ack:
		s.release(p)
	}
}

// exactlyOnce reports whether a packet is one by which a client delivers a message
// of QoS 2. These are carried out strictly in order, and on the link that brought
// them: a PUBREL that overtook a repeated PUBLISH, or a PUBLISH that came late from
// an earlier link, would deliver the message twice.
func exactlyOnce(p mqtt.Packet) bool {
	switch p := p.(type) {
	case *mqtt.Publish:
		return p.QoS == 2
	case *mqtt.Ack:
		return p.Kind == mqtt.TypePubrel
	}
	return false
}

// superseded reports whether another link has taken over.
func (s *MQTT) superseded(l *transport.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil && s.link != l
}

// release ends the delivery of a message of QoS 2 from the client (section 4.3.3).
func (s *MQTT) release(p *mqtt.Ack) {
	answer := &mqtt.Ack{Kind: mqtt.TypePubcomp, PacketID: p.PacketID}
	s.mu.Lock()
	if _, ok := s.received[p.PacketID]; !ok {
		answer.Code = mqtt.PacketIdentifierNotFound
	}
	delete(s.received, p.PacketID)
	s.mu.Unlock()
	s.sendPacket(answer)
}

// receivePublish takes a message and responds according to its QoS. If it breaks a
// rule, QoS 1 and 2 have a packet that reports it, in MQTT 5.0 only; QoS 0 has
// none, and the service closes the connection (Azure/azure-webpubsub, issue 793).
func (s *MQTT) receivePublish(l *transport.Link, p *mqtt.Publish, by *journal.Cause) {
	_, alias := p.Properties.Int(mqtt.TopicAlias)
	_, identified := p.Properties.Int(mqtt.SubscriptionID)
	switch {
	case alias:
		s.dropLink(l, mqtt.TopicAliasInvalid, "topic aliases are not supported, as CONNACK said by leaving out Topic Alias Maximum", by)
		return
	case identified:
		s.dropLink(l, mqtt.ProtocolError, "a client puts no subscription identifier on a message (section 3.3.2.3.8)", by)
		return
	case p.Retain:
		s.dropLink(l, mqtt.RetainNotSupported, RetainRule, by)
		return
	}
	answer := &mqtt.Ack{Kind: mqtt.TypePuback, PacketID: p.PacketID}
	if p.QoS == 2 {
		answer.Kind = mqtt.TypePubrec
		s.mu.Lock()
		_, again := s.received[p.PacketID]
		s.mu.Unlock()
		if again {
			s.sendPacket(answer)
			return
		}
	}
	raise, e := s.accept(p, by)
	switch {
	case e != nil && p.QoS == 0:
		s.dropLink(l, e.Code, e.Rule, by)
		return
	case p.QoS == 0:
		if raise != nil {
			raise()
		}
		return
	case e != nil:
		s.conn.Journal(journal.Entry{Kind: journal.Rejected, Name: "PUBLISH", Status: int(e.Code), Reason: e.Rule, Cause: by})
		answer.Code = e.Code
		answer.Properties = explain(e.Rule)
	case p.QoS == 2:
		s.mu.Lock()
		if s.received == nil {
			s.received = make(map[uint16]struct{})
		}
		s.received[p.PacketID] = struct{}{}
		s.mu.Unlock()
	}
	s.sendPacket(answer)
	if raise != nil {
		raise()
	}
}

// explain is a reason string, for clients that want them.
func explain(rule string) (p mqtt.Properties) {
	p.AddData(mqtt.ReasonString, ClipReason(rule))
	return p
}

// RetainRule is why a retained message is rejected.
const RetainRule = "retained messages are not supported: do not set the flag"

// maxServerTopics bounds the subscriptions of a session that need no role.
const maxServerTopics = 1000

// subscribe joins groups. A client may subscribe to topics of the service's own
// messages without a role; it gets those messages in any case, and chooses a
// lower QoS for them this way. (What the service does here is not documented.)
func (s *MQTT) subscribe(p *mqtt.Subscribe, by *journal.Cause) {
	id, _ := p.Properties.Int(mqtt.SubscriptionID)
	answer := &mqtt.Suback{PacketID: p.PacketID}
	for _, f := range p.Filters {
		e := s.subscribeTo(f.Topic, subscription{f.QoS, f.NoLocal, id}, by)
		if e == nil {
			answer.Codes = append(answer.Codes, mqtt.Code(f.QoS))
			continue
		}
		s.conn.Journal(journal.Entry{Kind: journal.Rejected, Name: "SUBSCRIBE " + f.Topic, Status: int(e.Code), Reason: e.Rule, Cause: by})
		answer.Codes = append(answer.Codes, e.Code)
		if answer.Properties == nil { // there is one reason string for all filters
			answer.Properties = explain(e.Rule)
		}
	}
	s.sendPacket(answer)
}

func (s *MQTT) subscribeTo(topic string, sub subscription, by *journal.Cause) *mqtt.Error {
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
	server := strings.HasPrefix(topic, systemTopics)
	s.mu.Lock()
	before, had := s.subscriptions[topic]
	if server && !had {
		if s.serverTopics >= maxServerTopics {
			s.mu.Unlock()
			return &mqtt.Error{Code: mqtt.QuotaExceeded, Rule: fmt.Sprintf("a session has at most %d subscriptions under %s: unsubscribe from some first", maxServerTopics, systemTopics)}
		}
		s.serverTopics++
	}
	if s.subscriptions == nil {
		s.subscriptions = make(map[string]subscription)
	}
	s.subscriptions[topic] = sub // before the first message comes
	s.mu.Unlock()
	if server {
		return nil
	}
	if s.conn.TryJoin(topic, by) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if had {
		s.subscriptions[topic] = before
	} else {
		delete(s.subscriptions, topic)
	}
	return &mqtt.Error{Code: mqtt.NotAuthorized, Rule: forbidden("join", topic).Message}
}

// Left implements [broker.Session].
func (s *MQTT) Left(group string, by *journal.Cause) {
	s.unsubscribed(group)
	s.base.Left(group, by)
}

// unsubscribed forgets the options of a subscription that has ended.
func (s *MQTT) unsubscribed(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, had := s.subscriptions[topic]; had && strings.HasPrefix(topic, systemTopics) {
		s.serverTopics--
	}
	delete(s.subscriptions, topic)
}

func (s *MQTT) unsubscribe(p *mqtt.Unsubscribe, by *journal.Cause) {
	answer := &mqtt.Unsuback{PacketID: p.PacketID}
	for _, topic := range p.Filters {
		s.mu.Lock()
		_, had := s.subscriptions[topic]
		s.mu.Unlock()
		member := s.conn.IsMember(topic)
		code := mqtt.Success
		switch {
		case !had && !member:
			code = mqtt.NoSubscriptionExisted
		case !member:
			s.unsubscribed(topic)
		default:
			if !s.conn.TryLeave(topic, by) {
				s.conn.Journal(journal.Entry{Kind: journal.Rejected, Name: "UNSUBSCRIBE " + topic, Status: int(mqtt.NotAuthorized), Reason: forbidden("leave", topic).Message, Cause: by})
				code = mqtt.NotAuthorized
			}
		}
		answer.Codes = append(answer.Codes, code)
	}
	s.sendPacket(answer)
}
