package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/service"
)

// The service client implements Sender.
var _ handler.Sender = (*service.Client)(nil)

// TestDelivery delivers events of the emulator to a handler over HTTP: preflight,
// signatures, connection state, retries.
func TestDelivery(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if r.Query.Get("ban") != "" {
			return nil, handler.Reject(403, "no")
		}
		if r.Claims.Get("sub") != "alice" {
			t.Errorf("claims %v", r.Claims)
		}
		return &handler.ConnectResponse{UserID: "ünï", Roles: []string{}, State: map[string]any{"n": 1}}, nil
	})
	failures := 2
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		if failures > 0 {
			failures--
			return nil, errors.New("not yet")
		}
		n, err := handler.StateValue[int](e.State(), "n")
		if err != nil {
			return nil, err
		}
		m := webpubsub.MustJSON(map[string]any{"from": e.UserID, "n": n, "text": e.Message.String()})
		return &handler.EventResponse{Message: m.WithMetadata("Kind", e.Message.Metadata["kind"]), State: map[string]any{"n": n + 1}}, nil
	})
	joined := ""
	h.OnGroupJoined(func(_ context.Context, e *handler.GroupEvent) error { joined = e.Group; return nil })

	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, lines := range []bool{false, true} {
		failures = 2
		d := upstream.New(upstream.Options{
			Keys: []string{"the other key", handlertest.AccessKey}, SignatureLines: lines,
			Client: srv.Client(),
			Sleep:  func(context.Context, time.Duration) error { return nil },
		})
		handlers := []upstream.Handler{{
			URL: srv.URL + "/api/{hub}/{event}?code=k", UserEvents: "*",
			SystemEvents: []string{"connect", "connected", "disconnected"}, GroupEvents: []string{"joined", "left"},
		}}
		id := "c1"
		if lines {
			id = "c2"
		}
		deliver := func(e upstream.Event) (upstream.Response, error) {
			e.Hub, e.ConnectionID = "chat", id
			return d.Deliver(t.Context(), handlers, e)
		}
		connect := func(query map[string][]string) (upstream.Response, error) {
			body, err := json.Marshal(upstream.ConnectRequest{Claims: map[string][]string{"sub": {"alice"}}, Query: query})
			must(t, err)
			return deliver(upstream.Event{Kind: upstream.Connect, UserID: "alice", Body: body})
		}
		var status *upstream.StatusError
		if _, err := connect(map[string][]string{"ban": {"1"}}); !errors.As(err, &status) {
			t.Errorf("rejected connection: %v", err)
		}
		res, err := connect(map[string][]string{"access_token": {"eyJ"}})
		must(t, err)
		accepted, err := upstream.ParseConnectResponse(res.Body)
		must(t, err)
		if accepted.UserID == nil || *accepted.UserID != "ünï" || accepted.Roles == nil || res.State == nil {
			t.Fatalf("accepted %+v, state %v", accepted, res.State)
		}

		// The service retries two failures, and the third attempt succeeds.
		event := upstream.Event{
			Kind: upstream.User, Name: "message", ID: 2, UserID: "ünï", State: res.State,
			ContentType: "text/plain", Body: []byte("hi"), Metadata: map[string]string{"Kind": "greeting"},
		}
		res, err = deliver(event)
		must(t, err)
		m, err := res.Message()
		must(t, err)
		if m.String() != `{"from":"ünï","n":1,"text":"hi"}` || m.Type != webpubsub.DataTypeJSON || m.Metadata["kind"] != "greeting" {
			t.Errorf("reply %s %v", m, m.Metadata)
		}
		if res.State == nil || *res.State != b64(`{"n":2}`) {
			t.Errorf("state %v", res.State)
		}
		// The same event again, as after a lost response.
		again, err := deliver(event)
		must(t, err)
		if string(again.Body) != string(res.Body) || *again.State != *res.State {
			t.Errorf("retry: %s", again.Body)
		}
		for _, e := range []upstream.Event{
			{Kind: upstream.Connected, ID: 1},
			{Kind: upstream.GroupJoined, ID: 3, Group: "news"},
			{Kind: upstream.GroupLeft, ID: 4, Group: "news"},
			{Kind: upstream.Disconnected, ID: 5},
		} {
			if _, err := deliver(e); err != nil {
				t.Errorf("%v: %v", e.Kind, err)
			}
		}
		if joined != "news" {
			t.Errorf("joined %q", joined)
		}
		d.Close()
	}
}
