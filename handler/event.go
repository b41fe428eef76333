package handler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// Header names in the canonical form of net/http, under which the hot path
// reads them without converting.
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
	headerMetadata      = "X-Webpubsub-Metadata-"
	headerContentType   = "Content-Type"
	headerPrefixCE      = "Ce-"
)

// Types of the events, as ce-type has them.
const (
	typePrefix       = "azure.webpubsub."
	typeConnect      = typePrefix + "sys.connect"
	typeConnected    = typePrefix + "sys.connected"
	typeDisconnected = typePrefix + "sys.disconnected"
	typeGroupJoined  = typePrefix + "gp.joined"
	typeGroupLeft    = typePrefix + "gp.left"
	typeUser         = typePrefix + "user."
)

// Event is what every event has in common. It is part of [ConnectRequest],
// [UserEvent], [ConnectedEvent], [DisconnectedEvent] and [GroupEvent].
type Event struct {
	// Hub is the hub of the connection, spelled as the service spells it. Hub
	// names are compared without case.
	Hub string
	// ConnectionID identifies the connection; for MQTT it is the client id.
	ConnectionID string
	// UserID is the user of the connection in UTF-8, empty for an anonymous one.
	UserID string
	// Name is the event's name without the prefix of Type: "connect", "joined",
	// "message" or a name that the client chose.
	Name string
	// Type is the whole ce-type, for example "azure.webpubsub.user.message".
	Type string
	// ID counts the events of one connection; a repeated delivery has the same.
	ID string
	// Source names hub and connection, for example "/hubs/chat/client/abc".
	Source string
	// Time is when the event happened; zero where the service sent none that
	// could be read.
	Time time.Time
	// Subprotocol is the one that was selected; "mqtt" for MQTT. On connect it is
	// empty for WebSocket clients.
	Subprotocol string
	// Origin is WebHook-Request-Origin: the service's host, or several of them
	// separated by commas.
	Origin string
	// PhysicalConnectionID tells apart the connections of one MQTT client id;
	// empty otherwise.
	PhysicalConnectionID string
	// SessionID identifies the MQTT session; empty on connect and otherwise.
	SessionID string

	header http.Header
	more   bool // the header holds metadata or MQTT properties
	body   []byte
	sender Sender
	state  ConnectionState
}

// IsMQTT reports whether the client speaks MQTT.
func (e *Event) IsMQTT() bool {
	return e.PhysicalConnectionID != "" || strings.EqualFold(e.Subprotocol, mqttSubprotocol)
}

// RequestHeader returns the headers of the service's HTTP request, for what the
// fields do not show. It holds secrets (ce-signature, Authorization): do not
// log it as a whole. The client's own headers are in [ConnectRequest.Headers].
func (e *Event) RequestHeader() http.Header { return e.header }

// State returns the connection's state: small values that the service keeps for
// the connection and sends along with each of its events.
func (e *Event) State() *ConnectionState { return &e.state }

// eventFrom reads the ce- headers, in one pass over the header: looking up each
// costs more. It refuses attributes that came twice: what was verified and what
// is used must be the same. ce-signature alone may come several times.
//
// The CloudEvents SDK's own HTTP receiver is not used: it loses the second
// signature line, refuses legal MQTT client ids and content types, and one
// header named "ce-" makes it panic.
func (h *Handler) eventFrom(header http.Header) (e Event, no *refusal) {
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
			// Metadata and MQTT properties, which most events lack.
			e.more = e.more || strings.HasPrefix(key, headerMetadata) || strings.HasPrefix(key, headerPrefixMQTT)
		}
		if len(values) > 1 && (strings.HasPrefix(key, headerPrefixCE) || key == headerContentType) {
			return e, refuse(http.StatusBadRequest, "the header "+clip(key)+" occurs more than once", "send it once")
		}
	}
	e.header, e.state.dotNet = header, h.dotNet
	return e, nil
}

// named takes the name out of the type, which decides the callback; ce-eventName
// says the same. It refuses what is no event.
func (e *Event) named() *refusal {
	switch {
	case e.Hub == "":
		return missing("ce-hub")
	case e.Type == "":
		return missing("ce-type")
	case len(e.ID) > maxEventID:
		return refuse(http.StatusBadRequest, fmt.Sprintf("ce-id has %d bytes, more than %d", len(e.ID), maxEventID),
			"the service numbers the events of a connection: look for what replaces ce-id on the way")
	}
	if v := value(e.header, headerSpecVersion); v != "" && v != "1.0" {
		return refuse(http.StatusBadRequest, "ce-specversion "+clip(v)+" is not supported",
			"send CloudEvents 1.0 in binary mode")
	}
	rest, ok := strings.CutPrefix(e.Type, typePrefix)
	_, name, found := strings.Cut(rest, ".")
	if !ok || !found || name == "" {
		return refuse(http.StatusBadRequest, "ce-type "+clip(e.Type)+" is not an event of Web PubSub",
			"the type starts with azure.webpubsub.sys., azure.webpubsub.user. or azure.webpubsub.gp.")
	}
	e.Name = name
	return nil
}

func missing(header string) *refusal {
	return refuse(http.StatusBadRequest, "the event has no "+header,
		"only Web PubSub calls this URL; a proxy in between must keep the ce- headers")
}

func value(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// parseTime accepts the service's RFC 3339 and the date of HTTP, which
// Microsoft's own tests use. The time is information only, so a damaged one
// does not fail the event.
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

// CloudEvent returns the event in the form of the CloudEvents SDK, to forward
// it to another CloudEvents system. It is built anew by each call. Extensions
// have lower-case names: hub, connectionid, eventname, userid, subprotocol and
// so on; the signature is left out, since it is a credential.
//
// It fails for an event that is not a valid CloudEvent, for example one without
// ce-id.
func (e *Event) CloudEvent() (cloudevents.Event, error) {
	ce := cloudevents.New()
	ce.SetID(e.ID)
	ce.SetType(e.Type)
	if !e.Time.IsZero() {
		ce.SetTime(e.Time)
	}
	// An MQTT client id may hold what a URI cannot: then the source is escaped.
	if u, err := url.Parse(e.Source); err == nil {
		ce.SetSource(u.String())
	} else {
		ce.SetSource((&url.URL{Path: e.Source}).String())
	}
	for key, values := range e.header {
		name, ok := strings.CutPrefix(key, headerPrefixCE)
		if !ok || len(values) == 0 || key == headerSignature || isCoreAttribute(key) {
			continue
		}
		if name = strings.ToLower(name); cloudevents.IsExtensionNameValid(name) {
			if _, err := types.Validate(values[0]); err == nil {
				ce.SetExtension(name, values[0])
			}
		}
	}
	if len(e.body) > 0 {
		contentType := value(e.header, headerContentType)
		if !validContentType(contentType) {
			contentType = "application/octet-stream"
		}
		ce.SetDataContentType(contentType)
		ce.DataEncoded = e.body
		// In JSON, what is text shows as it is and the rest as base64.
		text := isJSON(contentType) && json.Valid(e.body) ||
			strings.HasPrefix(contentType, "text/") && utf8.Valid(e.body)
		ce.DataBase64 = !text
	}
	if err := ce.Validate(); err != nil {
		return ce, fmt.Errorf("handler: CloudEvent: %w", err)
	}
	return ce, nil
}

func isCoreAttribute(key string) bool {
	switch key {
	case headerID, headerType, headerSource, headerTime, headerSpecVersion:
		return true
	}
	return false
}

func sortProperties(p []MQTTUserProperty) {
	// Go's header map has no order; sorting makes the result repeatable. Values
	// of one name keep theirs.
	slices.SortStableFunc(p, func(a, b MQTTUserProperty) int { return strings.Compare(a.Name, b.Name) })
}
