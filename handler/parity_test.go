package handler_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/webhook"
)

// TestParity restates the cases of the tests of Microsoft.Azure.WebPubSub.AspNetCore
// and of the Functions extension, with the responses that these expect. If ours
// differs, the row contains the reason. The responses of web-pubsub-express are
// compared with the package itself, in interop.
func TestParity(t *testing.T) {
	connectWith := func(r *handler.ConnectResponse, err error) func(*handler.Handler) {
		return func(h *handler.Handler) {
			h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return r, err })
		}
	}
	respond := func(m webpubsub.Message, err error) func(*handler.Handler) {
		return func(h *handler.Handler) {
			h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { return reply(m), err })
		}
	}
	nothing := func(*handler.Handler) {}
	ack := respond(webpubsub.Text("ACK"), nil)

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
	preflight := handlertest.ValidationRequest

	for _, tt := range []struct {
		library, name string
		register      func(*handler.Handler)
		request       *http.Request
		theirs, ours  int
		why           string
	}{
		{"AspNetCore", "abuse protection", nothing, preflight("localhost"), 200, 200, ""},
		{"AspNetCore", "abuse protection, two hosts", nothing, preflight("localhost, other.example"), 200, 200, ""},
		{"AspNetCore", "abuse protection, invalid", nothing, preflight("other.example"), 400, 400, ""},
		{"AspNetCore", "abuse protection, a URL", nothing, preflight("http://localhost"), 400, 400, ""},
		{"AspNetCore", "abuse protection, DELETE", nothing, method("DELETE"), 404, 405, "405 lists the methods"},
		{"AspNetCore", "connect", connectWith(&handler.ConnectResponse{UserID: "testuser"}, nil), connect(nil), 200, 200, ""},
		{"AspNetCore", "default hub connect", nothing, connect(nil), 200, 204, "both accept"},
		{"AspNetCore", "message", ack, user(nil), 200, 200, ""},
		{"AspNetCore", "exception", respond(webpubsub.Message{}, errors.New("Test Exception")), user(nil), 500, 500, ""},
		{"AspNetCore", "unauthorized exception", respond(webpubsub.Message{}, handler.Reject(401, "Invalid user")), user(nil), 401, 401, ""},
		{"AspNetCore", "signature missing", ack, user(del("ce-signature")), 401, 401, ""},
		{"AspNetCore", "signature of key ccc", ack, user(set("ce-signature", webhook.Signature("ccc", "conn1"))), 401, 401, ""},
		{"AspNetCore", "two signatures", ack, user(set("ce-signature", "sha256=0,"+webhook.Signature(handlertest.AccessKey, "conn1"))), 200, 200, ""},

		{"Functions", "no user id", ack, user(del("ce-userId")), 200, 200, ""},
		{"Functions", "no matching trigger", nothing, user(nil), 404, 404, ""},
		{"Functions", "no matching trigger, bad signature", nothing, user(set("ce-signature", "x")), 404, 401, "an unauthenticated caller does not learn what is registered"},
		{"Functions", "bad signature", ack, user(set("ce-signature", "x")), 401, 401, ""},
		{"Functions", "DELETE", ack, method("DELETE"), 400, 405, "405 lists the methods"},
		{"Functions", "several origins", ack, user(set("WebHook-Request-Origin", "other.example, localhost")), 200, 200, ""},
		{"Functions", "missing origin", ack, user(del("WebHook-Request-Origin")), 401, 401, ""},
		{"Functions", "application/xml", ack, user(set("Content-Type", "application/xml")), 400, 415, "415 names the error"},
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
		o.Dedup = &handler.DedupOptions{MaxEntries: 10}
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text(e.ConnectionID), State: map[string]any{"id": e.ID}}, nil
	})
	done := make(chan bool)
	for _, conn := range []string{"a", "b", "c", "d"} {
		go func() {
			defer func() { done <- true }()
			for i := range 200 {
				key := []string{handlertest.AccessKey, "second"}[i%2]
				r := handlertest.UserEvent("chat", conn, "message", webpubsub.Text("x"), &handlertest.Options{ID: string(rune('0' + i%20)), AccessKeys: []string{key}})
				if got := string(handlertest.Do(h, r).Body); got != conn {
					t.Errorf("connection %s received the response of %s", conn, got)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
