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

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
)

// ConnectFunc decides about a connection. It returns nil and no error to accept
// it as the client's token has it, a [ConnectResponse] to accept it with
// changes, or an error, usually [Reject], to refuse it.
type ConnectFunc func(ctx context.Context, r *ConnectRequest) (*ConnectResponse, error)

// ConnectRequest asks whether a client may connect. The client waits for the
// answer.
type ConnectRequest struct {
	Event
	// Claims are the claims of the client's token.
	Claims Claims
	// Query is the query of the client's URL, without its token.
	Query url.Values
	// Headers are the headers of the client's handshake, cookies among them.
	Headers http.Header
	// Subprotocols are those that the client offers, in its order of preference.
	Subprotocols []string
	// ClientCertificates holds the client's TLS certificate, or nothing. A client
	// without one is not refused by the service: that is the callback's choice.
	ClientCertificates []ClientCertificate
	// MQTT is set for MQTT clients.
	MQTT *MQTTConnect
}

// Claims are the claims of a token. Every claim is a list and every value text.
type Claims map[string][]string

// longClaims are the names under which the service repeats some claims.
var longClaims = map[string]string{
	"sub":  "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
	"role": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
}

// Get returns the first value of a claim, or "". The claims sub and role are
// also found under the long names that .NET gives them.
func (c Claims) Get(name string) string {
	if v := c.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Values returns all values of a claim, found as [Claims.Get] finds it.
func (c Claims) Values(name string) []string {
	if v, ok := c[name]; ok {
		return v
	}
	return c[longClaims[name]]
}

// ClientCertificate is a client's TLS certificate. The service has checked that
// the client holds its key, not who issued it.
type ClientCertificate struct {
	// Thumbprint is the SHA-1 of the certificate in hex.
	Thumbprint string `json:"thumbprint"`
	// Content is the certificate in PEM.
	Content string `json:"content"`
}

// Parse returns the certificate in Content.
func (c ClientCertificate) Parse() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(c.Content))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("handler: the client certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("handler: client certificate: %w", err)
	}
	return cert, nil
}

// ConnectResponse accepts a connection. Its zero value, like nil, changes
// nothing of what the client's token says.
//
// For MQTT the fields UserID, Groups and Roles apply when a new session is
// created, and are ignored when one is resumed.
type ConnectResponse struct {
	// UserID makes the connection one of this user. Empty keeps the token's user.
	// One with a "/" is logged as a warning, and so is a group in Groups or Roles:
	// clients can use it, but the service does not route REST calls to it.
	UserID string
	// Anonymous takes the token's user away. It excludes UserID.
	Anonymous bool
	// Groups are joined at once, instead of the token's groups. Empty keeps
	// those: the service has no way to take them away here.
	Groups []string
	// Roles are granted instead of the token's roles. Nil keeps those; an empty
	// list that is not nil, such as []string{}, takes them all away.
	Roles []string
	// Subprotocol is one of those that the client offered. Empty leaves the
	// choice to the service, which takes the first that it knows; a client that
	// offers only unknown ones needs the answer here.
	Subprotocol string
	// MQTT is sent to MQTT clients.
	MQTT *MQTTConnectReply
}

// connectBody is the request as it travels. Its maps have no type names, which
// package json would look up for each of them.
type connectBody struct {
	Claims             map[string][]string `json:"claims"`
	Query              map[string][]string `json:"query"`
	Headers            map[string][]string `json:"headers"`
	Subprotocols       []string            `json:"subprotocols"`
	ClientCertificates []ClientCertificate `json:"clientCertificates"`
	MQTT               *MQTTConnect        `json:"mqtt"`
}

func (h *Handler) connect(ctx context.Context, hub *Hub, e *Event) (reply, error) {
	var body connectBody
	if err := json.Unmarshal(e.body, &body); err != nil {
		return badBody(e.Type, err), nil
	}
	f := h.connectFunc(hub)
	if f == nil {
		return reply{status: http.StatusNoContent}, nil
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
	r.state.writable = true
	var answer *ConnectResponse
	err := protect(func() (err error) {
		answer, err = f(ctx, r)
		return err
	})
	if err != nil {
		return rejectConnect(r, err), err
	}
	out, err := answer.reply(r)
	if err != nil {
		return rejectConnect(r, err), err
	}
	h.warnUnroutable(ctx, e, answer)
	out.addState(&r.state)
	return out, nil
}

// warnUnroutable logs the names of a response that clients can use and REST
// calls cannot: such a call succeeds and reaches nobody.
func (h *Handler) warnUnroutable(ctx context.Context, e *Event, c *ConnectResponse) {
	if c == nil {
		return
	}
	const msg = "the name cannot be used in REST calls"
	warn := func(field, name, remedy string) {
		err := names.RoutableInPath(name)
		if err == nil || !h.limit.Allow(msg+": "+field) {
			return
		}
		h.log.LogAttrs(ctx, slog.LevelWarn, msg, append(e.attrs(), slog.String("field", "ConnectResponse."+field),
			slog.String("rule", err.Error()), slog.String("remedy", remedy))...)
	}
	const (
		groupRemedy = "use another separator, or send to all connections with a filter such as 'a/b' in groups"
		userRemedy  = "use another user id, or send to all connections with a filter such as userId eq 'a/b'"
	)
	warn("UserID", c.UserID, userRemedy)
	for _, g := range c.Groups {
		warn("Groups", g, groupRemedy)
	}
	for _, role := range c.Roles {
		for _, prefix := range [...]string{webpubsub.RoleJoinLeaveGroup(""), webpubsub.RoleSendToGroup("")} {
			if group, ok := strings.CutPrefix(role, prefix); ok {
				warn("Roles", group, groupRemedy)
			}
		}
	}
}

// withoutToken takes the client's token out of its query, as the service does;
// older versions did not.
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

// canonical gives the client's headers, whose names come as the client wrote
// them, the names under which [http.Header.Get] finds them.
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

// acceptBody is the answer as it travels. What is left out stays as the token
// has it.
type acceptBody struct {
	Groups      []string          `json:"groups,omitempty"`
	MQTT        *MQTTConnectReply `json:"mqtt,omitempty"`
	Roles       []string          `json:"roles,omitzero"` // empty takes all away
	Subprotocol string            `json:"subprotocol,omitempty"`
	UserID      *string           `json:"userId,omitempty"` // empty makes anonymous
}

// reply encodes the answer. It fails for what the service would turn into a
// 500 without telling why.
func (c *ConnectResponse) reply(r *ConnectRequest) (reply, error) {
	if c == nil {
		return reply{status: http.StatusNoContent}, nil
	}
	out := acceptBody{Groups: c.Groups, Roles: c.Roles, Subprotocol: c.Subprotocol}
	if c.Anonymous && c.UserID != "" {
		return reply{}, errors.New("ConnectResponse.Anonymous excludes UserID")
	}
	if c.Anonymous || c.UserID != "" {
		out.UserID = &c.UserID
	}
	for _, g := range c.Groups {
		if err := names.Group(g); err != nil {
			return reply{}, fmt.Errorf("ConnectResponse.Groups: %w", err)
		}
	}
	if slices.Contains(c.Roles, "") {
		return reply{}, errors.New("ConnectResponse.Roles holds an empty role")
	}
	if c.Subprotocol != "" {
		offered := slices.Contains(r.Subprotocols, c.Subprotocol) || r.IsMQTT() && c.Subprotocol == mqttSubprotocol
		if !offered {
			return reply{}, fmt.Errorf("ConnectResponse.Subprotocol %q was not offered by the client, which offers %q", c.Subprotocol, r.Subprotocols)
		}
	}
	if r.IsMQTT() {
		out.MQTT = c.MQTT
	}
	body, err := marshal(out)
	if err != nil {
		return reply{}, err
	}
	if string(body) == "{}" {
		return reply{status: http.StatusNoContent}, nil
	}
	return reply{status: http.StatusOK, contentType: contentTypeJSON, body: body}, nil
}

// mqttFailure is the body that the service turns into a CONNACK packet.
type mqttFailure struct {
	MQTT struct {
		Code           MQTTCode           `json:"code"`
		Reason         string             `json:"reason,omitempty"`
		UserProperties []MQTTUserProperty `json:"userProperties,omitempty"`
	} `json:"mqtt"`
}

func rejectConnect(r *ConnectRequest, err error) reply {
	out := rejected(err)
	if !r.IsMQTT() {
		return out
	}
	version := 0
	if r.MQTT != nil {
		version = r.MQTT.ProtocolVersion
	}
	var failure mqttFailure
	failure.MQTT.Code = MQTTCodeFor(out.status, version)
	var rejection *RejectError
	if errors.As(err, &rejection) {
		if rejection.MQTTCode != 0 {
			failure.MQTT.Code = rejection.MQTTCode
		}
		failure.MQTT.Reason = rejection.Reason
		failure.MQTT.UserProperties = rejection.MQTTUserProperties
	}
	if body, err := marshal(failure); err == nil {
		out.contentType, out.body = contentTypeJSON, body
	}
	return out
}
