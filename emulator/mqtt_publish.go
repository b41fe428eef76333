package emulator

import (
	"encoding/json"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
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

// acceptPublish sends a client's message to the group of its topic, or raises
// the event that the topic names. The error says why it does not.
func (c *conn) acceptPublish(p *mqtt.Publish) *mqtt.Error {
	if name, ok := eventOf(p.Topic); ok {
		return c.publishEvent(name, p)
	}
	switch {
	case strings.HasPrefix(p.Topic, systemTopics):
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Rule: "under " + systemTopics + " clients publish to server/events/{name} only; a name starts with a letter and has at most 128 letters, digits and _ . -"}
	case names.Group(p.Topic) != nil:
		return &mqtt.Error{Code: mqtt.TopicNameInvalid, Rule: names.Group(p.Topic).Error()}
	}
	contentType, _ := p.Properties.Data(mqtt.ContentType)
	m, err := payload.FromHTTP(contentType, p.Payload)
	if err != nil {
		// Only four content types have a data type (Cross-protocol
		// communication). MQTT clients get any other as it is, the rest the bytes.
		m = webpubsub.Binary(p.Payload)
	}
	if m.Type == webpubsub.DataTypeJSON && !json.Valid(m.Data) {
		return &mqtt.Error{Code: mqtt.PayloadFormatInvalid, Rule: "the payload is not the JSON that its content type promises"}
	}
	b := broadcast{
		data: wire.Data{From: wire.FromGroup, Group: p.Topic, FromUserID: c.user(), Message: m},
		mqtt: &mqttMessage{qos: p.QoS, topic: p.Topic, payload: p.Payload, properties: p.Properties.Only(forwarded...)},
		from: c,
	}
	if n, ok := p.Properties.Int(mqtt.MessageExpiry); ok {
		b.expires = c.hub.srv.opts.Clock.Now().Add(time.Duration(n) * time.Second)
	}
	e := c.publish(&b, p.Topic, false)
	switch {
	case e == nil:
		return nil
	case e.Name == errForbidden:
		return &mqtt.Error{Code: mqtt.NotAuthorized, Rule: e.Message}
	}
	return &mqtt.Error{Code: mqtt.PayloadFormatInvalid, Rule: e.Message}
}

// toMQTT queues the message to an MQTT client. What another protocol or the
// REST API sent has QoS 1 and a content type by its data type.
func (b *broadcast) toMQTT(c *conn) int {
	if b.mqtt == nil && b.data.Message.IsZero() {
		return 0 // the end of a stream means nothing to MQTT
	}
	if b.mqtt == nil {
		b.mqtt = &mqttMessage{qos: 1, topic: messagesTopic, payload: b.data.Message.Data}
		b.mqtt.properties.AddData(mqtt.ContentType, payload.ContentType(b.data.Message.Type))
		if b.data.From == wire.FromGroup {
			b.mqtt.topic = b.data.Group
			if !mqtt.ValidTopicName(b.data.Group) {
				// A client must close the connection when it gets such a topic.
				c.journalSoon(Entry{Kind: KindRefused, Name: "PUBLISH", Status: int(mqtt.TopicNameInvalid), Reason: fmt.Sprintf("a message to the group %q does not reach its MQTT clients: with +, # or U+0000 its name is no legal topic", b.data.Group)})
			}
		}
	}
	if !mqtt.ValidTopicName(b.mqtt.topic) {
		return 0
	}
	return c.queueMessage(b.mqtt, b.expires, b.from)
}

// publishEvent raises a user event. Its answer goes to the client as a message,
// also where the client did not subscribe to that: the reference asks for no
// subscription.
func (c *conn) publishEvent(name string, p *mqtt.Publish) *mqtt.Error {
	e := upstream.Event{Kind: upstream.User, Name: name, Body: p.Payload, MQTTProperties: userProperties(p.Properties)}
	var given bool
	if e.ContentType, given = p.Properties.Data(mqtt.ContentType); !given {
		e.ContentType = payload.ContentType(webpubsub.DataTypeBinary)
	} else if _, _, err := mime.ParseMediaType(e.ContentType); err != nil {
		return &mqtt.Error{Code: mqtt.ImplementationError, Rule: "the content type of an event must be a MIME type: it becomes a header of the request to the event handler"}
	}
	ok := c.raise(job{event: e, done: func(r upstream.Response, err error) {
		outcome := "/succeeded"
		if err != nil {
			outcome = "/failed"
		}
		answer := &mqttMessage{qos: p.QoS, topic: p.Topic + outcome, payload: r.Body}
		answer.properties = eventAnswer(r)
		answer.properties = append(answer.properties, p.Properties.Only(mqtt.CorrelationData)...)
		c.queueMessage(answer, time.Time{}, nil)
	}})
	if !ok {
		return &mqtt.Error{Code: mqtt.QuotaExceeded, Rule: "too many events wait for the event handler"}
	}
	return nil
}

// eventAnswer returns the properties of an answer. Where no answer came the
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
