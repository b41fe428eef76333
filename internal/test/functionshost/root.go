package functionshost

import (
	"os"
	"path/filepath"
	"testing"
)

// NewRoot returns the folder of an app with these files, by their paths with
// forward slashes. The executable, if there is one, is a link to a program.
func NewRoot(tb testing.TB, files map[string]string, executable, program string) (root string) {
	tb.Helper()
	root = tb.TempDir()
	path := func(name string) string {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			tb.Fatal(err)
		}
		return file
	}
	for name, text := range files {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	if executable != "" {
		if err := os.Symlink(program, path(executable)); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// FunctionJSON declares a function for a route, which needs no key.
func FunctionJSON(route string) string {
	return `{"bindings": [
		{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous", "route": "` + route + `"},
		{"type": "http", "direction": "out", "name": "res"}]}`
}
