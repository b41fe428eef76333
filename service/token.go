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

// ClientProtocol is the protocol of a client.
type ClientProtocol string

const (
	// ClientProtocolDefault is for simple WebSocket clients and for the
	// subprotocols json.webpubsub.azure.v1, protobuf.webpubsub.azure.v1 and their
	// reliable variants.
	ClientProtocolDefault ClientProtocol = ""
	// ClientProtocolMQTT is for MQTT over WebSocket.
	ClientProtocolMQTT ClientProtocol = "mqtt"
	// ClientProtocolSocketIO is for a resource of the kind Socket.IO.
	ClientProtocolSocketIO ClientProtocol = "socketio"
)

// GetClientAccessTokenOptions contains the optional parameters of
// [Client.GetClientAccessToken].
type GetClientAccessTokenOptions struct {
	// UserID is the user ID of the connection. Default: none, the client is
	// anonymous.
	UserID string
	// Roles are the permissions of the client, see webpubsub.RoleSendToGroup and
	// the other Role functions. Default: none, the client can only send events to
	// the event handler.
	Roles []string
	// Groups are the groups that the client joins when it connects. Default: none.
	Groups []string
	// Expiry is the lifetime of the token. It limits when the client can connect,
	// not how long it stays connected. With a token credential it is rounded up to
	// minutes, else to seconds. Default: one hour.
	Expiry time.Duration
	// Protocol is the protocol of the client. Default: ClientProtocolDefault.
	Protocol ClientProtocol
}

// ClientAccessToken is what a client needs to connect. Its JSON form is the
// object {"baseUrl", "url", "accessToken"}; the token is hidden when it is printed
// or logged.
type ClientAccessToken struct {
	// BaseURL is the WebSocket URL without the token.
	BaseURL string `json:"baseUrl"`
	// URL is BaseURL with the token in the query parameter access_token.
	URL string `json:"url"`
	// Token is the token.
	Token string `json:"accessToken"`
}

// String returns the URL with the token hidden.
func (t ClientAccessToken) String() string { return t.BaseURL + "?access_token=REDACTED" }

// GoString returns the same as String, for %#v.
func (t ClientAccessToken) GoString() string { return t.String() }

// LogValue hides the token from log/slog.
func (t ClientAccessToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// GetClientAccessToken returns a token for a client to connect to the hub, and
// the URL to connect to. With an access key the token is signed locally, without
// a request; with a token credential it is requested from the service.
func (c *Client) GetClientAccessToken(ctx context.Context, options *GetClientAccessTokenOptions) (ClientAccessToken, error) {
	const method = "GetClientAccessToken"
	o := options
	if o == nil {
		o = &GetClientAccessTokenOptions{}
	}
	expiry, err := checkTokenOptions(o)
	if err != nil {
		return ClientAccessToken{}, fmt.Errorf("service: %s: %w", method, err)
	}
	c.warnUnaddressable(ctx, o)
	// https becomes wss and http becomes ws. The audience keeps the scheme of
	// the endpoint, as in the official SDKs; the service accepts both.
	audience := c.endpoint + clientPath(o.Protocol) + url.PathEscape(c.hub)
	base := "ws" + strings.TrimPrefix(audience, "http")
	var jwt string
	if c.key != nil {
		jwt, err = c.key.sign(ctx, token.Claims{
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

// warnUnaddressable logs the names that the token grants and that REST calls
// cannot address later, once for each kind of name: a program that has such user
// IDs would otherwise log a line for every client.
func (c *Client) warnUnaddressable(ctx context.Context, o *GetClientAccessTokenOptions) {
	c.warn(ctx, "user ID", names.Unaddressable(o.UserID, nil, nil))
	c.warn(ctx, "role", names.Unaddressable("", o.Roles, nil))
	c.warn(ctx, "group", names.Unaddressable("", nil, o.Groups))
}

func (c *Client) warn(ctx context.Context, kind string, found []error) {
	if len(found) == 0 || !c.firstWarning(kind) {
		return
	}
	logger := c.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.WarnContext(ctx, "client access token grants a name that the REST API cannot address",
		"hub", c.hub, "reason", found[0].Error(),
		"hint", "choose names without a slash, or use SendToAll with a filter; more names of this kind are not logged")
}

func (c *Client) firstWarning(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.warned[kind] {
		return false
	}
	if c.warned == nil {
		c.warned = make(map[string]bool)
	}
	c.warned[kind] = true
	return true
}

func clientPath(p ClientProtocol) string {
	if p == ClientProtocolDefault {
		return "/client/hubs/"
	}
	return "/clients/" + string(p) + "/hubs/"
}

func checkTokenOptions(o *GetClientAccessTokenOptions) (time.Duration, error) {
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
			return 0, errors.New("a role is empty: use webpubsub.RoleSendToGroup or another Role function")
		}
	}
	if err := checkUTF8("the user ID", o.UserID); err != nil {
		return 0, err
	}
	if err := checkUTF8("a role", o.Roles...); err != nil {
		return 0, err
	}
	switch {
	case o.Expiry < 0:
		return 0, fmt.Errorf("the option Expiry is negative, %v: use 0 for one hour", o.Expiry)
	case o.Expiry == 0:
		return defaultExpiry, nil
	}
	return o.Expiry, nil
}

// generateToken requests a token from the service, which accepts no access key
// for it.
func (c *Client) generateToken(ctx context.Context, method string, o *GetClientAccessTokenOptions, expiry time.Duration) (string, error) {
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
		if err := c.requireVersion(v2022, "a token with groups"); err != nil {
			return "", fmt.Errorf("service: %s: %w", method, err)
		}
		query["group"] = o.Groups
	}
	if o.Protocol != ClientProtocolDefault {
		if err := c.requireVersion(v2401, "a token for another protocol"); err != nil {
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
	var body struct {
		Token string `json:"token"`
	}
	if err := runtime.UnmarshalAsJSON(resp, &body); err != nil {
		return "", fmt.Errorf("service: %s: %w", method, err)
	}
	if body.Token == "" {
		return "", fmt.Errorf("service: %s: the response has no token", method)
	}
	return body.Token, nil
}
