package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/emulator/settings"
)

// The file goes before what was set, and what was set before what was given at
// the start.
func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"hubs":{"chat":{"webSocketKeepAliveIntervalInSeconds":30}}}`)
	s, err := settings.New(map[string]settings.Hub{"CHAT": {KeepAlive: time.Minute}, "other": {AllowAnonymous: true}}, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(hub string, keepAlive time.Duration) {
		t.Helper()
		if got := s.Hub(hub).KeepAlive; got != keepAlive {
			t.Errorf("hub %s: %v, want %v", hub, got, keepAlive)
		}
	}
	expect("Chat", 30*time.Second)
	expect("other", 20*time.Second)
	expect("none", 20*time.Second)
	if err := s.SetHub("chat", settings.Hub{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a hub of the file was set: %v", err)
	}
	if err := s.SetHub("other", settings.Hub{KeepAlive: 90 * time.Second}); err != nil {
		t.Error(err)
	}
	expect("other", 90*time.Second)

	if changed, err := s.Reload(); changed != "" || err != nil {
		t.Errorf("reloaded what has not changed: %q %v", changed, err)
	}
	write(`{"hubs":`)
	if _, err := s.Reload(); err == nil {
		t.Error("a broken file was accepted")
	}
	if _, err := s.Reload(); err != nil {
		t.Errorf("the same error again: %v", err)
	}
	expect("chat", 30*time.Second)
	write(`{}`)
	if changed, err := s.Reload(); changed != path || err != nil {
		t.Errorf("not reloaded: %q %v", changed, err)
	}
	expect("chat", time.Minute)
	s.Reset()
	expect("other", 20*time.Second)
}

func TestInvalidSettings(t *testing.T) {
	for want, hubs := range map[string]map[string]settings.Hub{
		"twice": {"a": {}, "A": {}}, "1 s to 120 s": {"a": {KeepAlive: time.Hour}}, "hub": {"1": {}},
	} {
		if _, err := settings.New(hubs, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := settings.New(nil, filepath.Join(t.TempDir(), "none"), nil); err == nil {
		t.Error("a missing file was accepted")
	}
}
