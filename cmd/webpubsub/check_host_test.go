package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/webapp"
)

// customHandler makes the test binary a custom handler of Azure Functions, which
// fails in the way that the variable names.
const customHandler = "WEBPUBSUB_TEST_CUSTOM_HANDLER"

func serveCustomHandler() {
	way := os.Getenv(customHandler)
	err := http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Azure-Functions-InvocationId") == "" || way == "allow" && r.Method == http.MethodOptions:
			w.Header().Set("WebHook-Allowed-Origin", "*")
		case way == "exit":
			os.Exit(1)
		default: // what a panic does without package hosting
			panic(http.ErrAbortHandler)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// newApp returns a function app for an executable. Its host.json has more in
// customHandler.
func newApp(t *testing.T, executable, more string, functions bool) string {
	t.Helper()
	files := map[string]string{"host.json": `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"handler"},
		"enableProxyingHttpRequest":true,"enableForwardingHttpRequest":true` + more + `}}`}
	if functions {
		files["events/function.json"] = functionshost.FunctionJSON("events/{*event}")
	}
	if executable == "" {
		files["handler"] = "#!/bin/sh\n" // and not executable
		return functionshost.NewRoot(t, files, "", "")
	}
	return functionshost.NewRoot(t, files, "handler", executable)
}

// report collects what check printed.
type report map[string]bool

// figures are what differs from run to run.
var figures = regexp.MustCompile(`[0-9.]+(µs|ms|s)\b`)

func (r report) add(out string) {
	for line := range strings.Lines(out) {
		r[figures.ReplaceAllString(strings.TrimSpace(line), "0s")] = true
	}
}

// Each way in which a deployment fails on the Functions host, and what check
// prints. The page of the signs quotes it.
func TestCheckFindsFailingDeployments(t *testing.T) {
	onLinux(t)
	reports := make(report)
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "failing-deployments.md"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const routes = `,"http":{"defaultAuthorizationLevel":"anonymous","routes":[{"route":"events/{*event}"}]}`
	for _, tt := range []struct {
		name    string
		options functionshost.Options
		want    []string
	}{
		{"routes and function.json", functionshost.Options{Root: newApp(t, self, routes, true), Faulty: true}, []string{"FAIL  preflight", "503", "Function host is not running.", "exclude each other"}},
		{"routes on an older host", functionshost.Options{Root: newApp(t, self, routes, false), Older: true, Faulty: true}, []string{"FAIL  preflight", "404", "No job functions found"}},
		{"not executable", functionshost.Options{Root: newApp(t, "", "", true), Faulty: true}, []string{"FAIL  preflight", "500", "not executable"}},
		{"panics", functionshost.Options{Root: newApp(t, self, "", true), Settings: []string{customHandler + "=panic"}}, []string{"FAIL  preflight", "500", "sent the request several times", "panics or exits"}},
		{"exits", functionshost.Options{Root: newApp(t, self, "", true), Settings: []string{customHandler + "=exit"}}, []string{"FAIL  preflight", "500", "panics or exits"}},
		{"panics on an older host", functionshost.Options{Root: newApp(t, self, "", true), Older: true, Settings: []string{customHandler + "=panic"}}, []string{"FAIL  preflight", "500", "panics or exits"}},
		{"panics in an event", functionshost.Options{Root: newApp(t, self, "", true), Settings: []string{customHandler + "=allow"}}, []string{"ok    preflight", "FAIL  connect", "500", "the handler failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := functionshost.Start(t, tt.options)
			out, _, err := call(t, []string{"WebPubSubConnectionString=" + checkedResource}, "check", host.URL()+"/api/events")
			if err == nil {
				t.Error("nothing failed")
			}
			reports.add(out)
			wantInOrder(t, out, tt.want)
		})
	}
	for _, older := range []bool{false, true} {
		reports.add(checkPackageOn(t, older))
	}
	for _, h := range []http.Handler{
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="name.azurewebsites.net"`)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "You do not have permission")
		}),
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.auth/me" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			testEvents(t, webapp.Config{ConnectionString: checkedResource}).ServeHTTP(w, r)
		}),
		testEvents(t, webapp.Config{ConnectionString: checkedResource, TrustPlatformAuth: true}),
		testEvents(t, webapp.Config{ConnectionString: checkedResource}),
	} {
		srv := httptest.NewServer(h)
		out, _, _ := call(t, []string{"WebPubSubConnectionString=" + checkedResource}, "check", srv.URL+"/api/events")
		srv.Close()
		reports.add(out)
	}
	quoted := 0
	for _, block := range regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			if quoted++; !reports[strings.TrimSpace(line)] {
				t.Errorf("docs/failing-deployments.md quotes what check does not print: %s", line)
			}
		}
	}
	if quoted < 10 {
		t.Errorf("docs/failing-deployments.md quotes %d lines", quoted)
	}
}

// The package, on hosts of both kinds: everything passes, but a user whose ID is
// not ASCII does not reach the handler.
func TestCheckOfThePackage(t *testing.T) {
	onLinux(t)
	for _, older := range []bool{false, true} {
		t.Run(map[bool]string{false: "proxying", true: "forwarding"}[older], func(t *testing.T) {
			out := checkPackageOn(t, older)
			for _, want := range []string{"note  non-ASCII user", "not ASCII, and the handler is not called", "ok    connect", "ok    page", "ok    negotiate"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

// checkPackageOn checks the package under a host, and returns what is printed.
func checkPackageOn(t *testing.T, older bool) string {
	t.Helper()
	host := functionshost.Start(t, functionshost.Options{
		Root: functionshost.Unzip(t, pack(t, testPrograms)), Older: older,
		Settings: []string{"WebPubSubConnectionString=" + checkedResource, "WebPubSubAllowUserIdQuery=true"},
	})
	out, _, err := call(t, []string{"WebPubSubConnectionString=" + checkedResource}, "check", host.URL()+"/api/events")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return out
}

// A first response that is slow is a cold start; one that is slow again keeps
// every client waiting.
func TestCheckSlowResponse(t *testing.T) {
	good := testEvents(t, webapp.Config{ConnectionString: checkedResource, AllowUserIDQuery: true})
	for _, tt := range []struct {
		name   string
		slow   int // number of signed events
		want   string
		failed bool
	}{
		{"fast", 0, "", false},
		{"cold start", 1, "note  slow response  the first connect took 3s, the second 0s", false},
		{"slow", 9, "FAIL  slow response  connect took 3s, and 3s the second time", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			events := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && r.Header.Get("ce-signature") == upstreamSignature(r) {
					if events++; events <= tt.slow {
						now = now.Add(3 * time.Second)
					}
				}
				good.ServeHTTP(w, r)
			}))
			defer srv.Close()
			var out testlog.Buffer
			c := &checker{e: testEnv(&out, &out, nil), hub: "chat", user: "alice", timeout: time.Minute, slow: time.Second}
			if err := c.target(srv.URL+"/api/events", checkedResource); err != nil {
				t.Fatal(err)
			}
			defer c.wire.base.CloseIdleConnections()
			c.wire.now = func() time.Time { return now }
			c.run(t.Context(), upstream.Event{Kind: upstream.User, Name: "test", ID: 2})
			if (c.failed > 0) != tt.failed || !strings.Contains(out.String(), tt.want) || tt.want == "" && strings.Contains(out.String(), "slow") {
				t.Errorf("no %q in:\n%s", tt.want, out.String())
			}
		})
	}
}

func TestCheckSettings(t *testing.T) {
	const good = `{"IsEncrypted":false,"Values":{"FUNCTIONS_WORKER_RUNTIME":"custom","WebPubSubConnectionString":"` + checkedResource + `"}}`
	set := func(name, value string) string {
		return strings.Replace(good, `"Values":{`, `"Values":{"`+name+`":"`+value+`",`, 1)
	}
	for _, tt := range []struct {
		name, text string
		want       string // in the output or the error
		failed     bool
	}{
		{"complete", good, "ok    settings", false},
		{"list of the Azure CLI", `[{"name":"WebPubSubConnectionString","slotSetting":false,"value":"` + checkedResource + `"}]`, "ok    settings", false},
		{"nothing", `{"IsEncrypted":false,"Values":{"FUNCTIONS_WORKER_RUNTIME":"custom"}}`, "WebPubSubConnectionString is missing", true},
		{"wrong switch", set("WebPubSubAllowUserIdQuery", "yes"), "set it to true or false", true},
		{"two faults at once", set("WebPubSubHub", "1"), "WebPubSubHub", true},
		{"colon", set("WebPubSubConnectionString:serviceUri", "https://a.example"), "WebPubSubConnectionString__serviceUri", true},
		{"misspelt", set("WebPubSubHubName", "chat"), "note  settings       WebPubSubHubName is not a setting", false},
		{"read by hosting", set("WebPubSubBasePath", "/chat"), "ok    settings", false},
		{"another language", strings.Replace(good, `"custom"`, `"node"`, 1), `FUNCTIONS_WORKER_RUNTIME is "node"`, true},
		{"no language", strings.Replace(good, `"FUNCTIONS_WORKER_RUNTIME":"custom",`, "", 1), "FUNCTIONS_WORKER_RUNTIME is missing", true},
		{"Go runtime", set("FUNCTIONS_CLI_NATIVE_LANGUAGE", "go"), "does not start a custom handler", true},
		{"encrypted", strings.Replace(good, "false", "true", 1), "IsEncrypted", true},
		{"another file", `{"version":"2.0"}`, "neither a local.settings.json", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "settings.json")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, _, err := call(t, nil, "check", "-app-settings", file)
			if got := out + fmt.Sprint(err); !strings.Contains(got, tt.want) || (err != nil) != tt.failed || strings.Contains(got, checkKey) {
				t.Errorf("no %q in:\n%s", tt.want, got)
			}
		})
	}

	// The settings say in the name of which service to send requests.
	srv := httptest.NewServer(testEvents(t, webapp.Config{ConnectionString: checkedResource, Hub: "lobby", AllowUserIDQuery: true}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(set("WebPubSubHub", "lobby")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := call(t, nil, "check", "-app-settings", file, srv.URL+"/api/events")
	if err != nil || !strings.Contains(out, "demo.webpubsub.azure.com, hub lobby") || !strings.Contains(out, "ok    connect") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is read of a file with settings is a list of names and values, or an error.
func FuzzParseSettings(f *testing.F) {
	f.Add([]byte(`{"IsEncrypted":false,"Values":{"WebPubSubHub":"chat"}}`))
	f.Add([]byte(`[{"name":"WebPubSubHub","slotSetting":false,"value":"chat"}]`))
	f.Add([]byte(`{"Values":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, _, err := parseSettings(text)
		if (values == nil) != (err != nil) {
			t.Errorf("%v, %v", values, err)
		}
	})
}
