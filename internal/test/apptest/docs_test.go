package apptest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	_ "example.com/webpubsub/internal/test/apptest"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// The application of docs/getting-started.md, and its test, are run in place of what
// is in app. The test is in this package because what they import is compiled when
// that of this package is.
func TestGettingStarted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the application of the page in place of app")
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	page, err := os.ReadFile("docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of Go, want the application and its test", len(blocks))
	}
	dir := t.TempDir()
	replace := make(map[string]string)
	app, err := filepath.Abs("app")
	if err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob(filepath.Join(app, "*.go"))
	if err != nil || len(others) == 0 {
		t.Fatal(others, err)
	}
	for _, file := range others {
		replace[file] = "" // removed
	}
	for i, name := range []string{"app.go", "app_test.go"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, blocks[i][1], 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(app, name)] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "test", "-count=1", "-overlay", file, "-run", "^TestHello$", "-v", "./app").CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^--- PASS: TestHello `).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
