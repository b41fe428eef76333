package functionshost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/functionshost"
)

func TestLoad(t *testing.T) {
	const good = `{"version": "2.0", "customHandler": {
		"description": {"defaultExecutablePath": "bin/functions"},
		"enableProxyingHttpRequest": true,
		"http": {"defaultAuthorizationLevel": "anonymous", "routes": [{"route": "negotiate"}, {"route": "events/{*event}"}]}}}`
	const declared = `{"bindings": [
		{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous"},
		{"type": "http", "direction": "out", "name": "res"}]}`
	for _, tt := range []struct {
		name, old, new string // the change to what is good
		want           string // part of the error, empty for none
	}{
		{"as it is", "", "", ""},
		{"own prefix", `"2.0",`, `"2.0", "extensions": {"http": {"routePrefix": ""}},`, ""},
		{"not JSON", `{"version"`, `"version"`, "invalid character"},
		{"old version", `"2.0"`, `"1.0"`, "version is"},
		{"no executable", "defaultExecutablePath", "executable", "defaultExecutablePath is missing"},
		{"executable with ./", "bin/functions", "./bin/functions", "not the name of an entry"},
		{"no mode", "enableProxyingHttpRequest", "enableProxying", "neither enableProxyingHttpRequest nor"},
		{"both modes", `"http":`, `"enableForwardingHttpRequest": true, "http":`, ""},
		{"no routes", "routes", "paths", "No job functions found"},
		{"empty route", "negotiate", "", "cannot be parsed"},
		{"catch-all in the middle", "events/{*event}", "events/{*event}/x", "cannot be parsed"},
		{"unclosed parameter", "{*event}", "{*event", "cannot be parsed"},
		{"key needed by default", `"defaultAuthorizationLevel": "anonymous", `, "", "authorization level"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			text := strings.Replace(good, tt.old, tt.new, 1)
			if err := os.WriteFile(filepath.Join(root, "host.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := functionshost.Load(root, false)
			if tt.want == "" && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}

			// The host does not start with routes and a function.json, one level down.
			if tt.name == "as it is" {
				folder := filepath.Join(root, "negotiate")
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "function.json"), []byte(declared), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := functionshost.Load(root, false); err == nil || !strings.Contains(err.Error(), "Detected both") {
					t.Errorf("got %v, want an error for function.json", err)
				}
			}
		})
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		route, path string
		want        bool
	}{
		{"negotiate", "negotiate", true},
		{"negotiate", "Negotiate/", true},
		{"negotiate", "negotiate/x", false},
		{"negotiate", "", false},
		{"events/{*event}", "events", true},
		{"events/{*event}", "events/validate", true},
		{"events/{*event}", "events/a/b", true},
		{"events/{*event}", "event", false},
		{"{hub}/events", "chat/events", true},
		{"{hub}/events", "/events", false},
		{"{*any}", "", true},
	} {
		if got := functionshost.Matches(tt.route, tt.path); got != tt.want {
			t.Errorf("route %q for %q: got %v, want %v", tt.route, tt.path, got, tt.want)
		}
	}
}

func TestPacks(t *testing.T) {
	for _, tt := range []struct {
		funcignore, path string
		want             bool
	}{
		{"", "main.go", true},
		{"# *.go\n\n", "main.go", true},
		{"*.go", "main.go", false},
		{"*.go", "app/app.go", true}, // anchored: not as git has it
		{"**.go", "app/app.go", false},
		{"infra", "infra/main.bicep", false},
		{"infra", "infra-old/main.bicep", false}, // a word boundary
		{"infra", "infrared/main.bicep", true},
		{"/infra", "infra/main.bicep", false},
		{"!bin/functions\n**", "bin/functions", true}, // whatever the order
		{"**\n!bin/functions", "bin/other", false},
		{"**\n!host.json", "hostXjson", false},
	} {
		if got := functionshost.Packs(tt.funcignore)(tt.path); got != tt.want {
			t.Errorf("%q for %s: got %v, want %v", tt.funcignore, tt.path, got, tt.want)
		}
	}
}
