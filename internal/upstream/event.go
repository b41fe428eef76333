package upstream

import (
	"fmt"
	"net/http"
)

// Kind is the kind of an [Event].
type Kind uint8

// The kinds of event. Connect and User are blocking: the service waits for the
// response and acts on it. The others are notifications, whose responses are only
// logged.
const (
	Connect Kind = iota + 1
	Connected
	Disconnected
	User
	GroupJoined
	GroupLeft
)

// String returns the name that event handler settings use, "user" for a user
// event.
func (k Kind) String() string {
	switch k {
	case Connect:
		return "connect"
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case User:
		return "user"
	case GroupJoined:
		return "joined"
	case GroupLeft:
		return "left"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Event is one event for an event handler. The service sends it in one request.
type Event struct {
	// Kind is the kind of the event.
	Kind Kind
	// Name is the name of a user event, for example "message". The other kinds
	// have fixed names; leave it empty there.
	Name string
	// ID counts the events of a connection: connect is 0, connected is 1.
	ID uint64
	// Hub and ConnectionID identify the connection. For MQTT the connection id is
	// the client id.
	Hub, ConnectionID string
	// UserID is the user of the connection, empty for an anonymous one.
	UserID string
	// Subprotocol is the subprotocol that was agreed on. It is not sent with the
	// connect event of a WebSocket client, which has agreed on none yet.
	Subprotocol string
	// PhysicalConnectionID and SessionID belong to MQTT. A physical connection
	// id is what makes an event an MQTT event.
	PhysicalConnectionID, SessionID string
	// Group is the group of a GroupJoined or GroupLeft event.
	Group string
	// State is the connection state that a handler set; nil if none did.
	// It is opaque and may be empty.
	State *string
	// Origin is the host, without port, by which the client reached the service.
	// Default: that of the [Dispatcher].
	Origin string
	// TraceParent is the traceparent header of the client's request. If it is not
	// valid, the events of the connection are in a trace of their own.
	TraceParent string
	// Cookies are those that handlers set on this connection before, see
	// [Response.Cookies].
	Cookies *Cookies
	// ContentType and Body are the payload. For every kind but User an empty
	// ContentType means application/json, and a nil Body means the smallest body
	// that handlers understand, for example {} for connected and the Group for
	// the group events.
	ContentType string
	Body        []byte
	// Metadata is the metadata of the client's message. Keys are sent in lower
	// case, in one header each.
	Metadata map[string]string
	// MQTTProperties are the user properties of an MQTT message.
	MQTTProperties []MQTTProperty
}

// MQTTProperty is one MQTT 5 user property. A name may occur more than once.
type MQTTProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// name returns the value of ce-eventName and of {event}.
func (e Event) name() string {
	if e.Kind == User {
		return e.Name
	}
	return e.Kind.String()
}

// ceType returns the CloudEvents type (reference, "Events").
func (e Event) ceType() string {
	switch e.Kind {
	case User:
		return "azure.webpubsub.user." + e.Name
	case GroupJoined, GroupLeft:
		return "azure.webpubsub.gp." + e.name()
	default:
		return "azure.webpubsub.sys." + e.name()
	}
}

// mqtt reports whether the event comes from an MQTT client.
func (e Event) mqtt() bool { return e.PhysicalConnectionID != "" }

// Response is the response of an event handler.
type Response struct {
	// Status is the HTTP status.
	Status int
	// ContentType and Body are the payload, at most 16 MiB.
	ContentType string
	Body        []byte
	// State is the new connection state; nil leaves the state unchanged. Only a
	// 2xx response changes it.
	State *string
	// Metadata goes with the reply to the client. Keys are in lower case. It is
	// nil when there is none.
	Metadata map[string]string
	// Cookies are to be sent with the later events of the connection: those of the
	// event and what the response set. Only a 2xx response sets cookies.
	Cookies *Cookies
	// Header is the header as received.
	Header http.Header
}
