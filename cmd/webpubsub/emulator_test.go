package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
)

// The file of -hubs decides who gets a hub's events, and goes on doing so when
// it changes.
func TestEmulatorReadsHubs(t *testing.T) {
	asked := make(chan string, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		asked <- r.URL.Path + " " + strings.Split(r.Header.Get("Authorization"), " ")[0]
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "hubs.json")
	write := func(path string) {
		t.Helper()
		text := `{"hubs":{"game":{"anonymousConnectPolicy":"allow","eventHandlers":[{"urlTemplate":"` + web.URL + path +
			`","systemEvents":["connect"],"auth":{"type":"ManagedIdentity","managedIdentity":{"resource":"api://a"}}}]}}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("/one")
	log := &testlog.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, nil), []string{"emulator", "-addr", "localhost:0", "-hubs", file})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}()
	waitFor(t, func() bool { return strings.Contains(log.String(), "principal "+emulator.PrincipalID) }, "the managed identity")
	ready := regexp.MustCompile(`Endpoint=http(://localhost:\d+);`)
	waitFor(t, func() bool { return ready.MatchString(log.String()) }, "the connection string")
	connect := func(want string) {
		t.Helper()
		ws, _, err := websocket.DefaultDialer.Dial("ws"+ready.FindStringSubmatch(log.String())[1]+"/client/hubs/game", nil)
		if err != nil {
			t.Fatal(err)
		}
		ws.Close()
		if got := <-asked; got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	connect("/one Bearer")
	write("/two")
	waitFor(t, func() bool { return strings.Contains(log.String(), "reloaded "+file) }, "the reload")
	connect("/two Bearer")
}

func TestEmulatorFlagsExplainThemselves(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "hubs.json")
	if err := os.WriteFile(broken, []byte("{\n\"hubs\": {\"chat\": {\"handlers\": []}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"line 2: hubs.chat.handlers: there is no such setting", []string{"-hubs", broken}},
		{"no such file", []string{"-hubs", broken + "x"}},
		{"Jitter is 2m0s: 0 to 1m0s are allowed", []string{"-jitter", "2m"}},
		{"must be one of none, free, standard", []string{"-tier", "basic"}},
		{"only the tier standard has several units", []string{"-tier", "free", "-units", "2"}},
		{"only the tier standard has several units", []string{"-units", "2"}},
		{`invalid value "fast" for flag -latency`, []string{"-latency", "fast"}},
		{"-audience requires -upstream", []string{"-audience", "api://a"}},
	} {
		if _, _, err := call(t, nil, append([]string{"emulator", "-addr", "localhost:0"}, tt.args...)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.args, err)
		}
	}
}

// Every valid name is a hub, so a mistyped one works, and reaches nobody.
func TestReportsUnknownHubs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hubs.json")
	if err := os.WriteFile(file, []byte(`{"hubs":{"Game":{"anonymousConnectPolicy":"allow"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &testlog.Buffer{}
	l := &lines{w: log, hub: "chat", hubsFile: file}
	for _, hub := range []string{"", "chat", "CHAT", "game", "typo", "TYPO", "other"} {
		l.entry(emulator.Entry{Kind: emulator.EntrySent, Hub: hub, Name: "all"})
	}
	if got := strings.Count(log.String(), "is used for the first time"); got != 2 ||
		!strings.Contains(log.String(), "hub typo is used for the first time") || !strings.Contains(log.String(), "hub other is used") {
		t.Errorf("printed\n%s", log)
	}
}

func TestWarnsAboutPublicDefaultKey(t *testing.T) {
	for _, tt := range []struct {
		addr, key string
		want      bool
	}{
		{emulator.DefaultAddr, emulator.DefaultAccessKey, false},
		{"127.0.0.1:0", emulator.DefaultAccessKey, false},
		{"[::1]:0", emulator.DefaultAccessKey, false},
		{":8080", emulator.DefaultAccessKey, true},
		{"0.0.0.0:8080", emulator.DefaultAccessKey, true},
		{"0.0.0.0:8080", "secret", false},
	} {
		if got := publicKeyWarning(tt.addr, tt.key); strings.Contains(got, "-key") != tt.want {
			t.Errorf("%s with %s: %q", tt.addr, tt.key, got)
		}
	}
}

// The flags are in force, and are printed.
func TestEmulatorSimulatesANetwork(t *testing.T) {
	log := &testlog.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ready := filepath.Join(t.TempDir(), "ready.json")
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, []string{"WEBPUBSUB_HANDLER_LATENCY=3ms"}), []string{
			"emulator", "-addr", "localhost:0", "-latency", "1ms", "-jitter", "2ms", "-bandwidth", "100000", "-tier", "free", "-ready-file", ready,
		})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}()
	var r readiness
	waitFor(t, func() bool {
		data, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(data, &r) == nil
	}, "the ready file")
	if want := "Limits of the tier free.\nSimulated network: latency 1ms, jitter 2ms, 100000 bytes per second, 3ms to event handlers.\n"; !strings.Contains(log.String(), want) {
		t.Errorf("printed\n%s", log)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ControlURL+"/network", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.ControlToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || strings.TrimSpace(string(body)) != `{"latencyMs":1,"jitterMs":2,"bandwidth":100000,"handlerLatencyMs":3}` {
		t.Errorf("%s, %v", body, err)
	}
}

// What clients do is copied to a file, one line of JSON for each event.
func TestEmulatorCopiesEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events.jsonl")
	log := &testlog.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, nil), []string{"emulator", "-addr", "localhost:0", "-anonymous", "-event-listener", file})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}()
	ready := regexp.MustCompile(`Endpoint=http(://localhost:\d+);`)
	waitFor(t, func() bool { return ready.MatchString(log.String()) }, "the connection string")
	ws, _, err := websocket.DefaultDialer.Dial("ws"+ready.FindStringSubmatch(log.String())[1]+"/client/hubs/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		text, _ := os.ReadFile(file)
		return strings.Contains(string(text), `"body":"hello"`)
	}, "the event in the file")
}

func TestCopyTo(t *testing.T) {
	for target, want := range map[string]emulator.EventListener{
		"-": {File: "-"}, "a.jsonl": {File: "a.jsonl"}, "HTTP://localhost:1": {URL: "HTTP://localhost:1"}, "https://x": {URL: "https://x"},
	} {
		if got := copyTo(target); got.File != want.File || got.URL != want.URL || got.UserEvents != "*" || len(got.SystemEvents) != 2 {
			t.Errorf("%s: %+v", target, got)
		}
	}
}
