package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
)

// defaultExpiry is the lifetime of a client access token in every official SDK.
const defaultExpiry = time.Hour

// ClientProtocol is the protocol that a client will speak over its WebSocket.
type ClientProtocol string

const (
	// ClientProtocolDefault is for simple clients and for the subprotocols
	// json.webpubsub.azure.v1, protobuf.webpubsub.azure.v1 and their reliable kin.
	ClientProtocolDefault ClientProtocol = ""
	// ClientProtocolMQTT is for MQTT over WebSocket.
	ClientProtocolMQTT ClientProtocol = "mqtt"
	// ClientProtocolSocketIO is for a resource of the kind Socket.IO.
	ClientProtocolSocketIO ClientProtocol = "socketio"
)

// ClientAccessTokenOptions says who the client is and what it may do. The zero
// value, or nil, is an anonymous client without roles and groups.
type ClientAccessTokenOptions struct {
	// UserID is the user that the connection will belong to. Default: anonymous.
	UserID string
	// Roles are what the client may do, see webpubsub.RoleSendToAnyGroup and its
	// neighbours. Default: none, so it may only send events to the event handler.
	Roles []string
	// Groups are joined as soon as the client connects. Default: none.
	Groups []string
	// Expiry is how long the token can be used to connect; a connection that is
	// open stays open. Default: one hour. With a token credential the service
	// counts in minutes, and a part of a minute is rounded up.
	Expiry time.Duration
	// Protocol is the protocol that the client will speak. Default:
	// ClientProtocolDefault.
	Protocol ClientProtocol
}

// ClientAccessToken is what a client needs to connect. It marshals to the JSON
// object {"baseUrl", "url", "accessToken"}; when printed or logged, the token
// is hidden.
type ClientAccessToken struct {
	// BaseURL is the WebSocket URL without the token.
	BaseURL string `json:"baseUrl"`
	// URL is BaseURL with the token as query parameter access_token.
	URL string `json:"url"`
	// Token is the token alone.
	Token string `json:"accessToken"`
}

// String returns the URL with the token hidden.
func (t ClientAccessToken) String() string { return t.BaseURL + "?access_token=REDACTED" }

// GoString returns the same as String, for %#v.
func (t ClientAccessToken) GoString() string { return t.String() }

// LogValue hides the token from log/slog.
func (t ClientAccessToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// GetClientAccessToken returns a token that lets one client connect to the hub,
// and the URL to connect to. With an access key the token is signed here,
// without a request; with a token credential the service is asked for it.
func (c *Client) GetClientAccessToken(ctx context.Context, o *ClientAccessTokenOptions) (ClientAccessToken, error) {
	const method = "GetClientAccessToken"
	if o == nil {
		o = &ClientAccessTokenOptions{}
	}
	expiry, err := checkTokenOptions(o)
	if err != nil {
		return ClientAccessToken{}, fmt.Errorf("service: %s: %w", method, err)
	}
	// https becomes wss and http becomes ws. The audience keeps the scheme of
	// the endpoint, as in the official SDKs; the service reads both alike.
	audience := c.endpoint + clientPath(o.Protocol) + url.PathEscape(c.hub)
	base := "ws" + strings.TrimPrefix(audience, "http")
	var jwt string
	if c.key != nil {
		jwt, err = sign(c.key, token.Claims{
			Audience: audience,
			UserID:   o.UserID,
			Roles:    o.Roles,
			Groups:   o.Groups,
			Expires:  time.Now().Add(expiry).Add(time.Second - 1), // rounded up to a second
		})
		if err != nil {
			err = fmt.Errorf("service: %s: %w", method, err)
		}
	} else {
		jwt, err = c.generateToken(ctx, method, o, expiry)
	}
	if err != nil {
		return ClientAccessToken{}, err
	}
	return ClientAccessToken{BaseURL: base, URL: base + "?access_token=" + url.QueryEscape(jwt), Token: jwt}, nil
}

func clientPath(p ClientProtocol) string {
	if p == ClientProtocolDefault {
		return "/client/hubs/"
	}
	return "/clients/" + string(p) + "/hubs/"
}

func checkTokenOptions(o *ClientAccessTokenOptions) (time.Duration, error) {
	switch o.Protocol {
	case ClientProtocolDefault, ClientProtocolMQTT, ClientProtocolSocketIO:
	default:
		return 0, fmt.Errorf("unknown Protocol %q: use ClientProtocolDefault, ClientProtocolMQTT or ClientProtocolSocketIO", o.Protocol)
	}
	for _, g := range o.Groups {
		if err := names.Group(g); err != nil {
			return 0, err
		}
	}
	for _, r := range o.Roles {
		if r == "" {
			return 0, errors.New("a role is empty: use webpubsub.RoleSendToGroup and its neighbours")
		}
	}
	switch {
	case o.Expiry < 0:
		return 0, fmt.Errorf("the option Expiry is negative, %v: leave it zero for one hour", o.Expiry)
	case o.Expiry == 0:
		return defaultExpiry, nil
	}
	return o.Expiry, nil
}

// generateToken asks the service for a token, for which it takes no access key.
func (c *Client) generateToken(ctx context.Context, method string, o *ClientAccessTokenOptions, expiry time.Duration) (string, error) {
	minutes := expiry / time.Minute
	if expiry%time.Minute != 0 {
		minutes++
	}
	query := map[string][]string{"minutesToExpire": {strconv.FormatInt(int64(minutes), 10)}}
	if o.UserID != "" {
		query["userId"] = []string{o.UserID}
	}
	if len(o.Roles) > 0 {
		query["role"] = o.Roles
	}
	if len(o.Groups) > 0 {
		if err := c.need(v2022, "a token with groups"); err != nil {
			return "", fmt.Errorf("service: %s: %w", method, err)
		}
		query["group"] = o.Groups
	}
	if o.Protocol != ClientProtocolDefault {
		if err := c.need(v2401, "a token for another protocol"); err != nil {
			return "", fmt.Errorf("service: %s: %w", method, err)
		}
		query["clientType"] = []string{string(o.Protocol)}
	}
	resp, err := c.do(ctx, request{
		name: method, verb: http.MethodPost, path: c.hubPath(":generateToken"), query: query, secret: true,
	}, http.StatusOK)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := runtime.UnmarshalAsJSON(resp, &answer); err != nil {
		return "", fmt.Errorf("service: %s: %w", method, err)
	}
	if answer.Token == "" {
		return "", fmt.Errorf("service: %s: the service's answer has no token", method)
	}
	return answer.Token, nil
}
