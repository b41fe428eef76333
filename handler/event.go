package handler

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/webhook"
)

// Header names in the canonical form of net/http, so that header maps can be read
// without converting names.
const (
	headerType          = "Ce-Type"
	headerSource        = "Ce-Source"
	headerID            = "Ce-Id"
	headerTime          = "Ce-Time"
	headerSpecVersion   = "Ce-Specversion"
	headerHub           = "Ce-Hub"
	headerConnectionID  = "Ce-Connectionid"
	headerUserID        = "Ce-Userid"
	headerSubprotocol   = "Ce-Subprotocol"
	headerState         = "Ce-Connectionstate"
	headerSignature     = "Ce-Signature"
	headerPhysicalID    = "Ce-Physicalconnectionid"
	headerSessionID     = "Ce-Sessionid"
	headerRequestOrigin = "Webhook-Request-Origin"
	headerAllowedOrigin = "Webhook-Allowed-Origin"
	headerAllowedRate   = "Webhook-Allowed-Rate"
	headerContentType   = "Content-Type"
	headerPrefixCE      = "Ce-"
)

// Values of ce-type.
const (
	typePrefix       = "azure.webpubsub."
	typeConnect      = typePrefix + "sys.connect"
	typeConnected    = typePrefix + "sys.connected"
	typeDisconnected = typePrefix + "sys.disconnected"
	typeGroupJoined  = typePrefix + "gp.joined"
	typeGroupLeft    = typePrefix + "gp.left"
	typeUser         = typePrefix + "user."
)

// maxEventID is the maximum length of ce-id in bytes. The service sends a decimal
// counter.
const maxEventID = 128

// Event contains what all events have in common. It is embedded in
// [ConnectRequest], [UserEvent], [ConnectedEvent], [DisconnectedEvent] and
// [GroupEvent].
type Event struct {
	// Hub is the hub of the connection as the service writes it. Hub names are not
	// case-sensitive.
	Hub string
	// ConnectionID identifies the connection. For MQTT it is the client ID.
	ConnectionID string
	// UserID is the user of the connection, or empty for an anonymous client. The
	// Azure Functions host responds with 500 to an event with a user ID that is not
	// ASCII, and the handler does not receive it.
	UserID string
	// Name is the name of the event without the prefix of Type: "connect",
	// "joined", "message" or a name that the client chose.
	Name string
	// Type is ce-type, for example "azure.webpubsub.user.message".
	Type string
	// ID is the number of the event within its connection. A retry has the same ID.
	ID string
	// Source identifies hub and connection, for example "/hubs/chat/client/abc".
	Source string
	// Time is when the event occurred, or zero if ce-time is missing or invalid.
	Time time.Time
	// Subprotocol is the selected subprotocol, which is "mqtt" for MQTT clients. In
	// a connect event it is empty for WebSocket clients.
	Subprotocol string
	// Origin is WebHook-Request-Origin: the host of the service, or several hosts
	// separated by commas.
	Origin string
	// PhysicalConnectionID identifies the network connection of an MQTT client. It
	// is empty for other clients.
	PhysicalConnectionID string
	// SessionID identifies the MQTT session. It is empty in a connect event and for
	// other clients.
	SessionID string

	header http.Header
	more   bool // the header contains metadata or MQTT user properties
	body   []byte
	sender Sender
	state  ConnectionState
}

// IsMQTT reports whether the client uses MQTT.
func (e *Event) IsMQTT() bool {
	return e.PhysicalConnectionID != "" || strings.EqualFold(e.Subprotocol, mqttSubprotocol)
}

// RequestHeader returns the headers of the HTTP request from the service. They
// contain secrets (ce-signature, Authorization) and must not be logged. The
// headers of the client are in [ConnectRequest].Headers.
func (e *Event) RequestHeader() http.Header { return e.header }

// State returns the state of the connection.
func (e *Event) State() *ConnectionState { return &e.state }

// parseEvent reads the ce- headers in one pass over the header, which is cheaper
// than looking up each. It rejects attributes that occur more than once, because
// what is verified and what is used must be the same. Only ce-signature can occur
// more than once.
//
// The HTTP receiver of the CloudEvents SDK is not used: it drops the second
// signature, rejects valid MQTT client IDs and content types, and panics if a
// header is named "ce-".
func (h *Handler) parseEvent(header http.Header) (e Event, rej *rejection) {
	for key, values := range header {
		if len(values) == 0 {
			continue
		}
		switch v := values[0]; key {
		case headerHub:
			e.Hub = v
		case headerConnectionID:
			e.ConnectionID = v
		case headerUserID:
			e.UserID = v
		case headerType:
			e.Type = v
		case headerID:
			e.ID = v
		case headerSource:
			e.Source = v
		case headerTime:
			e.Time = parseTime(v)
		case headerSubprotocol:
			e.Subprotocol = v
		case headerPhysicalID:
			e.PhysicalConnectionID = v
		case headerSessionID:
			e.SessionID = v
		case headerState:
			e.state.header = v
		case headerSignature:
			continue
		case headerRequestOrigin:
			if e.Origin = v; len(values) > 1 {
				e.Origin = strings.Join(values, ", ")
			}
		default:
			e.more = e.more || isExtra(key)
		}
		if len(values) > 1 && (strings.HasPrefix(key, headerPrefixCE) || key == headerContentType) {
			return e, reject(http.StatusBadRequest, "the header "+truncate(key)+" occurs more than once", "send it once")
		}
	}
	e.header, e.state.dotNet = header, h.dotNet
	return e, nil
}

// isExtra reports whether a header carries metadata or an MQTT user property.
func isExtra(key string) bool {
	return strings.HasPrefix(key, names.MetadataPrefix) || strings.HasPrefix(key, webhook.MQTTPrefix)
}

// parseName sets the name, which is part of the type: the type decides which
// callback is called. ce-eventName is the same. It rejects what is not an event.
func (e *Event) parseName() *rejection {
	switch {
	case e.Hub == "":
		return missing("ce-hub")
	case e.Type == "":
		return missing("ce-type")
	case len(e.ID) > maxEventID:
		return reject(http.StatusBadRequest, fmt.Sprintf("ce-id has %d bytes: at most %d are allowed", len(e.ID), maxEventID),
			"the service sends a number: check for a proxy that replaces ce-id")
	}
	if v := value(e.header, headerSpecVersion); v != "" && v != "1.0" {
		return reject(http.StatusBadRequest, "ce-specversion "+truncate(v)+" is not supported",
			"send CloudEvents 1.0 in binary mode")
	}
	rest, ok := strings.CutPrefix(e.Type, typePrefix)
	_, name, found := strings.Cut(rest, ".")
	if !ok || !found || name == "" {
		return reject(http.StatusBadRequest, "ce-type "+truncate(e.Type)+" is not an event of Web PubSub",
			"the type must start with azure.webpubsub.sys., azure.webpubsub.user. or azure.webpubsub.gp.")
	}
	e.Name = name
	return nil
}

func missing(header string) *rejection {
	return reject(http.StatusBadRequest, "the event has no "+header,
		"only Web PubSub calls this URL; check for a proxy that removes ce- headers")
}

func value(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parseTime parses RFC 3339, which the service sends, and the date format of HTTP,
// which Microsoft's tests use. The time is only informative, so an invalid one does
// not fail the event.
func parseTime(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	if t, err := http.ParseTime(s); err == nil {
		return t
	}
	return time.Time{}
}
