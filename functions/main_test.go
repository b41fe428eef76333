package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/lambdahost"
)

// built is the folder with the binaries functions, negotiate and events.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "functions"); err == nil {
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(built)
		os.Exit(code)
	}))
}

func build() error {
	out, err := exec.Command("go", "build", "-o", built+string(filepath.Separator), ".", "./negotiate", "./events").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// appRoot returns what a deployed package holds, with the named binary as its
// executable: the repository's own host.json, and bin/functions.
func appRoot(t *testing.T, binary string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "host.json"), read(t, "host.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(built, binary), filepath.Join(root, "bin", "functions")); err != nil {
		t.Fatal(err)
	}
	return root
}

// settings are the app settings for a resource.
func settings(connectionString string) []string {
	return []string{
		"WebPubSubConnectionString=" + connectionString,
		"WebPubSubHub=chat",
		"WebPubSubAllowUserIdQuery=true",
	}
}

// do sends the request, which may be one that was made for a handler, to base.
func do(t *testing.T, base, path string, r *http.Request) (*http.Response, string) {
	t.Helper()
	u, err := url.Parse(base + path)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host, r.RequestURI = u, "", ""
	return functionshost.Do(t, r)
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

// platforms are the places where the app runs. Each starts the binaries with
// the settings and returns where negotiate and the events are.
var platforms = []struct {
	name  string
	start func(t *testing.T, settings []string) (negotiate, events string)
}{
	{"Functions, proxying", func(t *testing.T, settings []string) (string, string) {
		host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: settings})
		return host.URL() + "/api/negotiate", host.URL() + "/api/events"
	}},
	{"Functions, forwarding", func(t *testing.T, settings []string) (string, string) {
		host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: settings, Forwarding: true})
		return host.URL() + "/api/negotiate", host.URL() + "/api/events"
	}},
	{"a function app for each", func(t *testing.T, settings []string) (string, string) {
		negotiate := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "negotiate"), Settings: settings})
		events := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "events"), Settings: settings})
		return negotiate.URL() + "/api/negotiate", events.URL() + "/api/events"
	}},
	{"one Lambda function", func(t *testing.T, settings []string) (string, string) {
		host := lambdahost.Start(t, filepath.Join(built, "functions"), settings...)
		return host.URL() + "/api/negotiate", host.URL() + "/api/events"
	}},
	{"one Lambda function behind an HTTP API", func(t *testing.T, settings []string) (string, string) {
		stage := lambdahost.Start(t, filepath.Join(built, "functions"), settings...).HTTPAPI(t, "prod")
		return stage + "/api/negotiate", stage + "/api/events"
	}},
	{"a Lambda function for each", func(t *testing.T, settings []string) (string, string) {
		negotiate := lambdahost.Start(t, filepath.Join(built, "negotiate"), settings...)
		events := lambdahost.Start(t, filepath.Join(built, "events"), settings...)
		return negotiate.URL() + "/", events.URL() + "/"
	}},
}

// The requests that the service and a browser send, on every platform.
func TestRequests(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform.name, func(t *testing.T) {
			srv := emulator.Start(t, emulator.Options{})
			negotiate, events := platform.start(t, settings(srv.ConnectionString()))
			const origin = "127.0.0.1" // the emulator's host
			options := &handlertest.Options{UserID: "alice", Origin: origin, State: map[string]any{"room": "general"}}

			resp, body := do(t, negotiate, "?userId=alice", get("/"))
			var token struct{ BaseURL, URL, AccessToken string }
			if err := json.Unmarshal([]byte(body), &token); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("negotiate answered %d %s", resp.StatusCode, body)
			}
			if want := strings.Replace(srv.URL(), "http:", "ws:", 1) + "/client/hubs/chat"; token.BaseURL != want || token.URL != want+"?access_token="+token.AccessToken {
				t.Errorf("negotiate answered %s, want the base URL %s", body, want)
			}
			if resp, body := do(t, negotiate, "", get("/")); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("negotiate without a user answered %d %s, want 401", resp.StatusCode, body)
			}

			resp, _ = do(t, events, "", handlertest.Preflight(origin))
			if resp.StatusCode != http.StatusOK || resp.Header.Get("WebHook-Allowed-Origin") != origin {
				t.Errorf("the preflight got %d with %v, want 200 for %s", resp.StatusCode, resp.Header, origin)
			}

			resp, body = do(t, events, "", handlertest.Connect("chat", "conn1", options))
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, "room.general") || resp.Header.Get("ce-connectionState") == "" {
				t.Errorf("connect got %d %s with %v, want 200, the room's group and the state", resp.StatusCode, body, resp.Header)
			}

			message := webpubsub.JSON(map[string]string{"id": "m1", "text": "hello"})
			resp, body = do(t, events, "", handlertest.UserEvent("chat", "conn1", "message", message, options))
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"type":"sent","id":"m1"`) {
				t.Errorf("a message got %d %s, want 200 and that it is sent", resp.StatusCode, body)
			}

			forged := handlertest.UserEvent("chat", "conn1", "message", message, options)
			forged.Header.Set("ce-signature", "sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c994")
			if resp, body := do(t, events, "", forged); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a forged event got %d %s, want 401", resp.StatusCode, body)
			}
		})
	}
}

// The whole way: a client negotiates and connects, and what it says comes back
// through the service, the platform and the function. The user's name is not
// ASCII: the Functions host answered 500 to each of its events.
func TestChat(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform.name, func(t *testing.T) {
			// The service wants the function's URL and the function the service's,
			// so a front with an address known ahead stands before the function.
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := emulator.Start(t, emulator.Options{Hubs: map[string]emulator.Hub{"chat": {EventHandlers: []emulator.EventHandler{{
				URL:          "http://" + listener.Addr().String(),
				UserEvents:   "*",
				SystemEvents: []string{"connect", "connected", "disconnected"},
			}}}}})
			negotiate, events := platform.start(t, settings(srv.ConnectionString()))
			target, err := url.Parse(events)
			if err != nil {
				t.Fatal(err)
			}
			transport := &http.Transport{DisableKeepAlives: true}
			front := &httptest.Server{
				Listener: listener,
				Config: &http.Server{Handler: &httputil.ReverseProxy{
					Transport: transport,
					Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL = target },
				}},
			}
			front.Start()
			t.Cleanup(front.Close)

			_, body := do(t, negotiate, "?userId=J%C3%BCrgen", get("/"))
			var token struct{ URL string }
			if err := json.Unmarshal([]byte(body), &token); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			dialer := websocket.Dialer{Subprotocols: []string{"json.webpubsub.azure.v1"}}
			client, resp, err := dialer.Dial(token.URL, nil)
			if err != nil {
				t.Fatalf("dial: %v, response %+v", err, resp)
			}
			t.Cleanup(func() { _ = client.Close() })

			request := `{"type":"event","event":"message","ackId":1,"dataType":"json","data":{"id":"m1","text":"hello"}}`
			if err := client.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
				t.Fatal(err)
			}
			if err := waitFor(client, func(frame string) bool { return strings.Contains(frame, `"type":"sent","id":"m1"`) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitFor reads until a frame is the wanted one.
func waitFor(client *websocket.Conn, wanted func(frame string) bool) error {
	var frames []string
	for {
		_, frame, err := client.ReadMessage()
		if err != nil {
			return fmt.Errorf("%w after %q", err, frames)
		}
		if wanted(string(frame)) {
			return nil
		}
		frames = append(frames, string(frame))
		if strings.Contains(string(frame), `"success":false`) {
			return errors.New("not acknowledged: " + string(frame))
		}
	}
}

func TestPage(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: settings(srv.ConnectionString())})
	resp, body := do(t, host.URL(), "/api/index", get("/"))
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the page got %d %.100s", resp.StatusCode, body)
	}
}

func TestMissingSetting(t *testing.T) {
	for _, binary := range []string{"functions", "negotiate", "events"} {
		t.Run(binary, func(t *testing.T) {
			host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, binary)})
			for range 2 {
				if resp, _ := do(t, host.URL(), "/api/negotiate", get("/")); resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("got %d, want 503", resp.StatusCode)
				}
			}
			host.WaitForLog(t, "WebPubSubConnectionString is missing")
		})
	}
}

// The host waits for the listener, and a token takes a network call: none is
// fetched before a request needs it. Nothing of the failure is told to the caller.
func TestTokensAreFetchedLazily(t *testing.T) {
	var calls atomic.Int32
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("X-Identity-Header") != "secretheader" || r.URL.Query().Get("client_id") != "id-of-the-app" {
			t.Errorf("the platform was asked with %v %v", r.URL.Query(), r.Header)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"no such identity"}`)
	}))
	defer identity.Close()
	host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: []string{
		"WebPubSubConnectionString__serviceUri=https://demo.webpubsub.azure.com",
		"WebPubSubConnectionString__credential=managedidentity",
		"WebPubSubConnectionString__clientId=id-of-the-app",
		"WebPubSubAccessKeys=" + emulator.DefaultAccessKey,
		"WebPubSubAllowUserIdQuery=true",
		"IDENTITY_ENDPOINT=" + identity.URL,
		"IDENTITY_HEADER=secretheader",
	}})
	if n := calls.Load(); n != 0 {
		t.Errorf("%d tokens were asked for before any request", n)
	}
	resp, body := do(t, host.URL(), "/api/events", handlertest.Connect("chat", "conn1", &handlertest.Options{UserID: "alice", Origin: "demo.webpubsub.azure.com"}))
	if resp.StatusCode != http.StatusOK || calls.Load() != 0 {
		t.Errorf("connect got %d %s and asked for %d tokens; it needs none", resp.StatusCode, body, calls.Load())
	}
	resp, body = do(t, host.URL(), "/api/negotiate?userId=alice", get("/"))
	if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "identity") {
		t.Errorf("negotiate got %d %s, want 502 without the reason", resp.StatusCode, body)
	}
	if calls.Load() == 0 {
		t.Error("no token was asked for")
	}
	host.Stop() // all that it wrote is there then
	if log := host.Stdout() + host.Stderr(); !strings.Contains(log, "no such identity") || strings.Contains(log, "secretheader") || strings.Contains(log, emulator.DefaultAccessKey) {
		t.Errorf("the log must hold the reason and no secret: %s", log)
	}
}

// The log of a whole conversation, with everything that was refused, must hold
// no key and no token.
func TestNoSecretsInTheLog(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: settings(srv.ConnectionString())})
	_, body := do(t, host.URL(), "/api/negotiate?userId=alice", get("/"))
	var token struct{ AccessToken string }
	if err := json.Unmarshal([]byte(body), &token); err != nil || token.AccessToken == "" {
		t.Fatalf("negotiate answered %s", body)
	}
	options := &handlertest.Options{AccessKeys: []string{"wrong"}, Origin: "127.0.0.1"}
	forged := handlertest.Connect("chat", "conn1", options)
	signature := forged.Header.Get("ce-signature")
	forged.Header.Set("Authorization", "Bearer "+token.AccessToken)
	if resp, _ := do(t, host.URL(), "/api/events?access_token="+token.AccessToken, forged); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged event got %d, want 401", resp.StatusCode)
	}
	host.Stop() // all that it wrote is there then
	log := host.Stdout() + host.Stderr()
	if !strings.Contains(log, "invocationId") {
		t.Errorf("the refusal is not logged with its invocation: %s", log)
	}
	for name, secret := range map[string]string{
		"access key":   emulator.DefaultAccessKey,
		"access token": token.AccessToken,
		"signature":    strings.TrimPrefix(signature, "sha256="),
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s: %s", name, log)
		}
	}
}
