package upstream_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub/internal/upstream"
)

func TestConnectRequestJSON(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    upstream.ConnectRequest
		want string
	}{
		{
			"nothing is null",
			upstream.ConnectRequest{Query: url.Values{"flag": nil}},
			`{"claims":{},"query":{"flag":[]},"headers":{},"subprotocols":[],"clientCertificates":[]}`,
		},
		{
			"secrets stay out",
			upstream.ConnectRequest{
				Claims:  map[string][]string{"sub": {"alice"}},
				Query:   url.Values{"access_token": {"s"}, "Access_Token": {"s"}, "room": {"1", "2"}},
				Headers: http.Header{"Authorization": {"s"}, "authorization": {"s"}, "X-Asrs-Internal-Id": {"s"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"::1"}},

				Subprotocols: []string{"json.webpubsub.azure.v1", "custom"},
			},
			`{"claims":{"sub":["alice"]},"query":{"room":["1","2"]},"headers":{"Cookie":["a=b"],"X-Forwarded-For":["::1"]},"subprotocols":["json.webpubsub.azure.v1","custom"],"clientCertificates":[]}`,
		},
		{
			"certificate",
			upstream.ConnectRequest{ClientCertificates: []upstream.Certificate{{Thumbprint: "AB12", Content: "-----BEGIN CERTIFICATE-----\r\n"}}},
			`{"claims":{},"query":{},"headers":{},"subprotocols":[],"clientCertificates":[{"thumbprint":"AB12","content":"-----BEGIN CERTIFICATE-----\r\n"}]}`,
		},
		{
			"MQTT",
			upstream.ConnectRequest{MQTT: &upstream.MQTTConnect{
				ProtocolVersion: 5, Username: new("u"), Password: []byte("p"),
				UserProperties: []upstream.MQTTProperty{{Name: "a", Value: "b"}},
			}},
			`{"claims":{},"query":{},"headers":{},"subprotocols":[],"clientCertificates":[],"mqtt":{"protocolVersion":5,"cleanStart":false,"username":"u","password":"cA==","userProperties":[{"name":"a","value":"b"}]}}`,
		},
		{
			"MQTT without anything",
			upstream.ConnectRequest{MQTT: &upstream.MQTTConnect{ProtocolVersion: 4, CleanStart: true}},
			`{"claims":{},"query":{},"headers":{},"subprotocols":[],"clientCertificates":[],"mqtt":{"protocolVersion":4,"cleanStart":true,"username":null,"password":null,"userProperties":null}}`,
		},
	} {
		got, err := json.Marshal(tt.r)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s:\n%s, %v\nwant\n%s", tt.name, got, err, tt.want)
		}
	}
}

func TestParseConnectResponse(t *testing.T) {
	type res = upstream.ConnectResponse
	for _, tt := range []struct {
		body string
		want res
		err  string
	}{
		{body: ""},
		{body: " \r\n"},
		{body: "null"},
		{body: "{}"},
		{body: `{"userId":null,"groups":null,"roles":null,"subprotocol":null,"mqtt":null}`},
		{body: `{"userId":"bob"}`, want: res{UserID: new("bob")}},
		{body: `{"userId":""}`, want: res{UserID: new("")}}, // takes the user away
		{body: `{"groups":["a","b"]}`, want: res{Groups: []string{"a", "b"}}},
		{body: `{"groups":[]}`}, // keeps the groups of the token
		{body: `{"roles":["webpubsub.sendToGroup"]}`, want: res{Roles: &[]string{"webpubsub.sendToGroup"}}},
		{body: `{"roles":[]}`, want: res{Roles: &[]string{}}}, // takes all roles away
		{body: `{"subprotocol":"custom"}`, want: res{Subprotocol: "custom"}},
		{body: `{"mqtt":{"userProperties":[{"name":"a","value":"b"}]}}`, want: res{MQTTProperties: []upstream.MQTTProperty{{Name: "a", Value: "b"}}}},
		{body: `{"states":{"a":1},"other":[null]}`}, // not fields of the service
		{body: `{"groups":["a",null]}`, err: "null among its groups"},
		{body: `{"groups":[""]}`, err: "Invalid group name"},
		{body: `{"roles":[null]}`, err: "null among its roles"},
		{body: `{"userId":5}`, err: "cannot be read"},
		{body: `{"groups":"a"}`, err: "cannot be read"},
		{body: `[]`, err: "cannot be read"},
		{body: `"bob"`, err: "cannot be read"},
		{body: `{"userId":"bob"`, err: "respond with 204, or with 200 and an object"},
		{body: `{} {}`, err: "cannot be read"},
		{body: `<html>`, err: "cannot be read"},
	} {
		got, err := upstream.ParseConnectResponse([]byte(tt.body))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want an error with %q", tt.body, err, tt.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", tt.body, got, err, tt.want)
		}
	}
}

func FuzzParseConnectResponse(f *testing.F) {
	for _, s := range []string{
		"", "null", `{"userId":"","groups":["a"],"roles":[],"subprotocol":"x"}`,
		`{"groups":[null]}`, `{"roles":null,"mqtt":{"userProperties":[{}]}}`, `[`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := upstream.ParseConnectResponse(body)
		if err != nil {
			if !reflect.DeepEqual(got, upstream.ConnectResponse{}) {
				t.Errorf("an answer that is refused still says %+v", got)
			}
			return
		}
		for _, g := range got.Groups {
			if strings.TrimSpace(g) == "" {
				t.Errorf("group %q was let through", g)
			}
		}
		// What was understood can be written down and is understood again.
		again, err := json.Marshal(map[string]any{"userId": got.UserID, "groups": got.Groups, "roles": got.Roles, "subprotocol": got.Subprotocol})
		if err != nil {
			t.Fatal(err)
		}
		second, err := upstream.ParseConnectResponse(again)
		got.MQTTProperties = nil
		if err != nil || !reflect.DeepEqual(got, second) {
			t.Errorf("%s became %+v, then %+v, %v", body, got, second, err)
		}
	})
}
