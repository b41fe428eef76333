package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"example.com/webpubsub/internal/names"
)

// ConnectRequest is the body of a connect event (reference, "System connect
// event"). Marshal it with encoding/json.
type ConnectRequest struct {
	// Claims are the claims of the client's token, see the function ClaimsMap of package token.
	Claims map[string][]string
	// Query and Headers are those of the client's request, as received. The
	// access token and the Authorization header are left out of the body.
	Query, Headers map[string][]string
	// Subprotocols are those that the client offers, in its order.
	Subprotocols []string
	// ClientCertificates contains the client's TLS certificate, if it sent one.
	ClientCertificates []Certificate
	// MQTT is set for an MQTT client.
	MQTT *MQTTConnect
}

// Certificate is a client certificate.
type Certificate struct {
	// Thumbprint is the SHA-1 of the certificate in hex.
	Thumbprint string `json:"thumbprint"`
	// Content is the certificate in PEM.
	Content string `json:"content"`
}

// MQTTConnect is what an MQTT CONNECT packet adds to the connect event.
type MQTTConnect struct {
	// ProtocolVersion is 4 (MQTT 3.1.1) or 5.
	ProtocolVersion int `json:"protocolVersion"`
	// CleanStart is the flag Clean Start, or Clean Session.
	CleanStart bool `json:"cleanStart"`
	// Username and Password are nil if the packet has none.
	Username *string `json:"username"`
	Password []byte  `json:"password"`
	// UserProperties are those of MQTT 5.
	UserProperties []MQTTProperty `json:"userProperties"`
}

// MarshalJSON encodes the body. Handlers in other languages expect the lists and
// objects of the reference, so none of them is ever null.
func (r ConnectRequest) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Claims             map[string][]string `json:"claims"`
		Query              map[string][]string `json:"query"`
		Headers            map[string][]string `json:"headers"`
		Subprotocols       []string            `json:"subprotocols"`
		ClientCertificates []Certificate       `json:"clientCertificates"`
		MQTT               *MQTTConnect        `json:"mqtt,omitempty"`
	}{
		Claims: without(r.Claims, func(string) bool { return false }),
		Query:  without(r.Query, func(name string) bool { return strings.EqualFold(name, "access_token") }),
		Headers: without(r.Headers, func(name string) bool {
			name = strings.ToLower(name)
			return name == "authorization" || strings.HasPrefix(name, "x-asrs-internal-")
		}),
		Subprotocols:       append([]string{}, r.Subprotocols...),
		ClientCertificates: append([]Certificate{}, r.ClientCertificates...),
		MQTT:               r.MQTT,
	})
}

// without returns a copy of m that has no nil in it and lacks some names.
func without(m map[string][]string, drop func(name string) bool) map[string][]string {
	out := make(map[string][]string, len(m))
	for name, values := range m {
		if !drop(name) {
			out[name] = append([]string{}, values...)
		}
	}
	return out
}

// ConnectResponse is a handler's decision about a new connection. The zero value
// accepts it with the user, groups and roles of its token.
type ConnectResponse struct {
	// UserID replaces the user of the token, also when it is empty; nil keeps it.
	UserID *string
	// Groups replaces the groups of the token unless it is empty.
	Groups []string
	// Roles replaces the roles of the token, also when it is empty; nil keeps
	// them.
	Roles *[]string
	// Subprotocol is the selected one. If it is empty, the service selects the first
	// offered one that it supports.
	Subprotocol string
	// MQTTProperties are user properties for the CONNACK packet.
	MQTTProperties []MQTTProperty
}

// connectReply is the encoded body. Pointers distinguish null and absent members
// from empty values.
type connectReply struct {
	UserID      *string    `json:"userId"`
	Groups      []*string  `json:"groups"`
	Roles       *[]*string `json:"roles"`
	Subprotocol *string    `json:"subprotocol"`
	MQTT        *struct {
		UserProperties []MQTTProperty `json:"userProperties"`
	} `json:"mqtt"`
}

// ParseConnectResponse reads the body of a 2xx response to a connect event,
// whatever its content type. An empty body and JSON null are the zero value.
func ParseConnectResponse(body []byte) (ConnectResponse, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return ConnectResponse{}, nil
	}
	var raw connectReply
	if err := json.Unmarshal(body, &raw); err != nil {
		return ConnectResponse{}, fmt.Errorf("the response to connect cannot be read: %w; respond with 204, or with 200 and an object of userId, groups, roles and subprotocol", err)
	}
	res := ConnectResponse{UserID: raw.UserID}
	for _, g := range raw.Groups {
		if g == nil {
			return ConnectResponse{}, errors.New("the response to connect has a null among its groups: leave it out")
		}
		if err := names.Group(*g); err != nil {
			return ConnectResponse{}, fmt.Errorf("the response to connect has a bad group: %w", err)
		}
		res.Groups = append(res.Groups, *g)
	}
	if raw.Roles != nil {
		roles := make([]string, 0, len(*raw.Roles))
		for _, r := range *raw.Roles {
			if r == nil {
				return ConnectResponse{}, errors.New("the response to connect has a null among its roles: leave it out")
			}
			roles = append(roles, *r)
		}
		res.Roles = &roles
	}
	if raw.Subprotocol != nil {
		res.Subprotocol = *raw.Subprotocol
	}
	if raw.MQTT != nil {
		res.MQTTProperties = raw.MQTT.UserProperties
	}
	return res, nil
}
