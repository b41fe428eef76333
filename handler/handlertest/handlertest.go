// Package handlertest provides the HTTP requests that Azure Web PubSub sends to an
// event handler, signed as the service signs them, for testing callbacks without
// the service and without a network.
//
//	h, err := handler.New(handler.Options{ConnectionStrings: []string{handlertest.ConnectionString}})
//	...
//	h.OnEvent("message", echo)
//
//	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil))
//	if res.Message().String() != "hi" {
//		t.Errorf("got %v", res.Message())
//	}
package handlertest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/webhook"
)

// The connection string that requests are signed with, unless [Options] contain
// other values. It is the one of the emulator.
const (
	AccessKey        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"
	ConnectionString = "Endpoint=http://localhost:8080;AccessKey=" + AccessKey + ";Version=1.0;"
	Origin           = "localhost"
)

// Options sets optional attributes of a test event. The zero value, like nil, is an
// event of an anonymous WebSocket client without connection state.
type Options struct {
	// AccessKeys are the keys that sign the event, each in a separate header line.
	// Default: [AccessKey].
	AccessKeys []string
	// Origin is the host of the service. Default: [Origin].
	Origin string
	// URL is the URL of the request. Default: "/eventhandler".
	URL string
	// ID is the event ID. Default: "0" for connect, "1" for other events.
	ID string
	// Time is when the event occurred. Default: 2026-01-02T03:04:05Z, so that tests
	// are reproducible.
	Time time.Time
	// UserID is the user of the connection. Default: none, an anonymous client.
	UserID string
	// Subprotocol is the selected subprotocol. Default: none, or "mqtt" with
	// PhysicalConnectionID.
	Subprotocol string
	// State is the state of the connection. Default: none.
	State map[string]any
	// PhysicalConnectionID and SessionID are those of an MQTT connection. With the
	// first, the event is one of an MQTT client.
	PhysicalConnectionID, SessionID string
	// Header is set last and replaces other headers.
	Header http.Header

	// Claims, Query, ClientHeader, Subprotocols, ClientCertificates and MQTTConnect
	// are the content of a connect event.
	Claims             handler.Claims
	Query              url.Values
	ClientHeader       http.Header
	Subprotocols       []string
	ClientCertificates []handler.ClientCertificate
	MQTTConnect        *handler.MQTTConnect
	// MQTTDisconnect is the MQTT part of a disconnected event.
	MQTTDisconnect *handler.MQTTDisconnect
	// MQTTProperties are the user properties of a user event of an MQTT client.
	MQTTProperties []handler.MQTTUserProperty
	// ContentType is the content type of a user event. Default: the content type for
	// the data type of the message. An MQTT client can send any.
	ContentType string
}

const (
	contentJSON     = "application/json; charset=utf-8"
	subprotocolMQTT = "mqtt"
)

// ValidationRequest returns the abuse protection request (webhook validation) of a
// service with the given host names. Default: [Origin].
func ValidationRequest(origins ...string) *http.Request {
	if len(origins) == 0 {
		origins = []string{Origin}
	}
	r := httptest.NewRequest(http.MethodOptions, "/eventhandler", nil)
	r.Header["Webhook-Request-Origin"] = origins
	r.Header.Set("ce-awpsversion", "1.0")
	return r
}

// Connect returns a connect event.
func Connect(hub, connectionID string, o *Options) *http.Request {
	o = defaults(o, "0")
	body := map[string]any{
		"claims":             orEmpty(o.Claims),
		"query":              orEmpty(o.Query),
		"headers":            orEmpty(o.ClientHeader),
		"subprotocols":       append([]string{}, o.Subprotocols...),
		"clientCertificates": append([]handler.ClientCertificate{}, o.ClientCertificates...),
	}
	if o.MQTTConnect != nil {
		body["mqtt"] = o.MQTTConnect
	}
	return event(hub, connectionID, "sys", "connect", contentJSON, encode(body), o)
}

// Connected returns a connected event.
func Connected(hub, connectionID string, o *Options) *http.Request {
	return event(hub, connectionID, "sys", "connected", contentJSON, []byte("{}"), defaults(o, "1"))
}

// Disconnected returns a disconnected event.
func Disconnected(hub, connectionID, reason string, o *Options) *http.Request {
	o = defaults(o, "1")
	body := map[string]any{"reason": reason}
	if o.MQTTDisconnect != nil {
		body["mqtt"] = o.MQTTDisconnect
	}
	return event(hub, connectionID, "sys", "disconnected", contentJSON, encode(body), o)
}

// GroupJoined returns a joined event: the connection has joined the group.
func GroupJoined(hub, connectionID, group string, o *Options) *http.Request {
	return event(hub, connectionID, "gp", "joined", contentJSON, encode(map[string]any{"group": group}), defaults(o, "1"))
}

// GroupLeft returns a left event: the connection has left the group.
func GroupLeft(hub, connectionID, group string, o *Options) *http.Request {
	return event(hub, connectionID, "gp", "left", contentJSON, encode(map[string]any{"group": group}), defaults(o, "1"))
}

// UserEvent returns a user event with the given name.
func UserEvent(hub, connectionID, name string, m webpubsub.Message, o *Options) *http.Request {
	o = defaults(o, "1")
	contentType := o.ContentType
	if contentType == "" {
		contentType = payload.ContentType(m.Type)
	}
	r := event(hub, connectionID, "user", name, contentType, m.Data, o)
	for _, p := range o.MQTTProperties {
		r.Header.Add(webhook.MQTTPrefix+p.Name, p.Value)
	}
	for k, v := range m.Metadata {
		r.Header.Set(names.MetadataPrefix+k, v)
	}
	return r
}

func defaults(o *Options, id string) *Options {
	var out Options
	if o != nil {
		out = *o
	}
	if len(out.AccessKeys) == 0 {
		out.AccessKeys = []string{AccessKey}
	}
	if out.Origin == "" {
		out.Origin = Origin
	}
	if out.URL == "" {
		out.URL = "/eventhandler"
	}
	if out.ID == "" {
		out.ID = id
	}
	if out.Time.IsZero() {
		out.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	if out.PhysicalConnectionID != "" && out.Subprotocol == "" {
		out.Subprotocol = subprotocolMQTT
	}
	return &out
}

// event returns a request with the headers of the Azure Web PubSub reference,
// CloudEvents extension.
func event(hub, connectionID, kind, name, contentType string, body []byte, o *Options) *http.Request {
	r := httptest.NewRequest(http.MethodPost, o.URL, bytes.NewReader(body))
	source := "/hubs/" + hub + "/client/" + connectionID
	if o.PhysicalConnectionID != "" {
		source += "/" + o.PhysicalConnectionID
	}
	h := r.Header
	h.Set("Content-Type", contentType)
	h.Set("WebHook-Request-Origin", o.Origin)
	h.Set("ce-specversion", "1.0")
	h.Set("ce-awpsversion", "1.0")
	h.Set("ce-type", "azure.webpubsub."+kind+"."+name)
	h.Set("ce-source", source)
	h.Set("ce-id", o.ID)
	h.Set("ce-time", o.Time.UTC().Format(time.RFC3339))
	h.Set("ce-connectionId", connectionID)
	h.Set("ce-hub", hub)
	h.Set("ce-eventName", name)
	for _, key := range o.AccessKeys {
		h.Add("ce-signature", webhook.Signature(key, connectionID))
	}
	for key, v := range map[string]string{
		"ce-userId":               o.UserID,
		"ce-subprotocol":          o.Subprotocol,
		"ce-physicalConnectionId": o.PhysicalConnectionID,
		"ce-sessionId":            o.SessionID,
	} {
		if v != "" {
			h.Set(key, v)
		}
	}
	if o.State != nil {
		h.Set("ce-connectionState", base64.StdEncoding.EncodeToString(encode(o.State)))
	}
	for k, v := range o.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	return r
}

func orEmpty[M ~map[string][]string](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

// encode panics if v cannot be encoded, which is a mistake in the test.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("handlertest: " + err.Error())
	}
	return b
}
