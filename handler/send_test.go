package handler_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// fakeSender records what is sent.
type fakeSender struct {
	name string
	sent []string
}

func (s *fakeSender) note(to string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	s.sent = append(s.sent, fmt.Sprint(s.name, " ", to, " ", m, " ", o != nil))
	return nil
}

func (s *fakeSender) SendToAll(_ context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return s.note("all", m, o)
}

func (s *fakeSender) SendToGroup(_ context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return s.note("group "+group, m, o)
}

func (s *fakeSender) SendToUser(_ context.Context, user string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return s.note("user "+user, m, o)
}

func (s *fakeSender) SendToConnection(_ context.Context, connection string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return s.note("connection "+connection, m, o)
}

func TestSend(t *testing.T) {
	all, news := &fakeSender{name: "default"}, &fakeSender{name: "news"}
	h, _ := newHandler(t, func(o *handler.Options) { o.Sender = all })
	h.Hub("News").SetSender(news)
	h.OnEvent("message", func(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		o := &webpubsub.SendOptions{Excluded: []string{e.ConnectionID}}
		return nil, errors.Join(
			e.SendToSender(ctx, webpubsub.Text("1"), nil),
			e.SendToAll(ctx, webpubsub.Text("2"), o),
			e.SendToGroup(ctx, "g", webpubsub.Text("3"), o),
			e.SendToUser(ctx, e.UserID, webpubsub.Text("4"), nil),
		)
	})
	for _, hub := range []string{"chat", "news"} {
		r := handlertest.UserEvent(hub, "conn1", "message", webpubsub.Text("x"), &handlertest.Options{UserID: "alice"})
		wantStatus(t, handlertest.Do(h, r), 204)
	}
	for _, s := range []*fakeSender{all, news} {
		want := fmt.Sprintf("[%[1]s connection conn1 1 false %[1]s all 2 true %[1]s group g 3 true %[1]s user alice 4 false]", s.name)
		if got := fmt.Sprint(s.sent); got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

func TestSendWithoutSender(t *testing.T) {
	var e handler.Event
	m := webpubsub.Text("x")
	for name, err := range map[string]error{
		"sender": e.SendToSender(t.Context(), m, nil),
		"all":    e.SendToAll(t.Context(), m, nil),
		"group":  e.SendToGroup(t.Context(), "g", m, nil),
		"user":   e.SendToUser(t.Context(), "u", m, nil),
	} {
		if !errors.Is(err, handler.ErrNoSender) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
