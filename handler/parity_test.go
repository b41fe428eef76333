package handler_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// TestParity restates the cases of the official libraries' own tests:
// web-pubsub-express for JavaScript, Microsoft.Azure.WebPubSub.AspNetCore and
// the Functions extension for .NET. Where the answer differs, the row says why.
// Bodies, states and payloads are compared in the tests of their own files.
func TestParity(t *testing.T) {
	connectWith := func(r *handler.ConnectResponse, err error) func(*handler.Handler) {
		return func(h *handler.Handler) {
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return r, err })
		}
	}
	answer := func(m webpubsub.Message, err error) func(*handler.Handler) {
		return func(h *handler.Handler) {
			h.OnEvent("message", func(context.Context, *handler.UserEvent) (webpubsub.Message, error) { return m, err })
		}
	}
	throws := func(h *handler.Handler) {
		onNotification(h, func(*handler.Event, string) error { return errors.New("thrown") })
	}
	nothing := func(*handler.Handler) {}
	ack := answer(webpubsub.Text("ACK"), nil)

	connect := func(o *handlertest.Options) *http.Request { return handlertest.Connect("hub1", "conn1", o) }
	user := func(change func(http.Header)) *http.Request {
		r := handlertest.UserEvent("hub1", "conn1", "message", webpubsub.Text("hello"), nil)
		if change != nil {
			change(r.Header)
		}
		return r
	}
	set := func(k, v string) func(http.Header) { return func(h http.Header) { h.Set(k, v) } }
	del := func(k string) func(http.Header) { return func(h http.Header) { h.Del(k) } }
	method := func(m string) *http.Request { r := user(nil); r.Method = m; return r }
	preflight := func(lines ...string) *http.Request { return handlertest.Preflight(lines...) }
	noMark := func(r *http.Request) *http.Request { r.Header.Del("ce-awpsversion"); return r }
	bare := func() *http.Request {
		r := user(nil)
		for k := range r.Header {
			if strings.HasPrefix(k, "Ce-") || strings.HasPrefix(k, "Webhook-") {
				delete(r.Header, k)
			}
		}
		return r
	}

	for _, tt := range []struct {
		library, name string
		register      func(*handler.Handler)
		request       *http.Request
		theirs, ours  int
		why           string
	}{
		{"express", "preflight without ce-awpsversion", nothing, noMark(preflight("localhost")), 404, 200, "the origin is what is asked about; the Functions extension does not need the header either"},
		{"express", "allowed endpoint", nothing, preflight("localhost"), 200, 200, ""},
		{"express", "endpoint not allowed", nothing, preflight("other.example"), 200, 400, "express lists its hosts and lets the service compare; no is said clearly, as before 1.0.5 and in .NET"},
		{"express", "preflight by GET", nothing, func() *http.Request { r := preflight("localhost"); r.Method = "GET"; return r }(), 404, 200, "the service falls back to GET"},
		{"express", "not a cloud event", nothing, bare(), 404, 401, "who sends no origin is not the service"},
		{"express", "hub does not match", nothing, handlertest.Connect("other", "conn1", nil), 404, 404, ""},
		{"express", "connect without handler", nothing, connect(nil), 200, 204, "both accept"},
		{"express", "MQTT connect without handler", nothing, connect(mqttOptions(4)), 204, 204, ""},
		{"express", "connect fail(400)", connectWith(nil, handler.Reject(400, "")), connect(nil), 400, 400, ""},
		{"express", "MQTT connect fail(400)", connectWith(nil, handler.Reject(400, "")), connect(mqttOptions(4)), 400, 400, ""},
		{"express", "MQTT failWith bad credentials", connectWith(nil, handler.RejectMQTT(handler.MQTT3BadUsernameOrPassword, "x")), connect(mqttOptions(4)), 401, 401, ""},
		{"express", "MQTT failWith code 401", connectWith(nil, handler.Reject(401, "Auth failed")), connect(mqttOptions(4)), 401, 401, ""},
		{"express", "connect success()", connectWith(nil, nil), connect(nil), 204, 204, ""},
		{"express", "connect success({userId})", connectWith(&handler.ConnectResponse{UserID: "u"}, nil), connect(nil), 200, 200, ""},
		{"express", "empty state header", connectWith(nil, nil), connect(&handlertest.Options{Header: http.Header{"Ce-Connectionstate": {""}}}), 204, 204, ""},
		{"express", "connected without handler", nothing, handlertest.Connected("hub1", "conn1", nil), 200, 204, "both are success"},
		{"express", "disconnected without handler", nothing, handlertest.Disconnected("hub1", "conn1", "", nil), 200, 204, "both are success"},
		{"express", "connected handler throws", throws, handlertest.Connected("hub1", "conn1", nil), 200, 500, "the service tells again after 5xx"},
		{"express", "disconnected handler throws", throws, handlertest.Disconnected("hub1", "conn1", "", nil), 200, 500, "the service tells again after 5xx"},
		{"express", "user event without handler", nothing, user(nil), 200, 404, "silence would hide a misspelt name"},
		{"express", "user event fail(500)", answer(webpubsub.Message{}, handler.Reject(500, "")), user(nil), 500, 500, ""},
		{"express", "user event success()", answer(webpubsub.Message{}, nil), user(nil), 200, 204, "both are no reply"},
		{"express", "user event success(text)", ack, user(nil), 200, 200, ""},
		{"express", "a user event called disconnected", func(h *handler.Handler) { h.OnEvent("disconnected", replyText("")) }, handlertest.UserEvent("hub1", "conn1", "disconnected", webpubsub.Text("x"), nil), 200, 204, "both are success"},
		{"express", "RFC 1123 time", ack, user(set("ce-time", "Thu, 05 Mar 2020 00:00:00 GMT")), 200, 200, ""},
		{"express", "ce-event instead of ce-eventName", ack, user(func(h http.Header) { h.Del("ce-eventName"); h.Set("ce-event", "message") }), 200, 200, ""},
		{"express", "group joined without handler", nothing, handlertest.GroupJoined("hub1", "conn1", "group1", nil), 200, 204, "both are success"},
		{"express", "group left of another hub", nothing, handlertest.GroupLeft("other", "conn1", "group1", nil), 404, 404, ""},

		{"AspNetCore", "abuse protection", nothing, preflight("localhost"), 200, 200, ""},
		{"AspNetCore", "abuse protection, two hosts", nothing, preflight("localhost, other.example"), 200, 200, ""},
		{"AspNetCore", "abuse protection, invalid", nothing, preflight("other.example"), 400, 400, ""},
		{"AspNetCore", "abuse protection, a URL", nothing, preflight("http://localhost"), 400, 400, ""},
		{"AspNetCore", "abuse protection, DELETE", nothing, method("DELETE"), 404, 405, "405 says which methods there are"},
		{"AspNetCore", "connect", connectWith(&handler.ConnectResponse{UserID: "testuser"}, nil), connect(nil), 200, 200, ""},
		{"AspNetCore", "default hub connect", nothing, connect(nil), 200, 204, "both accept"},
		{"AspNetCore", "message", ack, user(nil), 200, 200, ""},
		{"AspNetCore", "exception", answer(webpubsub.Message{}, errors.New("Test Exception")), user(nil), 500, 500, ""},
		{"AspNetCore", "unauthorized exception", answer(webpubsub.Message{}, handler.Reject(401, "Invalid user")), user(nil), 401, 401, ""},
		{"AspNetCore", "signature missing", ack, user(del("ce-signature")), 401, 401, ""},
		{"AspNetCore", "signature of key ccc", ack, user(set("ce-signature", handler.Signature("ccc", "conn1"))), 401, 401, ""},
		{"AspNetCore", "two signatures", ack, user(set("ce-signature", "sha256=0,"+handler.Signature(handlertest.AccessKey, "conn1"))), 200, 200, ""},

		{"Functions", "no user id", ack, user(del("ce-userId")), 200, 200, ""},
		{"Functions", "no matching trigger", nothing, user(nil), 404, 404, ""},
		{"Functions", "no matching trigger, bad signature", nothing, user(set("ce-signature", "x")), 404, 401, "a stranger does not learn what is registered"},
		{"Functions", "bad signature", ack, user(set("ce-signature", "x")), 401, 401, ""},
		{"Functions", "DELETE", ack, method("DELETE"), 400, 405, "405 says which methods there are"},
		{"Functions", "several origins", ack, user(set("WebHook-Request-Origin", "other.example, localhost")), 200, 200, ""},
		{"Functions", "missing origin", ack, user(del("WebHook-Request-Origin")), 401, 401, ""},
		{"Functions", "application/xml", ack, user(set("Content-Type", "application/xml")), 400, 415, "415 says what is wrong"},
		{"Functions", "missing connection id", ack, user(del("ce-connectionId")), 400, 400, ""},
		{"Functions", "disconnected without reason", nothing, withBody(handlertest.Disconnected("hub1", "conn1", "", nil), "{}"), 500, 204, "nothing is lost without a reason"},
		{"Functions", "without ce-awpsversion", ack, user(del("ce-awpsversion")), 200, 200, ""},
	} {
		t.Run(tt.library+"/"+tt.name, func(t *testing.T) {
			if (tt.theirs != tt.ours) != (tt.why != "") {
				t.Error("a difference needs its reason, and only a difference does")
			}
			h, _ := newHandler(t, func(o *handler.Options) { o.Hubs = []string{"HUB1"} })
			tt.register(h)
			wantStatus(t, handlertest.Do(h, tt.request), tt.ours)
		})
	}
}

// Many requests at once, for the race detector.
func TestConcurrent(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) {
		o.AccessKeys = []string{"second"}
		o.Dedup = &handler.DedupOptions{MaxReplies: 10}
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		return webpubsub.Text(e.ConnectionID), e.State().Set("id", e.ID)
	})
	done := make(chan bool)
	for _, conn := range []string{"a", "b", "c", "d"} {
		go func() {
			defer func() { done <- true }()
			for i := range 200 {
				key := []string{handlertest.AccessKey, "second"}[i%2]
				r := handlertest.UserEvent("chat", conn, "message", webpubsub.Text("x"), &handlertest.Options{ID: string(rune('0' + i%20)), AccessKeys: []string{key}})
				if got := string(handlertest.Do(h, r).Body); got != conn {
					t.Errorf("connection %s got the answer of %s", conn, got)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
