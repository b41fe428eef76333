package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/functionapp"
	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/webhook"
	"example.com/webpubsub/webapp"
)

const checkKey = "averysecretkeyofatest"

// checkedResource is the service that check plays.
const checkedResource = "Endpoint=https://demo.webpubsub.azure.com;AccessKey=" + checkKey + ";Version=1.0;"

// testEvents is the handler of the test application, configured for a resource.
func testEvents(t *testing.T, config webapp.Config) http.Handler {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	a, err := testapp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a.Handler()
}

// Our handler, and everything that goes wrong with it and in front of it.
func TestCheck(t *testing.T) {
	good := testEvents(t, webapp.Config{ConnectionString: checkedResource, AllowUserIDQuery: true})
	before := func(f func(w http.ResponseWriter, r *http.Request) (done bool)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !f(w, r) {
				good.ServeHTTP(w, r)
			}
		})
	}
	without := func(name string) http.Handler {
		return before(func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del(name); return false })
	}
	always := func(status int, header http.Header, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range header {
				w.Header()[name] = values
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	unverified, err := handler.New(handler.Options{DangerouslySkipVerification: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	identity := testEvents(t, webapp.Config{ConnectionString: checkedResource, Entra: &handler.EntraOptions{
		TenantID: "t", Audiences: []string{"a"}, Principals: []string{"p"},
	}})

	for _, tt := range []struct {
		name    string
		handler http.Handler
		path    string
		args    []string
		want    []string // in the output, in this order
		failed  bool
	}{
		{
			"as it should be", good, "/api/events", nil,
			[]string{
				"ok    preflight", "allows demo.webpubsub.azure.com", "ok    forged event", "401", "ok    connect", "groups everybody",
				"ok    non-ASCII user", "ok    user event", "no callback", "ok    page", "ok    negotiate", "for webpubsub-check", "note  negotiate", "anyone", "ok    CORS",
			},
			false,
		},
		{
			"an event of the app", good, "/api/events",
			[]string{"-event", "who"},
			[]string{"ok    user event", "reply webpubsub-check"},
			false,
		},
		{"URL template", good, "/api/events/{event}", nil, []string{"ok    preflight", "ok    user event"}, false},
		{
			"no key", good, "/api/events",
			[]string{"-connection-string", ""},
			[]string{"ok    preflight", "ok    forged event", "note  signed events", "access key"},
			false,
		},
		{
			"events accepted from anybody", unverified, "/api/events", nil,
			[]string{"note  origins", "FAIL  forged event", "anyone can send events", "WebPubSubConnectionString"},
			true,
		},
		{
			"function key missing", always(401, nil, ""), "/api/events", nil,
			[]string{"FAIL  preflight", "401", "authorizationLevel", "?code=", "note  events         not sent"},
			true,
		},
		{"function key wrong", always(401, nil, ""), "/api/events?code=secretcode", nil, []string{"FAIL  preflight", "?code= is not one of this app"}, true},
		{
			"EasyAuth", always(401, http.Header{"Www-Authenticate": {`Bearer realm="name.azurewebsites.net"`}}, "You do not have permission"), "/api/events", nil,
			[]string{"FAIL  preflight", "EasyAuth", "excludedPaths"},
			true,
		},
		{
			"EasyAuth with a login page", always(302, http.Header{"Location": {"https://login.microsoftonline.com/common"}}, ""), "/api/events", nil,
			[]string{"FAIL  preflight", "302", "EasyAuth"},
			true,
		},
		{
			"redirect", always(301, http.Header{"Location": {"/api/events/?code=secretcode"}}, ""), "/api/events", nil,
			[]string{"FAIL  preflight", "301", "follows no redirect", "/api/events/\n"},
			true,
		},
		{"access restrictions", always(403, http.Header{"Content-Type": {"text/html"}}, "<html>"), "/api/events", nil, []string{"FAIL  preflight", "access restrictions"}, true},
		{"route prefix missing", good, "/events", nil, []string{"FAIL  preflight", "404", "/api/events: correct the URL"}, true},
		{"no function at all", always(404, nil, ""), "/api/events", nil, []string{"FAIL  preflight", "routePrefix", "No job functions found"}, true},
		{
			"POST has no route", before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					http.NotFound(w, r)
				}
				return r.Method == http.MethodPost
			}), "/api/events", nil,
			[]string{"ok    preflight", "note  forged event", "FAIL  connect", "this request has none"},
			true,
		},
		{
			"another service", good, "/api/events",
			[]string{"-origin", "other.webpubsub.azure.com"},
			[]string{"FAIL  preflight", "400", "does not allow the service other.webpubsub.azure.com", "replicas"},
			true,
		},
		{
			"another key", testEvents(t, webapp.Config{ConnectionString: strings.Replace(checkedResource, checkKey, "another", 1)}), "/api/events", nil,
			[]string{"ok    preflight", "ok    forged event", "FAIL  connect", "401", "WebPubSubAccessKeys", "live trace"},
			true,
		},
		{"another hub", good, "/api/events", []string{"-hub", "news"}, []string{"ok    preflight", "FAIL  connect", "404", "another hub", "WebPubSubHub"}, true},
		{"token wanted as well", identity, "/api/events", nil, []string{"ok    preflight", "ok    forged event", "FAIL  connect", "managed identity"}, true},
		{"user rejected", good, "/api/events", []string{"-user", ""}, []string{"FAIL  connect", "401", "has no user ID", "your application rejects", "-user"}, true},
		{"origin eaten", without("WebHook-Request-Origin"), "/api/events", nil, []string{"FAIL  preflight", "lost on the way"}, true},
		{
			"ce- headers eaten", without("ce-connectionId"), "/api/events", nil,
			[]string{"ok    preflight", "note  forged event", "FAIL  connect", "ce-connectionId", "lost on the way"},
			true,
		},
		{"signature eaten", without("ce-signature"), "/api/events", nil, []string{"FAIL  connect", "drops ce-signature"}, true},
		{"response without the origin", always(200, nil, ""), "/api/events", nil, []string{"FAIL  preflight", "WebHook-Allowed-Origin is missing"}, true},
		{
			"a CORS layer responds", always(204, http.Header{"Access-Control-Allow-Methods": {"POST"}}, ""), "/api/events", nil,
			[]string{"FAIL  preflight", "CORS layer"},
			true,
		},
		{"a tunnel's warning page", always(200, http.Header{"Content-Type": {"text/html; charset=utf-8"}}, "<html>"), "/api/events", nil, []string{"FAIL  preflight", "web page", "tunnel"}, true},
		{"not configured", always(503, nil, "This service is not configured. Its log names the missing setting.\n"), "/api/events", nil, []string{"FAIL  preflight", "lacks a setting"}, true},
		{"gateway", always(502, nil, ""), "/api/events", nil, []string{"FAIL  preflight", "gateway"}, true},
		{
			"hangs", before(func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }), "/api/events",
			[]string{"-timeout", "50ms"},
			[]string{"FAIL  preflight", "hangs"},
			true,
		},
		{
			"crashes", before(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }), "/api/events", nil,
			[]string{"FAIL  preflight", "closed without a response"},
			true,
		},
		{
			"fails", before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					w.WriteHeader(500)
				}
				return r.Method == http.MethodPost
			}), "/api/events", nil,
			[]string{"FAIL  connect", "500", "see its log"},
			true,
		},
		{
			"response to connect is wrong", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodOptions || r.Header.Get("ce-signature") != upstreamSignature(r) {
					good.ServeHTTP(w, r)
					return
				}
				_, _ = io.WriteString(w, `{"groups":"general"}`)
			}), "/api/events", nil,
			[]string{"FAIL  connect", "cannot be read"},
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen testlog.Buffer
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				dump, err := httputil.DumpRequest(r, true)
				if err != nil {
					t.Error(err)
				}
				_, _ = seen.Write(dump)
				tt.handler.ServeHTTP(w, r)
			}))
			defer srv.Close()
			env := []string{"WebPubSubConnectionString=" + checkedResource}
			args := append([]string{"check"}, tt.args...)
			if len(tt.args) > 0 && tt.args[0] == "-connection-string" {
				env, args = nil, []string{"check", "-origin", "demo.webpubsub.azure.com"}
			}
			out, errOut, err := call(t, env, append(args, srv.URL+tt.path)...)
			if (err != nil) != tt.failed {
				t.Errorf("ended with %v", err)
			}
			wantInOrder(t, out+errOut, tt.want)
			for _, secret := range []string{checkKey, "secretcode"} {
				if strings.Contains(out+errOut, secret) {
					t.Errorf("the output shows %s:\n%s", secret, out)
				}
			}
			if strings.Contains(seen.String(), checkKey) {
				t.Error("the key was sent")
			}
		})
	}
}

// wantInOrder wants each text in the output, behind the one before it.
func wantInOrder(t *testing.T, out string, texts []string) {
	t.Helper()
	rest := out
	for _, want := range texts {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("no %q, or not in its place, in:\n%s", want, out)
		}
		rest = after
	}
}

// upstreamSignature is the right signature of an event.
func upstreamSignature(r *http.Request) string {
	return webhook.Signature(checkKey, r.Header.Get("ce-connectionId"))
}

// The emulator's key is public, so for a handler on this machine nothing needs
// to be said.
func TestCheckEmulator(t *testing.T) {
	local := connstr.ConnectionString{Endpoint: "http://" + emulator.DefaultAddr, AccessKey: emulator.DefaultAccessKey}.String()
	srv := httptest.NewServer(testEvents(t, webapp.Config{ConnectionString: local, AllowUserIDQuery: true}))
	defer srv.Close()
	if out, _, err := call(t, nil, "check", srv.URL+"/api/events"); err != nil || !strings.Contains(out, "ok    connect") {
		t.Errorf("%v\n%s", err, out)
	}
}

// With -o json there is one object, also when a check fails, and the remedy is a
// text of its own.
func TestCheckJSON(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer srv.Close()
	out, errOut, status := exit(t, "", nil, "check", "-o", "json", srv.URL+"/api/events?code=secretcode")
	var got struct {
		URL, Origin, Hub string
		Failed           int
		Findings         []struct {
			Outcome, Check, Text string
			Details              []string
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if status != 1 || !strings.Contains(errOut, "of the checks failed") || strings.Contains(out, "secretcode") ||
		got.URL != srv.URL+"/api/events" || got.Origin != "localhost" || got.Hub != "chat" || got.Failed == 0 || strings.Count(out, `"fail"`) != got.Failed {
		t.Errorf("status %d, %s\n%s", status, errOut, out)
	}
	if f := got.Findings[0]; f.Outcome != "fail" || f.Check != "preflight" || !strings.HasPrefix(f.Text, "401 in ") || len(f.Details) != 1 || !strings.Contains(f.Details[0], "?code= is not one of this app") {
		t.Errorf("the first finding is %+v", f)
	}
}

// The payload of the user event has each data type of send.
func TestCheckPayload(t *testing.T) {
	events := make(chan string, 10)
	good := testEvents(t, webapp.Config{ConnectionString: checkedResource})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("ce-eventName") == "webpubsub-check" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			events <- r.Header.Get("Content-Type") + " " + string(body)
		}
		good.ServeHTTP(w, r)
	}))
	defer srv.Close()
	for _, tt := range []struct{ stdin, args, want string }{
		{"", "", "text/plain; charset=utf-8 check"},
		{"", "-type json -data [1]", "application/json; charset=utf-8 [1]"},
		{"\x00\xff", "-type binary -data -", "application/octet-stream \x00\xff"},
	} {
		args := append([]string{"check", "-connection-string", checkedResource}, strings.Fields(tt.args)...)
		out, errOut, _ := exit(t, tt.stdin, nil, append(args, srv.URL+"/api/events")...)
		select {
		case got := <-events:
			if got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.args, got, tt.want)
			}
		default:
			t.Errorf("%s: no user event\n%s%s", tt.args, out, errOut)
		}
	}
}

func TestCheckNoAnswer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	closed := srv.URL
	srv.Close()
	var log testlog.Buffer
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(&log, nil), slog.LevelInfo)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, tt := range []struct{ url, want string }{
		{closed, "connection refused: nothing is listening"},
		{"http://host.invalid", "host name is not known"},
		{secure.URL, "certificate is not trusted"},
		{strings.Replace(plain.URL, "http:", "https:", 1), "does not serve TLS"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			out, _, err := call(t, nil, "check", "-origin", "demo.webpubsub.azure.com", tt.url+"/api/events?code=secretcode")
			if err == nil || !strings.Contains(out, tt.want) || strings.Contains(out, "secretcode") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestCheckUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "takes one URL"},
		{[]string{"name.azurewebsites.net/api/events"}, "must begin with http"},
		{[]string{"https://name.azurewebsites.net/api/events"}, "-origin"},
		{[]string{"-connection-string", "Endpoint=https://a.example;AccessKey=", "https://name.azurewebsites.net"}, "AccessKey is missing"},
		{[]string{"-origin", "a", "https://name.azurewebsites.net/%zz?code=secretcode"}, "cannot be parsed"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			_, _, err := call(t, nil, append([]string{"check"}, tt.args...)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(fmt.Sprint(err), "secretcode") {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// A package is checked before it is deployed, since its platform reports little about
// what is wrong with it.
func TestCheckPackage(t *testing.T) {
	dir := t.TempDir()
	files := []functionapp.File{
		{Path: "host.json", Mode: 0o644, Data: []byte(`{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"bin/functions"},
			"enableProxyingHttpRequest":true,"enableForwardingHttpRequest":true,"http":{"routes":[{"route":"events"}]}}}`)},
		{Path: "bin/functions", Mode: 0o644, Data: []byte("#!/bin/sh\n")},
	}
	write := func(name string, files []functionapp.File) string {
		file := filepath.Join(dir, name)
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := zip.NewWriter(f)
		for _, f := range files {
			h := &zip.FileHeader{Name: f.Path}
			h.SetMode(f.Mode)
			w, err := z.CreateHeader(h)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(f.Data); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return file
	}

	out, _, err := call(t, nil, "check", write("bad.zip", files))
	if err == nil || !strings.Contains(out, "FAIL  package") || !strings.Contains(out, "not executable") || !strings.Contains(out, "note  package") {
		t.Errorf("%v\n%s", err, out)
	}
	files[1].Mode = 0o755
	if out, _, err := call(t, nil, "check", write("good.zip", files)); err != nil || strings.Contains(out, "FAIL") {
		t.Errorf("%v\n%s", err, out)
	}
	function := functionapp.File{Path: "events/function.json", Mode: 0o644, Data: []byte("{}")}
	out, _, err = call(t, nil, "check", write("both.zip", append(files, function)))
	if err == nil || !strings.Contains(out, "Function host is not running.") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := writeFolder(filepath.Join(dir, "app"), files); err != nil {
		t.Fatal(err)
	}
	if out, _, err := call(t, nil, "check", filepath.Join(dir, "app")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err := call(t, nil, "check", filepath.Join(dir, "app", "host.json")); err == nil || !strings.Contains(err.Error(), "takes the URL") {
		t.Errorf("a file of another kind gave %v", err)
	}
}
