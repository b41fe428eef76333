package service_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

func TestClientAccessTokenFromKey(t *testing.T) {
	tests := []struct {
		name     string
		hub      string
		options  *service.GetClientAccessTokenOptions
		audience string
		expiry   time.Duration
	}{
		{"nil options", "chat", nil, "https://contoso.example/client/hubs/chat", time.Hour},
		{"zero options", "chat", &service.GetClientAccessTokenOptions{}, "https://contoso.example/client/hubs/chat", time.Hour},
		{"everything", "chat", &service.GetClientAccessTokenOptions{
			UserID: "alice ü", Roles: []string{webpubsub.RoleSendToAnyGroup, webpubsub.RoleJoinLeaveGroup("g")}, Groups: []string{"g", "h"}, Expiry: 90 * time.Second,
		}, "https://contoso.example/client/hubs/chat", 90 * time.Second},
		{"a moment", "chat", &service.GetClientAccessTokenOptions{Expiry: 1}, "https://contoso.example/client/hubs/chat", time.Second},
		{"longest", "chat", &service.GetClientAccessTokenOptions{Expiry: 1<<63 - 1}, "https://contoso.example/client/hubs/chat", 1<<63 - 1},
		{"MQTT", "chat", &service.GetClientAccessTokenOptions{Protocol: service.ClientProtocolMQTT}, "https://contoso.example/clients/mqtt/hubs/chat", time.Hour},
		{"Socket.IO", "chat", &service.GetClientAccessTokenOptions{Protocol: service.ClientProtocolSocketIO}, "https://contoso.example/clients/socketio/hubs/chat", time.Hour},
		{"odd hub", "a[b],c`d", nil, "https://contoso.example/client/hubs/a%5Bb%5D%2Cc%60d", time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := service.NewClientFromConnectionString("Endpoint=https://contoso.example/;AccessKey="+testKey+";Version=1.0;", tt.hub, &service.ClientOptions{
				ClientOptions: azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
					t.Errorf("request %s %s: a key needs none", r.Method, r.URL)
					return response(r, http.StatusInternalServerError), nil
				})},
			})
			if err != nil {
				t.Fatal(err)
			}
			before := time.Now().Truncate(time.Second)
			got, err := c.GetClientAccessToken(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			after := time.Now()
			base := "wss" + strings.TrimPrefix(tt.audience, "https")
			if got.BaseURL != base || got.URL != base+"?access_token="+got.Token {
				t.Errorf("URLs %s and %s", got.BaseURL, got.URL)
			}
			claims := verify(t, got.Token, testKey)
			o := tt.options
			if o == nil {
				o = &service.GetClientAccessTokenOptions{}
			}
			if claims.Audience != tt.audience || claims.UserID != o.UserID || !slices.Equal(claims.Roles, o.Roles) || !slices.Equal(claims.Groups, o.Groups) {
				t.Errorf("claims %v", claims.All)
			}
			if e := claims.Expires; e.Before(before.Add(tt.expiry)) || e.After(after.Add(tt.expiry).Add(time.Second)) {
				t.Errorf("expires %v after now, want %v", e.Sub(before), tt.expiry)
			}
			// A machine whose clock is fast must not make tokens that are not valid yet.
			for _, claim := range []string{"nbf", "iat"} {
				if v, ok := claims.All[claim]; ok {
					t.Errorf("claim %s is %v", claim, v)
				}
			}
		})
	}
}

// TestClientAccessTokenFromEntra tells the story of two defects of the official
// Go client: without options it crashed, and without an expiry it asked for a
// token of 0 minutes, which the service refuses.
func TestClientAccessTokenFromEntra(t *testing.T) {
	tests := []struct {
		name    string
		options *service.GetClientAccessTokenOptions
		query   string
		path    string
	}{
		{"nil options", nil, "minutesToExpire=60", "/client/hubs/chat"},
		{"zero options", &service.GetClientAccessTokenOptions{}, "minutesToExpire=60", "/client/hubs/chat"},
		{"everything", &service.GetClientAccessTokenOptions{
			UserID: "a b&c", Roles: []string{"r1", "r 2"}, Groups: []string{"g1", "g2"}, Expiry: 5 * time.Minute, Protocol: service.ClientProtocolMQTT,
		}, "clientType=mqtt&group=g1&group=g2&minutesToExpire=5&role=r1&role=r%202&userId=a%20b%26c", "/clients/mqtt/hubs/chat"},
		{"Socket.IO", &service.GetClientAccessTokenOptions{Protocol: service.ClientProtocolSocketIO}, "clientType=socketio&minutesToExpire=60", "/clients/socketio/hubs/chat"},
		{"part of a minute", &service.GetClientAccessTokenOptions{Expiry: time.Second}, "minutesToExpire=1", "/client/hubs/chat"},
		{"minute and a half", &service.GetClientAccessTokenOptions{Expiry: 90 * time.Second}, "minutesToExpire=2", "/client/hubs/chat"},
		{"longest", &service.GetClientAccessTokenOptions{Expiry: 1<<63 - 1}, "minutesToExpire=153722868", "/client/hubs/chat"},
	}
	srv := newCapture(t, true)
	srv.answer(http.StatusOK, `{"token":"from.the+service"}`)
	c := srv.entraClient(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.GetClientAccessToken(t.Context(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			r := srv.one(t)
			if want := "/api/hubs/chat/:generateToken?api-version=2024-12-01&" + tt.query; r.method != http.MethodPost || sortQuery(r.uri) != sortQuery(want) {
				t.Errorf("%s %s, want POST %s", r.method, r.uri, want)
			}
			base := "wss" + strings.TrimPrefix(srv.URL, "https") + tt.path
			if got.BaseURL != base || got.Token != "from.the+service" || got.URL != base+"?access_token=from.the%2Bservice" {
				t.Errorf("token %#v with %q", got, got.URL)
			}
		})
	}
}

// sortQuery makes two spellings of one URL comparable.
func sortQuery(uri string) string {
	path, query, _ := strings.Cut(uri, "?")
	parts := strings.Split(query, "&")
	slices.Sort(parts)
	return path + "?" + strings.Join(parts, "&")
}

func TestClientAccessTokenRefused(t *testing.T) {
	key := newCapture(t, false).keyClient(t, nil)
	srv := newCapture(t, true)
	entra := srv.entraClient(t, nil)
	tests := []struct {
		options service.GetClientAccessTokenOptions
		want    string
	}{
		{service.GetClientAccessTokenOptions{Expiry: -time.Second}, "negative"},
		{service.GetClientAccessTokenOptions{Protocol: "gopher"}, `unknown Protocol "gopher"`},
		{service.GetClientAccessTokenOptions{Groups: []string{"g", ""}}, "Invalid group name"},
		{service.GetClientAccessTokenOptions{Expiry: -1 << 63}, "negative"},
		{service.GetClientAccessTokenOptions{Roles: []string{""}}, "a role is empty"},
		// JSON would replace the bytes, and the client would be another user.
		{service.GetClientAccessTokenOptions{UserID: "al\xffice"}, "user ID is not UTF-8"},
		{service.GetClientAccessTokenOptions{Roles: []string{"webpubsub.sendToGroup.\xff"}}, "role is not UTF-8"},
		{service.GetClientAccessTokenOptions{Groups: []string{strings.Repeat("g", 1025)}}, "Invalid group name"},
	}
	for _, tt := range tests {
		for _, c := range []*service.Client{key, entra} {
			if _, err := c.GetClientAccessToken(t.Context(), &tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v: error %v", tt.options, err)
			}
		}
	}
	if r := srv.take(); len(r) > 0 {
		t.Errorf("requests were made: %v", r)
	}
	for body, want := range map[string]string{"{}": "has no token", "": "has no token", "{": "unmarshalling"} {
		srv.answer(http.StatusOK, body)
		if _, err := entra.GetClientAccessToken(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %q: error %v", body, err)
		}
	}
	for version, options := range map[string]service.GetClientAccessTokenOptions{
		"2021-10-01": {Groups: []string{"g"}}, "2023-07-01": {Protocol: service.ClientProtocolMQTT},
	} {
		srv.take()
		o := srv.options()
		o.APIVersion = version
		if _, err := srv.entraClient(t, o).GetClientAccessToken(t.Context(), &options); err == nil || len(srv.take()) > 0 {
			t.Errorf("%s: error %v", version, err)
		}
	}
}

// TestClientAccessTokenHides checks the one form that shows the token, JSON for
// the client, and that printing and logging do not.
func TestClientAccessTokenHides(t *testing.T) {
	token := service.ClientAccessToken{BaseURL: "wss://h/client/hubs/chat", URL: "wss://h/client/hubs/chat?access_token=secret", Token: "secret"}
	data, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"baseUrl":"wss://h/client/hubs/chat","url":"wss://h/client/hubs/chat?access_token=secret","accessToken":"secret"}`; string(data) != want {
		t.Errorf("JSON %s, want %s", data, want)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("token", "value", token, "pointer", &token)
	slog.New(slog.NewTextHandler(&log, nil)).Info("token", "value", token, "pointer", &token)
	fmt.Fprintf(&log, "%v %+v %s %#v %v", token, token, token, token, struct{ T service.ClientAccessToken }{token})
	if strings.Contains(log.String(), "secret") || strings.Count(log.String(), "access_token=REDACTED") != 9 {
		t.Errorf("printed as %s", log.String())
	}
}
