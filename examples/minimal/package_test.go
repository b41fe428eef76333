package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/functionshost"
)

// The template deploys an example: its package runs under the test double of the
// Functions host, with all routes.
func TestPackage(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("the package is not built in short mode, and its program is for Linux")
	}
	file := filepath.Join(t.TempDir(), "app.zip")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/webpubsub", "package", "-arch", runtime.GOARCH, "-o", file, "./examples/minimal")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	host := functionshost.Start(t, functionshost.Options{
		Root:     functionshost.Unzip(t, file),
		Settings: []string{"WebPubSubConnectionString=" + handlertest.ConnectionString, "WebPubSubAllowUserIdQuery=true"},
	})
	for path, want := range map[string]string{
		"/api/negotiate?userId=alice": `"accessToken"`,
		"/api/index":                  "<h1>Echo</h1>",
		"/api/index/look.js":          "export function connect",
		"/api/index/client.js":        "export class Client",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, body := functionshost.Do(t, r); resp.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}
