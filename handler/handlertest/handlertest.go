// Package handlertest makes the requests that Azure Web PubSub sends to an event
// handler, signed as the service signs them, so that a program can test its own
// callbacks without a service and without a network.
//
//	h, _ := handler.New(handler.Options{ConnectionStrings: []string{handlertest.ConnectionString}})
//	h.OnEvent("message", echo)
//
//	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil))
//	if res.Message().String() != "hi" { … }
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
	"example.com/webpubsub/internal/payload"
)

// The connection that requests are signed for unless [Options] say otherwise. It
// is the one of the local emulator.
const (
	AccessKey        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"
	ConnectionString = "Endpoint=http://localhost:8080;AccessKey=" + AccessKey + ";Version=1.0;"
	Origin           = "localhost"
)

// Options say more about an event. Nil, like the zero value, is an anonymous
// WebSocket client without state.
type Options struct {
	// AccessKeys sign the event, each with a header line of its own. Empty means
	// [AccessKey].
	AccessKeys []string
	// Origin is the service's host. Empty means [Origin].
	Origin string
	// URL is where the request goes. Empty means "/eventhandler".
	URL string
	// ID is the event id. Empty means "0" for connect and "1" for others.
	ID string
	// Time is when the event happened. Zero means 2026-01-02T03:04:05Z, so that
	// tests repeat.
	Time time.Time
	// UserID is the user of the connection.
	UserID string
	// Subprotocol is the one that was selected.
	Subprotocol string
	// State is the connection's state, as a handler has set it before.
	State map[string]any
	// PhysicalConnectionID and SessionID are those of an MQTT connection; the
	// first makes the event one of an MQTT client.
	PhysicalConnectionID, SessionID string
	// Header is set last and replaces what is there.
	Header http.Header

	// Claims, Query, ClientHeader, Subprotocols, ClientCertificates and
	// MQTTConnect are what a connect event tells about the client.
	Claims             handler.Claims
	Query              url.Values
	ClientHeader       http.Header
	Subprotocols       []string
	ClientCertificates []handler.ClientCertificate
	MQTTConnect        *handler.MQTTConnect
	// MQTTDisconnect is what a disconnected event tells about an MQTT client.
	MQTTDisconnect *handler.MQTTDisconnect
	// MQTTProperties are the user properties of an MQTT client's user event.
	MQTTProperties []handler.MQTTUserProperty
	// ContentType is the content type of a user event. Empty means that of the
	// message's data type; an MQTT client may send any.
	ContentType string
}

const (
	contentJSON     = "application/json; charset=utf-8"
	subprotocolMQTT = "mqtt"
)

// Preflight returns the request by which a service with these host names asks
// whether it may send events. No name means [Origin].
func Preflight(origins ...string) *http.Request {
	if len(origins) == 0 {
		origins = []string{Origin}
	}
	r := httptest.NewRequest(http.MethodOptions, "/eventhandler", nil)
	r.Header["Webhook-Request-Origin"] = origins
	r.Header.Set("ce-awpsversion", "1.0")
	return r
}

// Connect returns the event that asks whether a client may connect.
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

// Connected returns the event that tells that a client is connected.
func Connected(hub, connectionID string, o *Options) *http.Request {
	return event(hub, connectionID, "sys", "connected", contentJSON, []byte("{}"), defaults(o, "1"))
}

// Disconnected returns the event that tells that a client is gone.
func Disconnected(hub, connectionID, reason string, o *Options) *http.Request {
	o = defaults(o, "1")
	body := map[string]any{"reason": reason}
	if o.MQTTDisconnect != nil {
		body["mqtt"] = o.MQTTDisconnect
	}
	return event(hub, connectionID, "sys", "disconnected", contentJSON, encode(body), o)
}

// GroupJoined returns the event that tells that a connection joined a group.
func GroupJoined(hub, connectionID, group string, o *Options) *http.Request {
	return event(hub, connectionID, "gp", "joined", contentJSON, encode(map[string]any{"group": group}), defaults(o, "1"))
}

// GroupLeft returns the event that tells that a connection left a group.
func GroupLeft(hub, connectionID, group string, o *Options) *http.Request {
	return event(hub, connectionID, "gp", "left", contentJSON, encode(map[string]any{"group": group}), defaults(o, "1"))
}

// UserEvent returns an event that a client sent.
func UserEvent(hub, connectionID, name string, m webpubsub.Message, o *Options) *http.Request {
	o = defaults(o, "1")
	contentType := o.ContentType
	if contentType == "" {
		contentType = payload.ContentType(m.Type)
	}
	r := event(hub, connectionID, "user", name, contentType, m.Data, o)
	for _, p := range o.MQTTProperties {
		r.Header.Add("mqtt-"+p.Name, p.Value)
	}
	for k, v := range m.Metadata {
		r.Header.Set("X-WebPubSub-Metadata-"+k, v)
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

// event makes the request with the headers of the Azure Web PubSub reference,
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
		h.Add("ce-signature", handler.Signature(key, connectionID))
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

// encode panics for what is not JSON: the test itself is wrong then.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("handlertest: " + err.Error())
	}
	return b
}
