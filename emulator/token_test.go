package emulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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
	srv := emulator.Start(t, emulator.Options{SecondaryKey: "second"})
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
		"slash at the end":     {emulator.DefaultAccessKey, plain, aud(good + "/"), true},
		"another loopback":     {emulator.DefaultAccessKey, plain, aud("https://localhost" + port + "/client/hubs/chat"), true},
		"in a list":            {emulator.DefaultAccessKey, plain, fmt.Sprintf(`{"aud":[%q],"exp":%d}`, good, exp), true},
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
	srv := emulator.Start(t, emulator.Options{})
	claims := fmt.Sprintf(`{"aud":"%s/client/hubs/chat","exp":%d,"sub":"u","role":"webpubsub.sendToGroup","webpubsub.group":"g"}`, srv.URL(), time.Now().Add(time.Hour).Unix())
	c, hello := dialJSON(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {handMade(emulator.DefaultAccessKey, `{"alg":"HS256"}`, claims)}}})
	c.send(`{"type":"sendToGroup","group":"g","data":1}`)
	c.expect(`{"type":"message","from":"group","fromUserId":"u","group":"g","dataType":"json","data":1}`)
	if *hello.UserID != "u" {
		t.Errorf("user %s", *hello.UserID)
	}
}
