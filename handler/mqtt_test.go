package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func mqttOptions(version int) *handlertest.Options {
	return &handlertest.Options{
		PhysicalConnectionID: "phys1",
		Subprotocols:         []string{"mqtt"},
		MQTTConnect: &handler.MQTTConnect{
			ProtocolVersion: version,
			CleanStart:      true,
			Username:        "username",
			Password:        []byte("password"),
			UserProperties:  []handler.MQTTUserProperty{{Name: "a", Value: "b"}},
		},
	}
}

func TestMQTTConnect(t *testing.T) {
	for _, version := range []int{4, 5} {
		h, _ := newHandler(t, nil)
		o := mqttOptions(version)
		h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
			if !r.IsMQTT() || r.PhysicalConnectionID != "phys1" || r.Subprotocol != "mqtt" ||
				r.Source != "/hubs/chat/client/client1/phys1" || !reflect.DeepEqual(r.MQTT, o.MQTTConnect) {
				t.Errorf("request %+v, mqtt %+v", r.Event, r.MQTT)
			}
			return &handler.ConnectResponse{
				UserID: "userId", Groups: []string{"group1", "group2"}, Subprotocol: "mqtt",
				Roles: []string{"webpubsub.joinLeaveGroup"},
				MQTT:  &handler.MQTTConnectResponse{UserProperties: []handler.MQTTUserProperty{{Name: "a", Value: "b"}}},
			}, nil
		})
		res := handlertest.Do(h, handlertest.Connect("chat", "client1", o))
		wantStatus(t, res, 200)
		// The body of the .NET library's test, with the keys in order.
		const want = `{"groups":["group1","group2"],"mqtt":{"userProperties":[{"name":"a","value":"b"}]},"roles":["webpubsub.joinLeaveGroup"],"subprotocol":"mqtt","userId":"userId"}`
		if string(res.Body) != want {
			t.Errorf("body %s", res.Body)
		}
	}
}

// Properties that the client did not send come as null.
func TestMQTTConnectNull(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if r.MQTT == nil || r.MQTT.ProtocolVersion != 4 || r.MQTT.Username != "" || r.MQTT.Password != nil {
			t.Errorf("mqtt %+v", r.MQTT)
		}
		return nil, nil
	})
	r := rawConnect(`{"mqtt":{"protocolVersion":4,"username":null,"password":null,"userProperties":null}}`, mqttOptions(4))
	wantStatus(t, handlertest.Do(h, r), 204)
}

func TestMQTTConnectRejected(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version int
		err     error
		status  int
		body    string
	}{
		{"fail(400) on 3.1.1", 4, handler.Reject(400, ""), 400, `{"mqtt":{"code":4}}`},
		{"fail(400) on 5", 5, handler.Reject(400, "bad"), 400, `{"mqtt":{"code":134,"reason":"bad"}}`},
		{"401 on 3.1.1", 4, handler.Reject(401, "Auth failed"), 401, `{"mqtt":{"code":5,"reason":"Auth failed"}}`},
		{"401 on 5", 5, handler.Reject(401, "Auth failed"), 401, `{"mqtt":{"code":135,"reason":"Auth failed"}}`},
		{"403 on 3.1.1", 4, handler.Reject(403, ""), 403, `{"mqtt":{"code":5}}`},
		{"403 on 5", 5, handler.Reject(403, ""), 403, `{"mqtt":{"code":135}}`},
		{"429 on 3.1.1", 4, handler.Reject(429, ""), 429, `{"mqtt":{"code":3}}`},
		{"429 on 5", 5, handler.Reject(429, ""), 429, `{"mqtt":{"code":159}}`},
		{"500 on 3.1.1", 4, handler.Reject(500, ""), 500, `{"mqtt":{"code":3}}`},
		{"500 on 5", 5, handler.Reject(500, ""), 500, `{"mqtt":{"code":128}}`},
		{"503 on 5", 5, handler.Reject(503, ""), 503, `{"mqtt":{"code":136}}`},
		{"another version", 3, handler.Reject(401, ""), 401, `{"mqtt":{"code":1}}`},
		{"bad credentials on 3.1.1", 4, handler.RejectMQTT(handler.MQTT3BadUsernameOrPassword, "error message"), 401, `{"mqtt":{"code":4,"reason":"error message"}}`},
		{
			"bad credentials on 5", 5, handler.RejectMQTT(handler.MQTT5BadUserNameOrPassword, "error message", handler.MQTTUserProperty{Name: "a", Value: "b"}),
			401, `{"mqtt":{"code":134,"reason":"error message","userProperties":[{"name":"a","value":"b"}]}}`,
		},
		{"code and status", 5, &handler.RejectError{Status: 418, MQTTCode: handler.MQTT5Banned}, 418, `{"mqtt":{"code":138}}`},
		{"a code that does not exist", 5, handler.RejectMQTT(1000, ""), 500, `{"mqtt":{"code":1000}}`},
		{"any error", 5, errors.New("secret"), 500, `{"mqtt":{"code":128}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, nil)
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return nil, tt.err })
			res := handlertest.Do(h, handlertest.Connect("chat", "client1", mqttOptions(tt.version)))
			wantStatus(t, res, tt.status)
			if string(res.Body) != tt.body {
				t.Errorf("body %s, want %s", res.Body, tt.body)
			}
			if got := res.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestMQTTUserEvent(t *testing.T) {
	for _, contentType := range []string{"", "text/plain", "image/png", "application/cloudevents+json", "///", "not a type"} {
		h, _ := newHandler(t, nil)
		h.OnEvent("measure", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			want := []handler.MQTTUserProperty{{Name: "unit", Value: "K"}, {Name: "x", Value: "1"}, {Name: "x", Value: "2"}}
			if e.ContentType != contentType || e.MQTT == nil || !reflect.DeepEqual(e.MQTT.UserProperties, want) || e.SessionID != "s1" {
				t.Errorf("event %+v %+v", e, e.MQTT)
			}
			if known := contentType == "text/plain"; known != (e.Message.Type == webpubsub.DataTypeText) || string(e.Message.Data) != "273" {
				t.Errorf("message %v of type %s", e.Message.Data, e.Message.Type)
			}
			return &handler.EventResponse{Message: webpubsub.Binary([]byte{1}), MQTT: &handler.MQTTEventResponse{
				ContentType: "application/x-ack", UserProperties: []handler.MQTTUserProperty{{Name: "seen", Value: "yes"}},
			}}, nil
		})
		o := mqttOptions(5)
		o.SessionID = "s1"
		o.MQTTProperties = []handler.MQTTUserProperty{{Name: "Unit", Value: "K"}, {Name: "x", Value: "1"}, {Name: "x", Value: "2"}}
		r := handlertest.UserEvent("chat", "client 1/%zz", "measure", webpubsub.Text("273"), o)
		r.Header.Set("Content-Type", contentType)
		res := handlertest.Do(h, r)
		wantStatus(t, res, 200)
		if res.Header.Get("Content-Type") != "application/x-ack" || res.Header.Get("mqtt-seen") != "yes" {
			t.Errorf("reply %v", res.Header)
		}
	}
}

func TestInvalidMQTTEventResponse(t *testing.T) {
	for name, mqtt := range map[string]handler.MQTTEventResponse{
		"content type": {ContentType: "a\r\nb: c"},
		"name":         {UserProperties: []handler.MQTTUserProperty{{Name: "a b", Value: ""}}},
		"value":        {UserProperties: []handler.MQTTUserProperty{{Name: "a", Value: "\n"}}},
		// The Azure Functions host turns a response header that is not ASCII into a
		// 500, after the callback has run.
		"not ASCII": {UserProperties: []handler.MQTTUserProperty{{Name: "a", Value: "ü"}}},
	} {
		h, _ := newHandler(t, nil)
		h.OnEvent("e", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: webpubsub.Text("x"), MQTT: &mqtt}, nil
		})
		if res := handlertest.Do(h, handlertest.UserEvent("chat", "c", "e", webpubsub.Text(""), mqttOptions(5))); res.Status != 500 {
			t.Errorf("%s: status %d", name, res.Status)
		}
		// A WebSocket client has no use for it.
		if res := handlertest.Do(h, handlertest.UserEvent("chat", "c", "e", webpubsub.Text(""), nil)); res.Status != 200 {
			t.Errorf("%s of a WebSocket client: status %d", name, res.Status)
		}
	}
}

func TestMQTTDisconnected(t *testing.T) {
	for _, body := range []string{
		`{"reason":"bye","mqtt":{"initiatedByClient":true,"disconnectPacket":{"code":4,"userProperties":null}}}`,
		`{"reason":null,"mqtt":{"initiatedByClient":false,"disconnectPacket":null}}`,
	} {
		var want struct {
			Reason string
			MQTT   *handler.MQTTDisconnect
		}
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatal(err)
		}
		h, _ := newHandler(t, nil)
		called := false
		h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
			called = true
			if e.Reason != want.Reason || !reflect.DeepEqual(e.MQTT, want.MQTT) || e.SessionID != "s1" {
				t.Errorf("%+v", e)
			}
			return nil
		})
		o := mqttOptions(5)
		o.SessionID = "s1"
		res := handlertest.Do(h, withBody(handlertest.Disconnected("chat", "c", "", o), body))
		wantStatus(t, res, 204)
		if !called {
			t.Error("not called")
		}
	}
}
