package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeService is a service that records requests and responds as it is told.
type fakeService struct {
	*httptest.Server
	requests chan *http.Request
	bodies   chan string
}

func newFakeService(t *testing.T, respond http.HandlerFunc) *fakeService {
	r := &fakeService{requests: make(chan *http.Request, 10), bodies: make(chan string, 10)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.requests <- req
		r.bodies <- string(body)
		respond(w, req)
	}))
	t.Cleanup(func() { r.Close(); http.DefaultClient.CloseIdleConnections() })
	return r
}

func (r *fakeService) env() []string {
	return []string{"WebPubSubConnectionString=Endpoint=" + r.URL + ";AccessKey=key;"}
}

func accept(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }

func TestSend(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	srv := newFakeService(t, accept)
	for _, tt := range []struct {
		args  []string
		stdin string
		uri   string // without the API version
		kind  string
		body  string
		out   string
	}{
		{[]string{"hello"}, "", ":send", "text/plain", "hello", `202 Accepted: sent 5 bytes of text to all connections of hub "chat" at ` + srv.URL},
		{[]string{"-group", "news", "-hub", "lobby", "two words"}, "", "groups/news/:send", "text/plain", "two words", `to group "news" of hub "lobby"`},
		{[]string{"-user", "alice", "-type", "json", `{"a": 1}`}, "", "users/alice/:send", "application/json", `{"a": 1}`, `of json to user "alice"`},
		{[]string{"-connection", "c1", "-ttl", "1m", "x"}, "", "connections/c1/:send&messageTtlSeconds=60", "text/plain", "x", `to connection "c1"`},
		{[]string{"-exclude", "c1", "-exclude", "c2", "-filter", "userId ne 'a'", "x"}, "", ":send&excluded=c1&excluded=c2&filter=userId%20ne%20%27a%27", "text/plain", "x", "202"},
		{[]string{"-"}, "from stdin\n", ":send", "text/plain", "from stdin", "10 bytes"},
		{[]string{"-type", "binary", "-"}, "a\x00\n", ":send", "application/octet-stream", "a\x00\n", "3 bytes of binary"},
		{[]string{"-file", file("t.txt", "windows\r\n")}, "", ":send", "text/plain", "windows", "7 bytes"},
		{[]string{"-type", "json", "-file", file("t.json", "[1]\n")}, "", ":send", "application/json", "[1]\n", "202"},
		{[]string{"-type", "json", "-file", "-"}, "null", ":send", "application/json", "null", "202"},
		{[]string{""}, "", ":send", "text/plain", "", "0 bytes"},
	} {
		out, errOut, status := exit(t, tt.stdin, srv.env(), append([]string{"send"}, tt.args...)...)
		if status != 0 || errOut != "" || !strings.Contains(out, tt.out) || !strings.Contains(out, "does not report whether a client receives it") {
			t.Errorf("%q: status %d\n%s%s", tt.args, status, out, errOut)
			continue
		}
		req, body := <-srv.requests, <-srv.bodies
		path, query, _ := strings.Cut(req.RequestURI, "?api-version=2024-12-01")
		_, path, _ = strings.Cut(strings.TrimPrefix(path, "/api/hubs/"), "/")
		if path+query != tt.uri || req.Header.Get("Content-Type") != tt.kind || body != tt.body {
			t.Errorf("%q: %s%s with %q of %s", tt.args, path, query, body, req.Header.Get("Content-Type"))
		}
	}
}

func TestSendPrintsJSON(t *testing.T) {
	srv := newFakeService(t, accept)
	out, _, _ := exit(t, "", srv.env(), "send", "-o", "json", "-group", "news", "hello")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	target, _ := got["target"].(map[string]any)
	if got["status"] != 202.0 || got["hub"] != "chat" || got["endpoint"] != srv.URL || got["dataType"] != "text" || got["bytes"] != 5.0 || target["type"] != "group" || target["name"] != "news" {
		t.Errorf("got %s", out)
	}
}

// What cannot be sent is an error of the command line, and no request is made.
func TestSendRejects(t *testing.T) {
	srv := newFakeService(t, accept)
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"send needs one message", nil},
		{"in quotes if it contains blanks", []string{"two", "words"}},
		{"mutually exclusive", []string{"-user", "a", "-group", "b", "x"}},
		{"either a message or -file", []string{"-file", big, "x"}},
		{"no such file", []string{"-file", big + "x"}},
		{"more than 1048576 bytes", []string{"-file", big}},
		{"not one JSON value", []string{"-type", "json", "{bad"}},
		{"not text in UTF-8: send it with -type binary", []string{"\xff"}},
		{"whole seconds, at most 5m", []string{"-ttl", "1500ms", "x"}},
		{"whole seconds, at most 5m", []string{"-ttl", "-1s", "x"}},
		{"do not apply to a single connection", []string{"-connection", "c", "-filter", "true", "x"}},
		{"do not apply to a single connection", []string{"-connection", "c", "-exclude", "d", "x"}},
		// The names that REST paths cannot carry, with what works in place of them.
		{`use -filter "'tenant/1' in groups"`, []string{"-group", "tenant/1", "x"}},
		{`use -filter "userId eq 'o''b/c'"`, []string{"-user", "o'b/c", "x"}},
		{"are removed", []string{"-connection", "..", "x"}},
	} {
		if out, errOut, status := exit(t, "", srv.env(), append([]string{"send"}, tt.args...)...); status != 2 || out != "" || !strings.Contains(errOut, tt.want) {
			t.Errorf("%q: status %d, %s%s, want %q", tt.args, status, out, errOut, tt.want)
		}
	}
	if len(srv.requests) > 0 {
		t.Errorf("%d requests were made", len(srv.requests))
	}
}

// An error response is one line; -v prints all of it. What a server writes into it
// does not reach the terminal as an escape sequence.
func TestSendExplainsResponses(t *testing.T) {
	srv := newFakeService(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("x-ms-error-code", "Error.BadRequest")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":"Error.BadRequest","message":"bad \u001b[31mfilter","detail":"more"}`+"\x1b[2J")
	})
	for _, tt := range []struct {
		args    []string
		want    string
		oneLine bool
	}{
		{[]string{"send", "x"}, "webpubsub: service: SendToAll: 400 Bad Request (Error.BadRequest)", true},
		{[]string{"send", "-v", "x"}, `"detail":"more"`, false},
	} {
		out, errOut, status := exit(t, "", srv.env(), tt.args...)
		if status != 1 || out != "" || !strings.Contains(errOut, tt.want) || (strings.Count(errOut, "\n") == 1) != tt.oneLine {
			t.Errorf("%q: status %d, %s%s", tt.args, status, out, errOut)
		}
		if strings.ContainsRune(errOut, '\x1b') {
			t.Errorf("%q: prints an escape sequence: %q", tt.args, errOut)
		}
	}
}

// The message of an error response is printed, on one line.
func TestSendPrintsTheMessageOfAnError(t *testing.T) {
	srv := newFakeService(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":"Error.BadRequest","message":"two\nlines \u001b[31m"}`)
	})
	if _, errOut, _ := exit(t, "", srv.env(), "send", "x"); !strings.HasSuffix(errOut, "SendToAll: 400 Bad Request (Error.BadRequest): two·lines ·[31m (-v prints the response)\n") {
		t.Errorf("got %q", errOut)
	}
}

func TestSendReportsRedirect(t *testing.T) {
	srv := newFakeService(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example/x?secret=verysecret", http.StatusTemporaryRedirect)
	})
	_, errOut, status := exit(t, "", srv.env(), "send", "x")
	if status != 1 || !strings.Contains(errOut, "redirected to https://login.example/x, which is not followed") || strings.Contains(errOut, "verysecret") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("status %d, %s", status, errOut)
	}
}
