package webapp_test

import (
	"context"
	"net/http"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/webapp"
)

// The route of the events is open to everybody, so each event is verified.
func TestEventsAreVerified(t *testing.T) {
	called := 0
	a, _ := newApp(t, nil)
	a.Events.OnConnected(func(context.Context, *handler.ConnectedEvent) error { called++; return nil })
	forged := by("alice")
	forged.AccessKeys = []string{"another key"}
	if res := handlertest.Do(a.Events, handlertest.Connected("chat", "c1", forged)); res.Status != http.StatusUnauthorized {
		t.Errorf("forged: status %d", res.Status)
	}
	if res := handlertest.Do(a.Events, handlertest.Connected("other", "c1", by("alice"))); res.Status != http.StatusNotFound {
		t.Errorf("other hub: status %d", res.Status)
	}
	if called > 0 {
		t.Error("the callback was called")
	}
	if res := handlertest.Do(a.Events, handlertest.Connected("chat", "c1", by("alice"))); !res.OK() || called != 1 {
		t.Errorf("genuine: status %d, %d calls", res.Status, called)
	}
}

// The secondary key of the resource signs as well, so that the primary one can
// be replaced.
func TestMoreAccessKeys(t *testing.T) {
	a, _ := newApp(t, func(c *webapp.Config) { c.AccessKeys = []string{"secondary"} })
	o := by("alice")
	o.AccessKeys = []string{"secondary"}
	if res := handlertest.Do(a.Events, handlertest.Connected("chat", "c1", o)); !res.OK() {
		t.Errorf("status %d", res.Status)
	}
}

// Event handler URLs are /api/events, or end in {event}.
func TestEventRoutes(t *testing.T) {
	a, _ := newApp(t, nil)
	for _, path := range []string{"/api/events", "/api/events/connect"} {
		o := by("alice")
		o.URL = path
		if res := handlertest.Do(a.Handler(), handlertest.Connect("chat", "c1", o)); !res.OK() {
			t.Errorf("%s: status %d", path, res.Status)
		}
	}
	r := handlertest.ValidationRequest(someOrigin)
	r.URL.Path = "/api/events/validate"
	if res := handlertest.Do(a.Handler(), r); !res.OK() || res.Header.Get("WebHook-Allowed-Origin") != someOrigin {
		t.Errorf("preflight: %d %v", res.Status, res.Header)
	}
}

func TestOnConnect(t *testing.T) {
	a, _ := newApp(t, nil)
	a.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{Groups: []string{"of " + r.UserID}}, nil
	})
	if res := handlertest.Do(a.Events, handlertest.Connect("chat", "c1", by("alice"))); res.Status != http.StatusOK || res.Accepted().Groups[0] != "of alice" {
		t.Errorf("alice: status %d: %s", res.Status, res.Body)
	}
	if res := handlertest.Do(a.Events, handlertest.Connect("chat", "c2", by(""))); res.Status != http.StatusUnauthorized {
		t.Errorf("nobody: status %d: %s", res.Status, res.Body)
	}
}

// The service retries an event if the response is lost. The callback runs once,
// and the client gets the reply that it missed.
func TestRetriedEvent(t *testing.T) {
	a, _ := newApp(t, nil)
	called := 0
	a.Events.OnEvent("count", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		called++
		return &handler.EventResponse{Message: webpubsub.MustJSON(called)}, nil
	})
	for range 2 {
		o := by("alice")
		o.ID = "7"
		if res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "count", webpubsub.Text(""), o)); string(res.Body) != "1" {
			t.Errorf("got %d %s", res.Status, res.Body)
		}
	}
}
