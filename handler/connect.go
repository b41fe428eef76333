package handler

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
)

// ConnectFunc is the callback for the connect event. It returns nil and no error to
// accept the connection with the values of the client's access token, a
// [ConnectResponse] to accept it with other values, or an error, usually [Reject],
// to reject it.
type ConnectFunc func(ctx context.Context, r *ConnectRequest) (*ConnectResponse, error)

// ConnectRequest is the connect event: a client wants to connect, and waits for
// the response.
type ConnectRequest struct {
	Event
	// Claims are the claims of the client's access token.
	Claims Claims
	// Query is the query of the client's URL without the access token.
	Query url.Values
	// Headers are the headers of the client's handshake, including cookies.
	Headers http.Header
	// Subprotocols are the subprotocols that the client offers, in its order of
	// preference.
	Subprotocols []string
	// ClientCertificates contains the client's TLS certificate, if it sent one. The
	// service does not reject a client without a certificate; the callback can.
	ClientCertificates []ClientCertificate
	// MQTT is set for MQTT clients.
	MQTT *MQTTConnect
}

// Claims are the claims of a client access token. The service sends every claim as
// a list of strings.
type Claims map[string][]string

// Get returns the first value of a claim, or "". The service lists some claims, for
// example sub, role and email, under the longer name that .NET gives them; Get finds
// them by either name.
func (c Claims) Get(name string) string {
	if v := c.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Values returns all values of a claim, see [Claims.Get].
func (c Claims) Values(name string) []string {
	if v, ok := c[name]; ok {
		return v
	}
	return c[token.LongName(name)]
}

// ClientCertificate is the TLS certificate of a client. The service has verified
// that the client has its private key, but not who issued it.
type ClientCertificate struct {
	// Thumbprint is the SHA-1 digest of the certificate in hexadecimal digits. Compare
	// it without case ([strings.EqualFold]): the case is not documented.
	Thumbprint string `json:"thumbprint"`
	// Content is the certificate in PEM.
	Content string `json:"content"`
}

// Parse returns the certificate in Content.
func (c ClientCertificate) Parse() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(c.Content))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("handler: the client certificate is not a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("handler: client certificate: %w", err)
	}
	return cert, nil
}

// ConnectResponse accepts a connection. The zero value, like nil, accepts it with
// the values of the client's access token.
//
// For MQTT clients, UserID, Groups and Roles apply only to a new session. They are
// ignored if the client resumes a session.
type ConnectResponse struct {
	// UserID is the user of the connection. Default: the user of the token.
	//
	// A user ID that contains "/" is logged as a warning, and so is such a group in
	// Groups or Roles: clients can use it, but REST calls do not reach it.
	UserID string
	// Anonymous removes the user ID set by the access token. It cannot be combined
	// with UserID.
	Anonymous bool
	// Groups are the groups that the connection joins, instead of the groups of the
	// token. Default: the groups of the token; the service has no way to remove
	// them here.
	Groups []string
	// Roles are the roles of the connection, instead of the roles of the token. A
	// list that is empty but not nil, such as []string{}, removes all roles.
	// Default: the roles of the token.
	Roles []string
	// Subprotocol is one of the subprotocols that the client offers. Default: the
	// first one that the service supports. If the client offers none of those,
	// Subprotocol must be set.
	Subprotocol string
	// State sets the initial state of the connection, see [EventResponse].State.
	State map[string]any
	// MQTT is sent to MQTT clients.
	MQTT *MQTTConnectResponse
}

// connectBody is the JSON body of the event. Its maps have unnamed types, because
// encoding/json looks up the methods of named ones.
type connectBody struct {
	Claims             map[string][]string `json:"claims"`
	Query              map[string][]string `json:"query"`
	Headers            map[string][]string `json:"headers"`
	Subprotocols       []string            `json:"subprotocols"`
	ClientCertificates []ClientCertificate `json:"clientCertificates"`
	MQTT               *MQTTConnect        `json:"mqtt"`
}

func (h *Handler) connect(ctx context.Context, hub *HubCallbacks, e *Event) (response, error) {
	var body connectBody
	if err := json.Unmarshal(e.body, &body); err != nil {
		return invalidBody(e.Type, err), nil
	}
	f := h.connectFunc(hub)
	if f == nil {
		return response{status: http.StatusNoContent}, nil
	}
	r := &ConnectRequest{
		Event:              *e,
		Claims:             body.Claims,
		Query:              withoutToken(body.Query),
		Headers:            canonical(body.Headers),
		Subprotocols:       body.Subprotocols,
		ClientCertificates: body.ClientCertificates,
		MQTT:               body.MQTT,
	}
	var answer *ConnectResponse
	err := callSafely(func() (err error) {
		answer, err = f(ctx, r)
		return err
	})
	if err != nil {
		return rejectConnect(r, err), err
	}
	res, err := answer.encode(r)
	if err != nil {
		return rejectConnect(r, err), err
	}
	h.warnUnaddressable(ctx, e, answer)
	return res, nil
}

// warnUnaddressable logs names that clients can use and REST calls do not reach.
func (h *Handler) warnUnaddressable(ctx context.Context, e *Event, c *ConnectResponse) {
	if c == nil {
		return
	}
	const msg = "ConnectResponse contains a name that REST calls do not reach"
	for _, err := range names.Unaddressable(c.UserID, c.Roles, c.Groups) {
		if h.limit.Allow(msg) {
			h.log.LogAttrs(ctx, slog.LevelWarn, msg, append(e.attrs(), slog.String("reason", err.Error()),
				slog.String("hint", "use another name, or send to all connections with a filter such as webpubsub.FilterGroup or FilterUsers"))...)
		}
	}
}

// withoutToken removes the access token from the query of a client, as the service
// does; older versions did not.
func withoutToken(query url.Values) url.Values {
	if query == nil {
		return url.Values{}
	}
	for k := range query {
		if strings.EqualFold(k, "access_token") {
			delete(query, k)
		}
	}
	return query
}

// canonical changes the names of a client's headers, which are as the client sent
// them, to the form that [http.Header.Get] expects.
func canonical(header http.Header) http.Header {
	if header == nil {
		return http.Header{}
	}
	for k, v := range header {
		c := http.CanonicalHeaderKey(k)
		if c == k {
			continue
		}
		delete(header, k)
		if other, ok := header[c]; ok {
			v = append(other, v...)
		}
		header[c] = v
	}
	return header
}

// acceptBody is the JSON body of the response. What is omitted keeps the value of
// the access token.
type acceptBody struct {
	Groups      []string             `json:"groups,omitempty"`
	MQTT        *MQTTConnectResponse `json:"mqtt,omitempty"`
	Roles       []string             `json:"roles,omitzero"` // empty removes all
	Subprotocol string               `json:"subprotocol,omitempty"`
	UserID      *string              `json:"userId,omitempty"` // empty is anonymous
}

// encode returns the HTTP response. It returns an error for what the service would
// answer with 500 without reporting why.
func (c *ConnectResponse) encode(r *ConnectRequest) (response, error) {
	if c == nil {
		return response{status: http.StatusNoContent}, nil
	}
	accept := acceptBody{Groups: c.Groups, Roles: c.Roles, Subprotocol: c.Subprotocol}
	if c.Anonymous && c.UserID != "" {
		return response{}, errors.New("ConnectResponse.Anonymous cannot be combined with UserID")
	}
	if c.Anonymous || c.UserID != "" {
		accept.UserID = &c.UserID
	}
	for _, g := range c.Groups {
		if err := names.Group(g); err != nil {
			return response{}, fmt.Errorf("ConnectResponse.Groups: %w", err)
		}
	}
	if slices.Contains(c.Roles, "") {
		return response{}, errors.New("ConnectResponse.Roles contains an empty role")
	}
	if c.Subprotocol != "" {
		offered := slices.Contains(r.Subprotocols, c.Subprotocol) || r.IsMQTT() && c.Subprotocol == mqttSubprotocol
		if !offered {
			return response{}, fmt.Errorf("ConnectResponse.Subprotocol %q is not offered by the client, which offers %q", c.Subprotocol, r.Subprotocols)
		}
	}
	if r.IsMQTT() {
		accept.MQTT = c.MQTT
	}
	body, err := marshal(accept)
	if err != nil {
		return response{}, err
	}
	out := response{status: http.StatusNoContent}
	if string(body) != "{}" {
		out = response{status: http.StatusOK, contentType: contentTypeJSON, body: body}
	}
	if err := out.addState(&r.state, c.State); err != nil {
		return response{}, fmt.Errorf("ConnectResponse.State: %w", err)
	}
	return out, nil
}

// mqttFailure is the JSON body that the service converts to a CONNACK packet.
type mqttFailure struct {
	MQTT struct {
		Code           MQTTCode           `json:"code"`
		Reason         string             `json:"reason,omitempty"`
		UserProperties []MQTTUserProperty `json:"userProperties,omitempty"`
	} `json:"mqtt"`
}

func rejectConnect(r *ConnectRequest, err error) response {
	out := failureResponse(err)
	if !r.IsMQTT() {
		return out
	}
	version := 0
	if r.MQTT != nil {
		version = r.MQTT.ProtocolVersion
	}
	var failure mqttFailure
	failure.MQTT.Code = mqttCodeFor(out.status, version)
	var rejected *RejectError
	if errors.As(err, &rejected) {
		if rejected.MQTTCode != 0 {
			failure.MQTT.Code = rejected.MQTTCode
		}
		failure.MQTT.Reason = rejected.Reason
		failure.MQTT.UserProperties = rejected.MQTTUserProperties
	}
	if body, err := marshal(failure); err == nil {
		out.contentType, out.body = contentTypeJSON, body
	}
	return out
}
