package handler_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// cloudEvent returns what CloudEvent makes of a user event.
func cloudEvent(t *testing.T, change func(*http.Request)) (string, error) {
	t.Helper()
	h, _ := newHandler(t, nil)
	var out string
	var fail error
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		ce, err := e.CloudEvent()
		fail = err
		if err == nil {
			b, err := json.Marshal(ce)
			must(t, err)
			out = string(b)
		}
		return nil, nil
	})
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.MustJSON(map[string]int{"a": 1}),
		&handlertest.Options{UserID: "ünï", State: map[string]any{"n": 1}})
	if change != nil {
		change(r)
	}
	wantStatus(t, handlertest.Do(h, r), 204)
	return out, fail
}

func TestCloudEvent(t *testing.T) {
	got, err := cloudEvent(t, nil)
	// No signature: the receiver of the event must not be able to forge others.
	const want = `{"specversion":"1.0","id":"1","source":"/hubs/chat/client/conn1","type":"azure.webpubsub.user.message",` +
		`"datacontenttype":"application/json","time":"2026-01-02T03:04:05Z","data":{"a":1},` +
		`"awpsversion":"1.0","connectionid":"conn1","connectionstate":"eyJuIjoxfQ==","eventname":"message","hub":"chat","userid":"ünï"}`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// What the CloudEvents SDK's own receiver fails or crashes on.
func TestCloudEventOddHeaders(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a header named ce-":   func(r *http.Request) { r.Header["Ce-"] = []string{"x"} },
		"an attribute with -":  func(r *http.Request) { r.Header.Set("ce-foo-bar", "x") },
		"a source with escape": func(r *http.Request) { r.Header.Set("ce-source", "/hubs/chat/client/my%zz") },
		"no time":              func(r *http.Request) { r.Header.Del("ce-time") },
		"content type of MQTT": func(r *http.Request) {
			r.Header.Set("ce-physicalConnectionId", "p")
			r.Header.Set("Content-Type", "///")
		},
		"empty body": func(r *http.Request) { withBody(r, "") },
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := cloudEvent(t, change); err != nil || got == "" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestCloudEventInvalid(t *testing.T) {
	for _, header := range []string{"ce-id", "ce-source"} {
		if _, err := cloudEvent(t, func(r *http.Request) { r.Header.Del(header) }); err == nil {
			t.Errorf("no error without %s", header)
		}
	}
}
