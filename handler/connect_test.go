package handler_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// rawConnect is a connect event with a body as it is on the wire.
func rawConnect(body string, o *handlertest.Options) *http.Request {
	r := handlertest.Connect("chat", "conn1", o)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}

func TestConnectRequest(t *testing.T) {
	h, _ := newHandler(t, nil)
	var got *handler.ConnectRequest
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		got = r
		return nil, nil
	})
	r := rawConnect(`{
		"claims": {
			"exp": ["1629186974"],
			"role": ["a", "b"],
			"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier": ["alice"]
		},
		"query": {"id": ["1", "2"], "Access_Token": ["eyJsecret"]},
		"headers": {"user-agent": ["x"], "Cookie": ["a=1"], "cookie": ["b=2"]},
		"subprotocols": ["protocol1", "protocol2"],
		"clientCertificates": [{"thumbprint": "AB12", "content": "-----BEGIN"}],
		"unknown": {"field": 1}
	}`, &handlertest.Options{UserID: "ünï", ID: "0"})
	r.Header.Set("Content-Type", "application/json") // as the emulator sends it
	res := handlertest.Do(h, r)
	wantStatus(t, res, 204)

	if got.UserID != "ünï" || got.Hub != "chat" || got.ConnectionID != "conn1" || got.Name != "connect" ||
		got.Type != "azure.webpubsub.sys.connect" || got.ID != "0" || got.Origin != "localhost" ||
		got.Source != "/hubs/chat/client/conn1" || !got.Time.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("event %+v", got.Event)
	}
	if got.IsMQTT() || got.MQTT != nil {
		t.Error("taken for MQTT")
	}
	if got.Claims.Get("sub") != "alice" || got.Claims.Get("exp") != "1629186974" || got.Claims.Get("nope") != "" ||
		len(got.Claims.Values("role")) != 2 {
		t.Errorf("claims %v", got.Claims)
	}
	if got.Query.Get("id") != "1" || len(got.Query) != 1 {
		t.Errorf("query %v: the token must not show up", got.Query)
	}
	if got.Headers.Get("User-Agent") != "x" || len(got.Headers.Values("Cookie")) != 2 {
		t.Errorf("headers %v", got.Headers)
	}
	if !reflect.DeepEqual(got.Subprotocols, []string{"protocol1", "protocol2"}) {
		t.Errorf("subprotocols %v", got.Subprotocols)
	}
	if len(got.ClientCertificates) != 1 || got.ClientCertificates[0].Thumbprint != "AB12" {
		t.Errorf("certificates %v", got.ClientCertificates)
	}
	if _, err := got.ClientCertificates[0].Parse(); err == nil {
		t.Error("a damaged certificate was parsed")
	}
	if got.RequestHeader().Get("WebHook-Request-Origin") != "localhost" {
		t.Error("no request header")
	}
}

func TestConnectBodies(t *testing.T) {
	for body, want := range map[string]int{
		`{}`:                                  204,
		`null`:                                204,
		`{"claims":null}`:                     204,
		``:                                    400,
		`{`:                                   400,
		`[]`:                                  400,
		`{"claims":{"a":"text"}}`:             400,
		`{"subprotocols":"x"}`:                400,
		`{"query":[]}`:                        400,
		strings.Repeat("[", 20000):            400,
		`{"mqtt":{"password":"not base64!"}}`: 400,
	} {
		h, _ := newHandler(t, nil)
		h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return nil, nil })
		res := handlertest.Do(h, rawConnect(body, nil))
		if res.Status != want {
			t.Errorf("%.40s: status %d, want %d", body, res.Status, want)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	// The service ends lines with CR LF.
	content := strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "\n", "\r\n")
	cert, err := handler.ClientCertificate{Content: content}.Parse()
	if err != nil || cert.Subject.CommonName != "alice" {
		t.Errorf("%v, %v", cert, err)
	}
}

// The service treats the fields differently: a user can be replaced or removed,
// groups can only be replaced, roles can be replaced or removed. What is omitted
// keeps the value of the token.
func TestConnectResponses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		give   *handler.ConnectResponse
		status int
		body   string
	}{
		{"nil", nil, 204, ``},
		{"zero", &handler.ConnectResponse{}, 204, ``},
		{"user", &handler.ConnectResponse{UserID: "testuser"}, 200, `{"userId":"testuser"}`},
		{"no user", &handler.ConnectResponse{Anonymous: true}, 200, `{"userId":""}`},
		{"groups", &handler.ConnectResponse{Groups: []string{"a", "b"}}, 200, `{"groups":["a","b"]}`},
		{"empty groups keep the token's", &handler.ConnectResponse{Groups: []string{}}, 204, ``},
		{"roles", &handler.ConnectResponse{Roles: []string{webpubsub.RoleSendToAnyGroup}}, 200, `{"roles":["webpubsub.sendToGroup"]}`},
		{"empty roles remove all", &handler.ConnectResponse{Roles: []string{}}, 200, `{"roles":[]}`},
		{"nil roles keep the token's", &handler.ConnectResponse{Roles: nil}, 204, ``},
		{"subprotocol", &handler.ConnectResponse{Subprotocol: "protocol2"}, 200, `{"subprotocol":"protocol2"}`},
		{"HTML is not escaped", &handler.ConnectResponse{UserID: "<a&b>"}, 200, `{"userId":"<a&b>"}`},
		{"all", &handler.ConnectResponse{UserID: "u", Groups: []string{"g"}, Roles: []string{"r"}, Subprotocol: "protocol1"}, 200, `{"groups":["g"],"roles":["r"],"subprotocol":"protocol1","userId":"u"}`},
		{"MQTT is omitted for WebSocket", &handler.ConnectResponse{MQTT: &handler.MQTTConnectResponse{}}, 204, ``},

		{"user and none", &handler.ConnectResponse{Anonymous: true, UserID: "u"}, 500, `Internal Server Error`},
		{"subprotocol not offered", &handler.ConnectResponse{Subprotocol: "other"}, 500, `Internal Server Error`},
		{"blank subprotocol", &handler.ConnectResponse{Subprotocol: " "}, 500, `Internal Server Error`},
		{"MQTT subprotocol for WebSocket", &handler.ConnectResponse{Subprotocol: "mqtt"}, 500, `Internal Server Error`},
		{"empty group", &handler.ConnectResponse{Groups: []string{""}}, 500, `Internal Server Error`},
		{"empty role", &handler.ConnectResponse{Roles: []string{""}}, 500, `Internal Server Error`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, nil)
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return tt.give, nil })
			res := handlertest.Do(h, handlertest.Connect("chat", "conn1", &handlertest.Options{Subprotocols: []string{"protocol1", "protocol2"}}))
			wantStatus(t, res, tt.status)
			if string(res.Body) != tt.body {
				t.Errorf("body %s, want %s", res.Body, tt.body)
			}
			if tt.status == 200 && res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("content type %q", res.Header.Get("Content-Type"))
			}
			if tt.status == 500 && !strings.Contains(log.String(), "ConnectResponse.") {
				t.Errorf("the log does not name the field: %s", log)
			}
		})
	}
}

func TestConnectErrors(t *testing.T) {
	cause := errors.New("database password wrong")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"reject", handler.Reject(401, "sign in first"), 401, "sign in first"},
		{"reject without reason", handler.Reject(429, ""), 429, ""},
		{"wrapped", errors.Join(cause, handler.Reject(403, "no")), 403, "no"},
		{"with cause", &handler.RejectError{Status: 400, Reason: "bad", Err: cause}, 400, "bad"},
		{"a success status is 500", handler.Reject(200, "x"), 500, "x"},
		{"a redirect status is 500", handler.Reject(302, "x"), 500, "x"},
		{"MQTT code for WebSocket", handler.RejectMQTT(handler.MQTT5Banned, "banned"), 403, "banned"},
		{"any error", cause, 500, "Internal Server Error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, nil)
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
				return &handler.ConnectResponse{UserID: "u", State: map[string]any{"k": 1}}, tt.err
			})
			res := handlertest.Do(h, handlertest.Connect("chat", "conn1", nil))
			wantStatus(t, res, tt.status)
			if string(res.Body) != tt.body {
				t.Errorf("body %q, want %q", res.Body, tt.body)
			}
			if _, ok := res.State(); ok || res.Header.Get("ce-connectionState") != "" {
				t.Error("a rejection changed the state")
			}
			if errors.Is(tt.err, cause) && !strings.Contains(log.String(), cause.Error()) {
				t.Errorf("the cause was not logged: %s", log)
			}
		})
	}
}

// Without a callback every connection is accepted, as in the official libraries.
func TestConnectWithoutCallback(t *testing.T) {
	h, _ := newHandler(t, nil)
	wantStatus(t, handlertest.Do(h, handlertest.Connect("chat", "conn1", nil)), 204)
	wantStatus(t, handlertest.Do(h, handlertest.Connect("chat", "conn1", &handlertest.Options{PhysicalConnectionID: "p"})), 204)
}

// A group tenant/1 works as long as clients join it and publish to it; the REST
// call that sends to it succeeds and reaches nobody. The log names the mistake when
// the connection is accepted.
func TestUnaddressableNames(t *testing.T) {
	for _, tt := range []struct {
		name string
		give *handler.ConnectResponse
		want []string
	}{
		{"none", nil, nil},
		{"good names", &handler.ConnectResponse{UserID: "a.b", Groups: []string{"a%2Fb"}, Roles: []string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroups.a.*"}}, nil},
		{"user", &handler.ConnectResponse{UserID: "a/b"}, []string{"user ID", "a/b", "FilterUsers"}},
		{"group", &handler.ConnectResponse{Groups: []string{"g", "tenant/1"}}, []string{"group", "tenant/1", "FilterGroup"}},
		{"dots", &handler.ConnectResponse{Groups: []string{".."}}, []string{"group", ".."}},
		{"role", &handler.ConnectResponse{Roles: []string{"webpubsub.sendToGroup.tenant/1"}}, []string{"role", "tenant/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, log := newHandler(t, nil)
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
				return tt.give, nil
			})
			if res := handlertest.Do(h, handlertest.Connect("chat", "conn1", nil)); !res.OK() {
				t.Errorf("status %d", res.Status)
			}
			if got := strings.Contains(log.String(), "level=WARN"); got != (tt.want != nil) {
				t.Errorf("log: %s", log)
			}
			for _, want := range tt.want {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q: %s", want, log)
				}
			}
		})
	}
}
