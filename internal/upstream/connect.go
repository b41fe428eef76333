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
	// Query and Headers are those of the client's request, as they came in. The
	// access token and the Authorization header are left out of the body.
	Query, Headers map[string][]string
	// Subprotocols are those that the client offers, in its order.
	Subprotocols []string
	// ClientCertificates holds the client's TLS certificate, if it sent one.
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
	// Username and Password are nil where the packet has none.
	Username *string `json:"username"`
	Password []byte  `json:"password"`
	// UserProperties are those of MQTT 5.
	UserProperties []MQTTProperty `json:"userProperties"`
}

// MarshalJSON writes the body. Handlers in other languages count on lists and
// objects where the reference has them, so none of them is ever null.
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

// ConnectResponse is what a handler decides about a new connection. The zero
// value accepts it as its token has it.
type ConnectResponse struct {
	// UserID replaces the user of the token, also when it is empty; nil keeps it.
	UserID *string
	// Groups replaces the groups of the token unless it is empty.
	Groups []string
	// Roles replaces the roles of the token, also when it is empty; nil keeps
	// them.
	Roles *[]string
	// Subprotocol is the one that was chosen; "" leaves the choice to the
	// service: the first that it supports of those offered.
	Subprotocol string
	// MQTTProperties are user properties for the CONNACK packet.
	MQTTProperties []MQTTProperty
}

// connectReply is the body as it travels. Pointers tell null and absence from
// empty values.
type connectReply struct {
	UserID      *string    `json:"userId"`
	Groups      []*string  `json:"groups"`
	Roles       *[]*string `json:"roles"`
	Subprotocol *string    `json:"subprotocol"`
	MQTT        *struct {
		UserProperties []MQTTProperty `json:"userProperties"`
	} `json:"mqtt"`
}

// ParseConnectResponse reads the body of a 2xx answer to a connect event,
// whatever its content type. No body, and the JSON null, are the zero value.
func ParseConnectResponse(body []byte) (ConnectResponse, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return ConnectResponse{}, nil
	}
	var raw connectReply
	if err := json.Unmarshal(body, &raw); err != nil {
		return ConnectResponse{}, fmt.Errorf("the answer to connect cannot be read: %w; answer 204, or 200 with an object of userId, groups, roles and subprotocol", err)
	}
	res := ConnectResponse{UserID: raw.UserID}
	for _, g := range raw.Groups {
		if g == nil {
			return ConnectResponse{}, errors.New("the answer to connect has a null among its groups: leave it out")
		}
		if err := names.Group(*g); err != nil {
			return ConnectResponse{}, fmt.Errorf("the answer to connect has a bad group: %w", err)
		}
		res.Groups = append(res.Groups, *g)
	}
	if raw.Roles != nil {
		roles := make([]string, 0, len(*raw.Roles))
		for _, r := range *raw.Roles {
			if r == nil {
				return ConnectResponse{}, errors.New("the answer to connect has a null among its roles: leave it out")
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
