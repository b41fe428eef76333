package main_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/lambdahost"
	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/webapp"
)

// Every kind of event has the same response under AWS's own emulator as from the
// handler itself, behind a Function URL and behind an HTTP API.
func TestEventsUnderTheEmulatorOfAWS(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{}) // for what the handler itself sends
	const origin = "127.0.0.1"
	options := func() *handlertest.Options {
		return &handlertest.Options{UserID: "alice", Origin: origin, State: map[string]any{"visits": 1}}
	}
	signed := func(name string, m webpubsub.Message) func() *http.Request {
		return func() *http.Request { return handlertest.UserEvent("chat", "conn1", name, m, options()) }
	}
	events := map[string]func() *http.Request{
		"preflight":             func() *http.Request { return handlertest.ValidationRequest(origin) },
		"preflight for several": func() *http.Request { return handlertest.ValidationRequest("other.webpubsub.azure.com, " + origin) },
		"preflight of another":  func() *http.Request { return handlertest.ValidationRequest("other.webpubsub.azure.com") },
		"connect":               func() *http.Request { return handlertest.Connect("chat", "conn1", options()) },
		"connect with nobody": func() *http.Request {
			return handlertest.Connect("chat", "conn1", &handlertest.Options{Origin: origin})
		},
		"connected":     func() *http.Request { return handlertest.Connected("chat", "conn1", options()) },
		"disconnected":  func() *http.Request { return handlertest.Disconnected("chat", "conn1", "bye", options()) },
		"group joined":  func() *http.Request { return handlertest.GroupJoined("chat", "conn1", testapp.Group, options()) },
		"group left":    func() *http.Request { return handlertest.GroupLeft("chat", "conn1", testapp.Group, options()) },
		"text":          signed("say", webpubsub.Text("hello")),
		"JSON":          signed("say", webpubsub.MustJSON(map[string]string{"text": "hello"})),
		"binary":        signed("say", webpubsub.Binary([]byte("\x00\xfe\xff"))),
		"reply":         signed("who", webpubsub.Text("")),
		"unknown event": signed("nothing", webpubsub.Text("hello")),
		"forged": func() *http.Request {
			r := handlertest.Connect("chat", "conn1", options())
			r.Header.Set("ce-signature", "sha256=00")
			return r
		},
	}

	config, err := webapp.ConfigFromEnv(func(name string) string {
		return map[string]string{"WebPubSubConnectionString": srv.ConnectionString()}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = slog.New(slog.DiscardHandler)
	a, err := testapp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	host := lambdahost.StartEmulator(t, filepath.Join(built, "functions"), settings(srv.ConnectionString())...)
	times := regexp.MustCompile(`"time":"[^"]*"`)
	for name, event := range events {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			a.Events.ServeHTTP(w, event())
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

// A user who signed in with the JWT authorizer of the HTTP API is the user of
// the token, by the claim that does not change. The name is beside it, signed.
func TestSignInOnLambda(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	host := lambdahost.Start(t, filepath.Join(built, "negotiate"),
		"WebPubSubConnectionString="+srv.ConnectionString(), "WebPubSubTrustPlatformAuth=true", "WebPubSubBasePath=/chat")
	event := func(authorizer string) []byte {
		return []byte(`{"version":"2.0","rawPath":"/chat/api/negotiate","headers":{"x-ms-client-principal-id":"forged"},
			"requestContext":{"http":{"method":"GET"}` + authorizer + `}}`)
	}
	negotiate := func(authorizer string) (status int, token struct{ URL, AccessToken string }) {
		out, err := host.Invoke(t.Context(), event(authorizer))
		if err != nil {
			t.Fatal(err)
		}
		var resp struct {
			StatusCode int
			Body       string
		}
		if err := json.Unmarshal(out, &resp); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(resp.Body), &token); err != nil {
			t.Fatalf("%v in %s", err, resp.Body)
		}
		return resp.StatusCode, token
	}
	if status, _ := negotiate(""); status != http.StatusUnauthorized {
		t.Errorf("an unauthenticated caller got %d, want 401", status)
	}
	status, token := negotiate(`,"authorizer":{"jwt":{"claims":{"sub":"7f3a","name":"Jürgen","iss":"https://login.example.com"}}}`)
	if status != http.StatusOK {
		t.Fatalf("got %d", status)
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(token.AccessToken, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "7f3a" || !strings.Contains(token.URL, url.QueryEscape("Jürgen")) {
		t.Errorf("the token is for %q, with the URL %s", claims.Subject, token.URL)
	}
}
