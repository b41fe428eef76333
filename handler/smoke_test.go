package handler_test

import (
	"context"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func TestSmoke(t *testing.T) {
	h, err := handler.New(handler.Options{ConnectionStrings: []string{handlertest.ConnectionString}})
	if err != nil {
		t.Fatal(err)
	}
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		var n int
		if _, err := e.State().Get("n", &n); err != nil {
			return webpubsub.Message{}, err
		}
		return webpubsub.Text("you said " + e.Message.String()), e.State().Set("n", n+1)
	})
	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), nil))
	if got := res.Message().String(); res.Status != 200 || got != "you said hi" {
		t.Fatalf("%d %q", res.Status, got)
	}
	if s, ok := res.State(); !ok || string(s["n"]) != "1" {
		t.Fatalf("state %v", s)
	}
	if res := handlertest.Do(h, handlertest.Preflight()); res.Status != 200 || res.Header.Get("WebHook-Allowed-Origin") != "localhost" {
		t.Fatalf("preflight %d %v", res.Status, res.Header)
	}
	if res := handlertest.Do(h, handlertest.Connect("chat", "conn1", nil)); res.Status != 204 {
		t.Fatalf("connect %d %s", res.Status, res.Body)
	}
}
