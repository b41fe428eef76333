package main_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/lambdahost"
)

// Every kind of event has the same answer under AWS's own emulator as from the
// handler itself, behind a Function URL and behind an HTTP API.
func TestEventsUnderTheEmulatorOfAWS(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{}) // for what the handler itself sends
	const origin = "127.0.0.1"
	options := func() *handlertest.Options {
		return &handlertest.Options{UserID: "alice", Origin: origin, State: map[string]any{"room": "general"}}
	}
	signed := func(name string, m webpubsub.Message) func() *http.Request {
		return func() *http.Request { return handlertest.UserEvent("chat", "conn1", name, m, options()) }
	}
	events := map[string]func() *http.Request{
		"preflight":             func() *http.Request { return handlertest.Preflight(origin) },
		"preflight for several": func() *http.Request { return handlertest.Preflight("other.webpubsub.azure.com, " + origin) },
		"preflight of another":  func() *http.Request { return handlertest.Preflight("other.webpubsub.azure.com") },
		"connect":               func() *http.Request { return handlertest.Connect("chat", "conn1", options()) },
		"connect with nobody": func() *http.Request {
			return handlertest.Connect("chat", "conn1", &handlertest.Options{Origin: origin})
		},
		"connected":      func() *http.Request { return handlertest.Connected("chat", "conn1", options()) },
		"disconnected":   func() *http.Request { return handlertest.Disconnected("chat", "conn1", "bye", options()) },
		"group joined":   func() *http.Request { return handlertest.GroupJoined("chat", "conn1", "room.general", options()) },
		"group left":     func() *http.Request { return handlertest.GroupLeft("chat", "conn1", "room.general", options()) },
		"join":           signed("join", webpubsub.MustJSON(map[string]string{"room": "a b"})),
		"broken message": signed("message", webpubsub.MustJSON(map[string]string{"text": ""})),
		"text":           signed("nothing", webpubsub.Text("hello")),
		"binary":         signed("message", webpubsub.Binary([]byte("\x00\xfe\xff"))),
		"forged": func() *http.Request {
			r := handlertest.Connect("chat", "conn1", options())
			r.Header.Set("ce-signature", "sha256=00")
			return r
		},
	}

	config, err := app.ConfigFromEnv(func(name string) string {
		return map[string]string{"WebPubSubConnectionString": srv.ConnectionString()}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = slog.New(slog.DiscardHandler)
	chat, err := app.New(config)
	if err != nil {
		t.Fatal(err)
	}
	host := lambdahost.StartEmulator(t, filepath.Join(built, "functions"), settings(srv.ConnectionString())...)
	times := regexp.MustCompile(`"time":"[^"]*"`)
	for name, event := range events {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			chat.Events().ServeHTTP(w, event())
			want := w.Result()
			body, err := io.ReadAll(want.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, base := range []string{host.URL(), host.HTTPAPI(t, "prod")} {
				got, text := do(t, base, "/api/events", event())
				if got.StatusCode != want.StatusCode || times.ReplaceAllString(text, "") != times.ReplaceAllString(string(body), "") {
					t.Errorf("got %d %s, want %d %s", got.StatusCode, text, want.StatusCode, body)
				}
				for _, header := range []string{"Content-Type", "ce-connectionState", "WebHook-Allowed-Origin"} {
					if got.Header.Get(header) != want.Header.Get(header) {
						t.Errorf("%s is %q, want %q", header, got.Header.Get(header), want.Header.Get(header))
					}
				}
			}
		})
	}
}
