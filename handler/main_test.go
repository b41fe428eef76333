package handler_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer collects what a handler logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newHandler returns a handler for the connection of handlertest, and its log.
// It fails the test at the end if a secret was logged.
func newHandler(t testing.TB, change func(*handler.Options)) (*handler.Handler, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
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
