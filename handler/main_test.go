package handler_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHandler returns a handler for the connection of handlertest, and its log.
// It fails the test at the end if a secret was logged.
func newHandler(t testing.TB, change func(*handler.Options)) (*handler.Handler, *testlog.Buffer) {
	t.Helper()
	log := &testlog.Buffer{}
	o := handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		Logger:            slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	h, err := handler.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, secret := range []string{"sha256=", "Bearer", handlertest.AccessKey, "eyJ"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q was logged:\n%s", secret, log)
			}
		}
	})
	return h, log
}

func reply(m webpubsub.Message) *handler.EventResponse { return &handler.EventResponse{Message: m} }

// replyText is a callback that replies to every event with the same text.
func replyText(text string) handler.EventFunc {
	return func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text(text)}, nil
	}
}

func wantStatus(t testing.TB, res *handlertest.Response, status int) {
	t.Helper()
	if res.Status != status {
		t.Errorf("status %d, want %d; body %q", res.Status, status, res.Body)
	}
}
