package session

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// Topics of the service's own (Microsoft Learn, REST API for MQTT, and
// CloudEvents extension for MQTT).
const (
	systemTopics  = "$webpubsub/"
	messagesTopic = systemTopics + "server/messages"
	eventTopics   = systemTopics + "server/events/"
)

// eventOf returns the event that a topic raises.
func eventOf(topic string) (name string, ok bool) {
	name, ok = strings.CutPrefix(topic, eventTopics)
	return name, ok && names.Event(name) == nil
}

// isServerTopic reports whether the service sends messages to the topic.
func isServerTopic(topic string) bool {
	name, succeeded := strings.CutSuffix(topic, "/succeeded")
	if !succeeded {
		name = strings.TrimSuffix(topic, "/failed")
	}
	_, event := eventOf(name)
	return topic == messagesTopic || event && name != topic
}

// forwarded are the properties that a message keeps on its way from one MQTT
// client to another.
var forwarded = []mqtt.PropertyID{mqtt.PayloadFormat, mqtt.ContentType, mqtt.ResponseTopic, mqtt.CorrelationData, mqtt.UserProperty}

// accept sends a client's message to the group of its topic, or returns the
// function that raises the event that the topic names. The error is why it does
// neither.
func (s *MQTT) accept(p *mqtt.Publish, by *journal.Cause) (raise func(), e *mqtt.Error) {
	if name, ok := eventOf(p.Topic); ok {
		return s.event(name, p, by)
	}
	switch {
	case strings.HasPrefix(p.Topic, systemTopics):
		return nil, &mqtt.Error{Code: mqtt.TopicNameInvalid, Rule: "under " + systemTopics + " clients publish to server/events/{name} only; a name starts with a letter and has at most 128 letters, digits and _ . -"}
	case names.Group(p.Topic) != nil:
		return nil, &mqtt.Error{Code: mqtt.TopicNameInvalid, Rule: names.Group(p.Topic).Error()}
	}
	contentType, _ := p.Properties.Data(mqtt.ContentType)
	m, err := payload.FromHTTP(contentType, p.Payload)
	if err != nil {
		// Only four content types have a data type (Cross-protocol
		// communication). MQTT clients get any other as it is, the rest the bytes.
		m = webpubsub.Binary(p.Payload)
	}
	if m.Type == webpubsub.DataTypeJSON && !json.Valid(m.Data) {
		return nil, &mqtt.Error{Code: mqtt.PayloadFormatInvalid, Rule: "the payload is not JSON, which its content type declares"}
	}
	b := broker.Message{
		Data:      groupData(s.conn, p.Topic, m),
		MQTT:      &mqttMessage{qos: p.QoS, topic: p.Topic, payload: p.Payload, properties: p.Properties.Only(forwarded...)},
		Publisher: s.conn,
		Cause:     by,
	}
	if n, ok := p.Properties.Int(mqtt.MessageExpiry); ok {
		b.Expires = time.Now().Add(time.Duration(n) * time.Second)
	}
	failed := publish(s.conn, &b, p.Topic, false)
	switch {
	case failed == nil:
		return nil, nil
	case failed.Name == errForbidden:
		return nil, &mqtt.Error{Code: mqtt.NotAuthorized, Rule: failed.Message}
	}
	return nil, &mqtt.Error{Code: mqtt.PayloadFormatInvalid, Rule: failed.Message}
}

// Deliver implements [broker.Session]. What another protocol or the REST API sent
// has QoS 1 and a content type by its data type.
func (s *MQTT) Deliver(b *broker.Message) bool {
	m, ok := b.MQTT.(*mqttMessage)
	if !ok {
		if b.Data.Message.IsZero() {
			return false // the end of a stream means nothing to MQTT
		}
		m = &mqttMessage{qos: 1, topic: messagesTopic, payload: b.Data.Message.Data}
		m.properties.AddData(mqtt.ContentType, payload.ContentType(b.Data.Message.Type))
		if b.Data.From == wire.FromGroup {
			m.topic = b.Data.Group
			if !mqtt.ValidTopicName(m.topic) {
				// A client must close the connection when it gets such a topic.
				s.journalSoon(journal.Entry{Kind: journal.Rejected, Name: "PUBLISH", Status: int(mqtt.TopicNameInvalid), Reason: fmt.Sprintf("a message to the group %q does not reach its MQTT clients: with +, # or U+0000 its name is no legal topic", m.topic)})
			}
		}
		b.MQTT = m
	}
	return mqtt.ValidTopicName(m.topic) && s.queueMessage(m, b.Expires, b.Publisher) > 0
}

// DeliverState implements [broker.Session]. MQTT clients cannot subscribe.
func (s *MQTT) DeliverState(*broker.StateUpdate) {}

// event returns the function that raises a user event. The response is delivered
// to the client as a message, also if it did not subscribe to that: the reference
// requires no subscription.
func (s *MQTT) event(name string, p *mqtt.Publish, by *journal.Cause) (raise func(), e *mqtt.Error) {
	event := upstream.Event{Kind: upstream.User, Name: name, Body: p.Payload, MQTTProperties: UserProperties(p.Properties)}
	var given bool
	if event.ContentType, given = p.Properties.Data(mqtt.ContentType); !given {
		event.ContentType = payload.ContentType(webpubsub.DataTypeBinary)
	} else if _, _, err := mime.ParseMediaType(event.ContentType); err != nil {
		return nil, &mqtt.Error{Code: mqtt.ImplementationError, Rule: "the content type of an event must be a MIME type: it becomes a header of the request to the event handler"}
	}
	return func() {
		r, err := s.events.Call(context.Background(), event, by)
		outcome := "/succeeded"
		if err != nil {
			outcome = "/failed"
		}
		answer := &mqttMessage{qos: p.QoS, topic: p.Topic + outcome, payload: r.Body}
		answer.properties = eventAnswer(r)
		answer.properties = append(answer.properties, p.Properties.Only(mqtt.CorrelationData)...)
		s.queueMessage(answer, time.Time{}, nil)
	}, nil
}

// UserProperties returns the user properties of a packet.
func UserProperties(p mqtt.Properties) []upstream.MQTTProperty {
	var out []upstream.MQTTProperty
	for _, u := range p.Only(mqtt.UserProperty) {
		out = append(out, upstream.MQTTProperty{Name: u.Data, Value: u.Value})
	}
	return out
}

// eventAnswer returns the properties of a response. Without a response the
// status is 500.
func eventAnswer(r upstream.Response) (p mqtt.Properties) {
	status := r.Status
	if status == 0 {
		status = 500
	}
	if r.ContentType != "" {
		p.AddData(mqtt.ContentType, strings.ToValidUTF8(r.ContentType, "\ufffd"))
	}
	p.AddUser("azure-status-code", strconv.Itoa(status))
	for _, u := range r.MQTTProperties() {
		p.AddUser(u.Name, strings.ToValidUTF8(u.Value, "\ufffd"))
	}
	return p
}
