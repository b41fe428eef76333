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
	"example.com/webpubsub/internal/functionapp"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/lambdahost"
	"example.com/webpubsub/internal/test/testapp"
)

// built is the folder with the programs functions, negotiate and events of the test
// application, and real the folder with those of the application in package app.
// Only what holds for any application is tested with the latter.
var built, real string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "functions")
	if err == nil {
		built, real = filepath.Join(dir, "test"), filepath.Join(dir, "real")
		const test = "../internal/test/testapp/functions"
		err = errors.Join(build(built, test, test+"/negotiate", test+"/events"), build(real, ".", "./negotiate", "./events"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string, programs ...string) error {
	out, err := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, programs...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// appRoot returns what is deployed as the package of a program of the test
// application: its functions, and the program as bin/functions.
func appRoot(t *testing.T, program string) string {
	t.Helper()
	return rootOf(t, built, program)
}

func rootOf(t *testing.T, dir, program string) string {
	t.Helper()
	files, executable, err := functionapp.Files(os.DirFS(repository), read(t, "host.json"), program)
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, f := range files {
		texts[f.Path] = string(f.Data)
	}
	return functionshost.NewRoot(t, texts, executable, filepath.Join(dir, program))
}

// bothHosts runs the test with a Functions host that proxies requests, and with
// an older one that forwards them.
func bothHosts(t *testing.T, test func(t *testing.T, start func(program string, settings ...string) *functionshost.Host)) {
	for _, older := range []bool{false, true} {
		t.Run(map[bool]string{false: "proxying", true: "forwarding"}[older], func(t *testing.T) {
			test(t, func(program string, settings ...string) *functionshost.Host {
				return functionshost.Start(t, functionshost.Options{Root: appRoot(t, program), Settings: settings, Older: older})
			})
		})
	}
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
		return oneApp(t, settings, false)
	}},
	{"Functions, forwarding", func(t *testing.T, settings []string) (string, string) {
		return oneApp(t, settings, true)
	}},
	{"a function app for each, proxying", func(t *testing.T, settings []string) (string, string) {
		return twoApps(t, settings, false)
	}},
	{"a function app for each, forwarding", func(t *testing.T, settings []string) (string, string) {
		return twoApps(t, settings, true)
	}},
	{"one Lambda function", func(t *testing.T, settings []string) (string, string) {
		host := lambdahost.Start(t, filepath.Join(built, "functions"), settings...)
		return host.URL() + "/api/negotiate", host.URL() + "/api/events"
	}},
	{"one Lambda function behind an HTTP API", func(t *testing.T, settings []string) (string, string) {
		stage := lambdahost.Start(t, filepath.Join(built, "functions"), settings...).HTTPAPI(t, "prod")
		return stage + "/api/negotiate", stage + "/api/events"
	}},
	{"one Lambda function under AWS's emulator, behind an HTTP API", func(t *testing.T, settings []string) (string, string) {
		stage := lambdahost.StartEmulator(t, filepath.Join(built, "functions"), settings...).HTTPAPI(t, "prod")
		return stage + "/api/negotiate", stage + "/api/events"
	}},
	{"a Lambda function for each", func(t *testing.T, settings []string) (string, string) {
		negotiate := lambdahost.Start(t, filepath.Join(built, "negotiate"), settings...)
		events := lambdahost.Start(t, filepath.Join(built, "events"), settings...)
		return negotiate.URL() + "/", events.URL() + "/"
	}},
}

func oneApp(t *testing.T, settings []string, older bool) (negotiate, events string) {
	host := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "functions"), Settings: settings, Older: older})
	return host.URL() + "/api/negotiate", host.URL() + "/api/events"
}

func twoApps(t *testing.T, settings []string, older bool) (negotiate, events string) {
	first := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "negotiate"), Settings: settings, Older: older})
	second := functionshost.Start(t, functionshost.Options{Root: appRoot(t, "events"), Settings: settings, Older: older})
	return first.URL() + "/api/negotiate", second.URL() + "/api/events"
}

// The requests that the service and a browser send, on every platform.
func TestRequests(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform.name, func(t *testing.T) {
			srv := emulator.StartT(t, emulator.Options{})
			negotiate, events := platform.start(t, settings(srv.ConnectionString()))
			const origin = "127.0.0.1" // the emulator's host
			options := &handlertest.Options{UserID: "alice", Origin: origin, State: map[string]any{"visits": 1}}

			resp, body := do(t, negotiate, "?userId=alice", get("/"))
			var token struct{ BaseURL, URL, AccessToken string }
			if err := json.Unmarshal([]byte(body), &token); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("negotiate responded with %d %s", resp.StatusCode, body)
			}
			if want := strings.Replace(srv.URL(), "http:", "ws:", 1) + "/client/hubs/chat"; token.BaseURL != want || token.URL != want+"?access_token="+token.AccessToken {
				t.Errorf("negotiate responded with %s, want the base URL %s", body, want)
			}
			if resp, body := do(t, negotiate, "", get("/")); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("negotiate without a user responded with %d %s, want 401", resp.StatusCode, body)
			}

			resp, _ = do(t, events, "", handlertest.ValidationRequest(origin))
			if resp.StatusCode != http.StatusOK || resp.Header.Get("WebHook-Allowed-Origin") != origin {
				t.Errorf("the preflight got %d with %v, want 200 for %s", resp.StatusCode, resp.Header, origin)
			}

			resp, body = do(t, events, "", handlertest.Connect("chat", "conn1", options))
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, testapp.Group) || resp.Header.Get("ce-connectionState") == "" {
				t.Errorf("connect got %d %s with %v, want 200, the group and the state", resp.StatusCode, body, resp.Header)
			}

			message := webpubsub.Text("hello")
			resp, body = do(t, events, "", handlertest.UserEvent("chat", "conn1", "say", message, options))
			if resp.StatusCode != http.StatusOK || body != testapp.Said {
				t.Errorf("a message got %d %s, want 200 and that it is said", resp.StatusCode, body)
			}

			forged := handlertest.UserEvent("chat", "conn1", "say", message, options)
			forged.Header.Set("ce-signature", "sha256=8de7281e588e23b0a30a7180ffa240257b8176e983004c240c9f3f7a7233c994")
			if resp, body := do(t, events, "", forged); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a forged event got %d %s, want 401", resp.StatusCode, body)
			}
		})
	}
}

// The whole way: a client negotiates and connects, and what it sends comes back
// through the service, the platform and the function. The user's name is not
// ASCII: the Functions host responded with 500 to each of its events.
func TestEndToEnd(t *testing.T) {
	for _, platform := range platforms {
		t.Run(platform.name, func(t *testing.T) {
			// The service wants the function's URL and the function the service's,
			// so a front with an address known ahead is put before the function.
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
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

			request := `{"type":"event","event":"who","ackId":1,"dataType":"text","data":""}`
			if err := client.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
				t.Fatal(err)
			}
			if err := waitFor(client, func(frame string) bool { return strings.Contains(frame, `"data":"Jürgen"`) }); err != nil {
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
	bothHosts(t, func(t *testing.T, start func(string, ...string) *functionshost.Host) {
		srv := emulator.StartT(t, emulator.Options{})
		host := start("functions", settings(srv.ConnectionString())...)
		resp, body := do(t, host.URL(), "/api/index", get("/"))
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<html") {
			t.Errorf("the page got %d %.100s", resp.StatusCode, body)
		}
		// A browser requests again what it has kept. An older host cannot pass 304 on,
		// and gets the file.
		again := get("/")
		again.Header.Set("If-None-Match", resp.Header.Get("Etag"))
		resp, body = do(t, host.URL(), "/api/index", again)
		if host.Forwarding() {
			if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<html") {
				t.Errorf("the page got %d %.100s the second time, want 200 with the file", resp.StatusCode, body)
			}
		} else if resp.StatusCode != http.StatusNotModified {
			t.Errorf("the page got %d the second time, want 304", resp.StatusCode)
		}
	})
}

// The service sends all events over few connections. Responses
// without a body broke the connection to an older host, and half of a burst of
// disconnected events was lost.
func TestBurstOfDisconnectedEvents(t *testing.T) {
	bothHosts(t, func(t *testing.T, start func(string, ...string) *functionshost.Host) {
		srv := emulator.StartT(t, emulator.Options{}) // gets who has left
		host := start("functions", settings(srv.ConnectionString())...)
		transport := &http.Transport{MaxConnsPerHost: 1}
		defer transport.CloseIdleConnections()
		for i := range 100 {
			r := handlertest.Disconnected("chat", fmt.Sprint("conn", i), "bye", &handlertest.Options{UserID: "alice", Origin: "127.0.0.1"})
			r.RequestURI = ""
			var err error
			if r.URL, err = url.Parse(host.URL() + "/api/events"); err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatalf("event %d: %v", i, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode/100 != 2 {
				t.Fatalf("event %d got %d", i, resp.StatusCode)
			}
		}
		host.Stop()
		if log := host.Log(); len(log.Error) > 0 {
			t.Errorf("the log has errors: %q", log.Error)
		}
	})
}

// The programs of the application in package app, with what holds for any.
func TestApplication(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	start := func(program string) *functionshost.Host {
		return functionshost.Start(t, functionshost.Options{Root: rootOf(t, real, program), Settings: settings(srv.ConnectionString())})
	}
	all := start("functions")
	for _, negotiate := range []*functionshost.Host{all, start("negotiate")} {
		if resp, body := do(t, negotiate.URL(), "/api/negotiate?userId=alice", get("/")); resp.StatusCode != http.StatusOK {
			t.Errorf("negotiate responded with %d %s", resp.StatusCode, body)
		}
	}
	for _, events := range []*functionshost.Host{all, start("events")} {
		if resp, body := do(t, events.URL(), "/api/events", handlertest.ValidationRequest("127.0.0.1")); resp.StatusCode != http.StatusOK {
			t.Errorf("the preflight got %d %s", resp.StatusCode, body)
		}
		forged := handlertest.Connect("chat", "conn1", &handlertest.Options{UserID: "alice", Origin: "127.0.0.1", AccessKeys: []string{"another key"}})
		if resp, body := do(t, events.URL(), "/api/events", forged); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a forged event got %d %s, want 401", resp.StatusCode, body)
		}
	}
}

func TestMissingSetting(t *testing.T) {
	bothHosts(t, func(t *testing.T, start func(string, ...string) *functionshost.Host) {
		for program, path := range map[string]string{"functions": "/api/index", "negotiate": "/api/negotiate", "events": "/api/events"} {
			host := start(program)
			for range 2 {
				if resp, _ := do(t, host.URL(), path, get("/")); resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("%s: got %d, want 503", program, resp.StatusCode)
				}
			}
			host.Stop() // all that it wrote is there then
			if errs := strings.Join(host.Log().Error, "\n"); !strings.Contains(errs, "WebPubSubConnectionString is missing") {
				t.Errorf("%s: the log has these errors: %s", program, errs)
			}
		}
	})
}

// The host waits for the listener, and a token takes a network call: none is
// fetched before a request needs it. The response does not contain the reason.
func TestTokensAreFetchedLazily(t *testing.T) {
	bothHosts(t, testTokensAreFetchedLazily)
}

func testTokensAreFetchedLazily(t *testing.T, start func(string, ...string) *functionshost.Host) {
	var calls atomic.Int32
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Header.Get("X-Identity-Header") != "secretheader" || r.URL.Query().Get("client_id") != "id-of-the-app" {
			t.Errorf("the platform was called with %v %v", r.URL.Query(), r.Header)
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message":"no such identity"}`)
	}))
	defer identity.Close()
	host := start("functions",
		"WebPubSubConnectionString__serviceUri=https://demo.webpubsub.azure.com",
		"WebPubSubConnectionString__credential=managedidentity",
		"WebPubSubConnectionString__clientId=id-of-the-app",
		"WebPubSubAccessKeys="+emulator.DefaultAccessKey,
		"WebPubSubAllowUserIdQuery=true",
		"IDENTITY_ENDPOINT="+identity.URL,
		"IDENTITY_HEADER=secretheader",
	)
	if n := calls.Load(); n != 0 {
		t.Errorf("%d tokens were requested before any request", n)
	}
	resp, body := do(t, host.URL(), "/api/events", handlertest.Connect("chat", "conn1", &handlertest.Options{UserID: "alice", Origin: "demo.webpubsub.azure.com"}))
	if resp.StatusCode != http.StatusOK || calls.Load() != 0 {
		t.Errorf("connect got %d %s and requested %d tokens; it needs none", resp.StatusCode, body, calls.Load())
	}
	resp, body = do(t, host.URL(), "/api/negotiate?userId=alice", get("/"))
	if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "identity") {
		t.Errorf("negotiate got %d %s, want 502 without the reason", resp.StatusCode, body)
	}
	if calls.Load() == 0 {
		t.Error("no token was requested")
	}
	host.Stop() // all that it wrote is there then
	if log := host.Stdout() + host.Stderr(); !strings.Contains(log, "no such identity") || strings.Contains(log, "secretheader") || strings.Contains(log, emulator.DefaultAccessKey) {
		t.Errorf("the log must contain the reason and no secret: %s", log)
	}
}

// The log of a whole conversation, with everything that was rejected, must contain
// no key and no token.
func TestNoSecretsInTheLog(t *testing.T) {
	bothHosts(t, testNoSecretsInTheLog)
}

func testNoSecretsInTheLog(t *testing.T, start func(string, ...string) *functionshost.Host) {
	srv := emulator.StartT(t, emulator.Options{})
	host := start("functions", settings(srv.ConnectionString())...)
	_, body := do(t, host.URL(), "/api/negotiate?userId=alice", get("/"))
	var token struct{ AccessToken string }
	if err := json.Unmarshal([]byte(body), &token); err != nil || token.AccessToken == "" {
		t.Fatalf("negotiate responded with %s", body)
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
		t.Errorf("the rejection is not logged with its invocation: %s", log)
	}
	for name, secret := range map[string]string{
		"access key":   emulator.DefaultAccessKey,
		"access token": token.AccessToken,
		"signature":    strings.TrimPrefix(signature, "sha256="),
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains the %s: %s", name, log)
		}
	}
}
