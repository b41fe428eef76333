package emulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// handMade signs a token as somebody without an SDK does.
func handMade(key, header, claims string) string {
	enc := base64.RawURLEncoding
	s := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s))
	return s + "." + enc.EncodeToString(mac.Sum(nil))
}

// What the service takes as the audience of a client's token was tried out by
// one of its engineers (https://github.com/Azure/azure-sdk-for-go/issues/27422):
// any scheme of the web, but the very host, hub and slashes.
func TestClientTokens(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{SecondaryKey: "second"})
	const plain = `{"alg":"HS256","typ":"JWT"}`
	host := strings.TrimPrefix(srv.URL(), "http://")
	port := host[strings.LastIndex(host, ":"):]
	exp := time.Now().Add(time.Hour).Unix()
	aud := func(audience string) string { return fmt.Sprintf(`{"aud":%q,"exp":%d}`, audience, exp) }
	good := "https://" + host + "/client/hubs/chat"
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, tt := range map[string]struct {
		key, header, claims string
		ok                  bool
	}{
		"https":                {emulator.DefaultAccessKey, plain, aud(good), true},
		"http":                 {emulator.DefaultAccessKey, plain, aud("http://" + host + "/client/hubs/chat"), true},
		"wss":                  {emulator.DefaultAccessKey, plain, aud("wss://" + host + "/client/hubs/chat"), true},
		"ws":                   {emulator.DefaultAccessKey, plain, aud("ws://" + host + "/client/hubs/chat"), true},
		"hub in another case":  {emulator.DefaultAccessKey, plain, aud("https://" + host + "/client/hubs/Chat"), true},
		"slash at the end":     {emulator.DefaultAccessKey, plain, aud(good + "/"), false},
		"a query":              {emulator.DefaultAccessKey, plain, aud(good + "?x=1"), false},
		"a user name":          {emulator.DefaultAccessKey, plain, aud("https://me@" + host + "/client/hubs/chat"), false},
		"another loopback":     {emulator.DefaultAccessKey, plain, aud("https://localhost" + port + "/client/hubs/chat"), true},
		"in a list":            {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":[%q],"exp":%d}`, good, exp), true},
		"among others":         {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":["api://x",%q,"https://y"],"exp":%d}`, good, exp), true},
		"never expires":        {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":9223372036854775807}`, good), true},
		"key id, type, crit":   {emulator.DefaultAccessKey, `{"alg":"HS256","kid":"mine","typ":"at+jwt","crit":["x"]}`, aud(good), true},
		"expiry as text":       {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":"%d"}`, good, exp), false},
		"algorithm as URI":     {emulator.DefaultAccessKey, `{"alg":"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"}`, aud(good), false},
		"HS512":                {emulator.DefaultAccessKey, `{"alg":"HS512"}`, aud(good), false},
		"secondary key":        {"second", plain, aud(good), true},
		"key id, issuer":       {emulator.DefaultAccessKey, `{"alg":"HS256","kid":"mine"}`, fmt.Sprintf(`{"aud":%q,"exp":%d,"iss":"me","x":{}}`, good, exp), true},
		"within the skew":      {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":%d}`, good, ago(4*time.Minute)), true},
		"not before, skewed":   {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":%d,"nbf":%d}`, good, exp, ago(-4*time.Minute)), true},
		"expired":              {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":%d}`, good, ago(6*time.Minute)), false},
		"not valid yet":        {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q,"exp":%d,"nbf":%d}`, good, exp, ago(-6*time.Minute)), false},
		"no expiry":            {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":%q}`, good), false},
		"no audience":          {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"exp":%d}`, exp), false},
		"no slash":             {emulator.DefaultAccessKey, plain, aud("https://" + host + "client/hubs/chat"), false},
		"another hub":          {emulator.DefaultAccessKey, plain, aud("https://" + host + "/client/hubs/chat2"), false},
		"below the hub":        {emulator.DefaultAccessKey, plain, aud(good + "/x"), false},
		"another resource":     {emulator.DefaultAccessKey, plain, aud("https://contoso.webpubsub.azure.com/client/hubs/chat"), false},
		"another port":         {emulator.DefaultAccessKey, plain, aud("https://127.0.0.1:1/client/hubs/chat"), false},
		"another kind of hub":  {emulator.DefaultAccessKey, plain, aud("https://" + host + "/clients/mqtt/hubs/chat"), false},
		"ftp":                  {emulator.DefaultAccessKey, plain, aud("ftp://" + host + "/client/hubs/chat"), false},
		"of the REST API":      {emulator.DefaultAccessKey, plain, aud("https://" + host + "/api/hubs/chat/:send"), false},
		"wrong key":            {"wrong", plain, aud(good), false},
		"no algorithm":         {emulator.DefaultAccessKey, `{"alg":"none"}`, aud(good), false},
		"key decoded as bytes": {"\x00\x10\x83", plain, aud(good), false}, // a classic: the key is no base64
	} {
		t.Run(name, func(t *testing.T) {
			_, resp, err := tryDial(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {handMade(tt.key, tt.header, tt.claims)}}})
			if tt.ok != (err == nil) || !tt.ok && resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%v", err)
			}
		})
	}
}

// Roles and groups come as lists from SDKs and as one string from elsewhere.
func TestClaimsMayBeStrings(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	claims := fmt.Sprintf(`{"aud":"%s/client/hubs/chat","exp":%d,"sub":"u","role":"webpubsub.sendToGroup","webpubsub.group":"g"}`, srv.URL(), time.Now().Add(time.Hour).Unix())
	c, hello := dialJSON(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, claims)}}})
	c.send(`{"type":"sendToGroup","group":"g","data":1}`)
	c.expect(`{"type":"message","from":"group","fromUserId":"u","group":"g","dataType":"json","data":1}`)
	if *hello.UserID != "u" {
		t.Errorf("user %s", *hello.UserID)
	}
}

// A token for a path below the one that is called was accepted, so that one for
// a user's group could delete the user from every group. The audiences are
// compared as the service compares them.
func TestRESTAudiences(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	host := strings.TrimPrefix(srv.URL(), "http://")
	exp := time.Now().Add(time.Hour).Unix()
	for _, tt := range []struct {
		path, audience string // an audience without a scheme is a path on this server
		status         int
	}{
		{"users/a/groups", "users/a/groups", 204},
		{"users/a/groups", "users/a/groups/b", 401},
		{"users/a/groups", "users/a/groups/", 401},
		{"users/a/groups", "users/a/groups#b", 401},
		{"users/a/groups?api-version=2024-12-01", "users/a/groups", 204},
		{"users/a/groups?api-version=2024-12-01", "users/a/groups?api-version=2024-12-01", 204},
		{"users/a/groups?api-version=2024-12-01", "users/a/groups?api-version=2024-01-01", 401},
		{"users/a/groups", "users/a/groups?x=1", 401},
		{"users/a%20b/groups", "users/a%2520b/groups", 204}, // SDKs that escape a URL again
		{"users/a%20b/groups", "users/a b/groups", 204},
		{"users/a%20b/groups", "users/a%252520b/groups", 401},
		{"users/a/groups", "http://me@" + host + "/api/hubs/chat/users/a/groups", 401},
		{"users/a/groups", "http://" + host, 401},
		{"users/a/groups", "wss://" + host + "/api/hubs/chat/users/a/groups", 204},
	} {
		if !strings.Contains(tt.audience, "://") {
			tt.audience = srv.URL() + "/api/hubs/chat/" + tt.audience
		}
		bearer := handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, fmt.Sprintf(`{"aud":["api://x",%q],"exp":%d}`, tt.audience, exp))
		if a := raw(t, request{method: "DELETE"}, srv.URL()+"/api/hubs/chat/"+tt.path, bearer); a.status != tt.status {
			t.Errorf("%s with the audience %s: %d, want %d", tt.path, tt.audience, a.status, tt.status)
		}
	}
}

// The port of the scheme may be missing on either side.
func TestAudienceDefaultPort(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for _, tt := range []struct {
		host, audience string
		status         int
	}{
		{"localhost:80", "http://localhost", 200},
		{"localhost", "http://localhost:80", 200},
		{"localhost", "https://localhost", 200}, // a proxy ends TLS
		{"localhost:80", "https://localhost:443", 401},
		{"localhost:443", "https://localhost", 200},
		{"[::1]", "http://[::1]:80", 200},
		{"localhost", "http://localhost:81", 401},
	} {
		r := httptest.NewRequest(http.MethodPost, "/api/hubs/chat/:generateToken", nil)
		r.Host = tt.host
		r.Header.Set("Authorization", "Bearer "+serviceToken(t, emulator.DefaultAccessKey, tt.audience+r.URL.Path, time.Now().Add(time.Minute)))
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != tt.status {
			t.Errorf("host %s with the audience %s: %d, want %d", tt.host, tt.audience, w.Code, tt.status)
		}
	}
}

// The name of an authentication scheme has no case, and blanks follow it (RFC
// 9110, section 11). A bare token, or the credentials of another scheme, are no
// bearer token.
func TestAuthorizationSchemes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"open": {AllowAnonymous: true}}})
	compact := accessToken(t, srv, dialOptions{})
	service := serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/chat/:generateToken", time.Now().Add(time.Minute))
	for scheme, ok := range map[string]bool{
		"Bearer ": true, "bearer ": true, "BEARER    ": true, "": false, "Basic ": false, "Bearer": false, "Token ": false,
	} {
		ws, _, err := websocket.DefaultDialer.Dial(srv.ClientURL(hubName), http.Header{"Authorization": {scheme + compact}})
		if err == nil {
			_ = ws.Close()
		}
		if (err == nil) != ok {
			t.Errorf("client with %q: %v", scheme, err)
		}
		a := raw(t, request{method: "POST", header: http.Header{"Authorization": {scheme + service}}}, srv.URL()+"/api/hubs/chat/:generateToken", "")
		if (a.status == 200) != ok {
			t.Errorf("REST with %q: %d", scheme, a.status)
		}
	}
	// A password for a proxy is no access token.
	ws, _, err := websocket.DefaultDialer.Dial(srv.ClientURL("open"), http.Header{"Authorization": {"Basic YTpi"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = ws.Close()
	// Of two tokens it is not clear which one is meant.
	if _, resp, err := tryDial(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {compact, compact}}}); err == nil || resp.StatusCode != 401 {
		t.Errorf("two tokens: %v", err)
	}
	// The names of parameters have no case.
	dial(t, srv, dialOptions{noToken: true, query: url.Values{"ACCESS_token": {compact}}})
}

// Users and roles are those that the .NET library of the service finds.
func TestClaimsByTheirDotNetNames(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for claims, user := range map[string]string{
		`"sub":5`:      "5",
		`"nameid":"n"`: "n",
		`"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier":"u"`: "u",
	} {
		for _, role := range []string{"role", "roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"} {
			claims := fmt.Sprintf(`{"aud":"%s/client/hubs/chat","exp":%d,%s,%q:["webpubsub.joinLeaveGroup"]}`, srv.URL(), time.Now().Add(time.Hour).Unix(), claims, role)
			c, hello := dialJSON(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, claims)}}})
			if hello.UserID == nil || *hello.UserID != user {
				t.Errorf("%s: user %v", claims, hello.UserID)
			}
			c.send(`{"type":"joinGroup","group":"g","ackId":1}`)
			c.expect(`{"type":"ack","ackId":1,"success":true}`)
		}
	}
	// An empty user id is none: no REST path can name it.
	claims := fmt.Sprintf(`{"aud":"%s/client/hubs/chat","exp":%d,"sub":""}`, srv.URL(), time.Now().Add(time.Hour).Unix())
	if _, hello := dialJSON(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, claims)}}}); hello.UserID != nil {
		t.Errorf("user %q", *hello.UserID)
	}
}

// A reconnection token is the service's own: no clock skew has to be allowed for,
// and the issuer counts.
func TestReconnectionTokens(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	const issuer = "https://webpubsub.azure.com"
	for name, tt := range map[string]struct {
		audience string // ID is the connection
		issuer   string
		expires  time.Duration
		ok       bool
	}{
		"good":           {`"ID"`, issuer, time.Minute, true},
		"in a list":      {`["x","ID"]`, issuer, time.Minute, true},
		"just expired":   {`"ID"`, issuer, -5 * time.Second, false},
		"another issuer": {`"ID"`, "https://example.com", time.Minute, false},
		"no issuer":      {`"ID"`, "", time.Minute, false},
		"another":        {`"x"`, issuer, time.Minute, false},
	} {
		_, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
		claims := fmt.Sprintf(`{"aud":%s,"iss":%q,"exp":%d}`, strings.ReplaceAll(tt.audience, "ID", hello.ConnectionID), tt.issuer, time.Now().Add(tt.expires).Unix())
		hello.ReconnectionToken = handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, claims)
		if !tt.ok {
			expectNotRecovered(t, srv, hello)
			continue
		}
		if c := dial(t, srv, recovery(hello)); c.ws.Subprotocol() != reliableProtocol {
			t.Errorf("%s: recovered with %q", name, c.ws.Subprotocol())
		} else {
			c.expectNothingElse()
		}
	}
}
