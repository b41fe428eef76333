package upstream

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
)

// Message is an event as an event listener gets it: a CloudEvent in the AMQP protocol
// binding, binary mode (Microsoft Learn, "CloudEvents extension for Azure Web PubSub
// event listener with AMQP protocol").
type Message struct {
	// ID is the message-id, {connectionId}/{id}.
	ID string
	// ConnectionID is the partition key, so that the events of a connection stay in
	// one partition.
	ConnectionID string
	// ContentType is the content-type.
	ContentType string
	// Properties are the application properties. The names of attributes are in lower
	// case and begin with [AttributePrefix].
	Properties map[string]string
	// Body is the payload of the client, {} for connected, and {"reason":"…"} for
	// disconnected.
	Body []byte
}

// AttributePrefix begins the names of attributes in [Message.Properties].
const AttributePrefix = "cloudEvents:"

// Message returns the event for an event listener, to be sent at this time.
func (e Event) Message(now time.Time) Message {
	m := Message{
		ID: e.ConnectionID + "/" + strconv.FormatUint(e.ID, 10), ConnectionID: e.ConnectionID,
		ContentType: e.ContentType, Body: e.body(), Properties: make(map[string]string, 16),
	}
	switch {
	case m.ContentType == "" && e.Kind != User:
		m.ContentType = "application/json"
	case strings.HasPrefix(m.ContentType, "text/plain;"):
		m.ContentType = "text/plain" // Microsoft's emulator sends no charset here
	}
	set := func(name, value string) {
		if value != "" {
			m.Properties[AttributePrefix+name] = value
		}
	}
	set("specversion", "1.0")
	set("awpsversion", "1.0")
	set("type", e.ceType())
	set("source", e.source())
	set("id", strconv.FormatUint(e.ID, 10))
	set("time", now.UTC().Format(time.RFC3339))
	set("hub", e.Hub)
	set("eventname", e.name())
	set("connectionid", e.ConnectionID)
	// What follows is left out if it is empty, also an empty state that a handler set.
	set("userid", e.UserID)
	set("subprotocol", e.Subprotocol)
	if e.State != nil {
		set("connectionstate", *e.State)
	}
	// The reference does not mention MQTT: these are named after the attributes that
	// event handlers get. User properties of MQTT messages are left out.
	set("physicalconnectionid", e.PhysicalConnectionID)
	set("sessionid", e.SessionID)
	if e.Kind == User {
		// In this form in Microsoft's emulator; not in the reference.
		for _, k := range slices.Sorted(maps.Keys(e.Metadata)) { // of keys that differ in case, never a random one
			m.Properties[strings.ToLower(names.MetadataPrefix+k)] = e.Metadata[k]
		}
	}
	return m
}

// source returns the CloudEvents source.
func (e Event) source() string {
	source := "/hubs/" + e.Hub + "/client/" + e.ConnectionID
	if e.mqtt() {
		source += "/" + e.PhysicalConnectionID
	}
	return source
}
