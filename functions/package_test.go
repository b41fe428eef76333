package main_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/functionshost"
)

// repository is the root of the repository, seen from this package.
const repository = ".."

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHostJSON(t *testing.T) {
	config, err := functionshost.Load(repository, false)
	if err != nil {
		t.Fatal(err)
	}
	if config.Executable != "bin/functions" {
		t.Errorf("the executable is %s; README and Makefile build bin/functions", config.Executable)
	}
	if config.Forwarding {
		t.Error("a host that forwards responds to requests with chunked bodies with 500: host.json must set enableProxyingHttpRequest")
	}
	if want := []string{"negotiate", "events/{*event}", "index/{*file}"}; config.Prefix != "api" || !slices.Equal(config.Routes, want) {
		t.Errorf("the routes are %q under %q; package webapp serves %q under api", config.Routes, config.Prefix, want)
	}
}

func TestLocalSettings(t *testing.T) {
	var settings struct {
		IsEncrypted *bool
		Values      map[string]string
	}
	if err := json.Unmarshal(read(t, "local.settings.sample.json"), &settings); err != nil {
		t.Fatal(err)
	}
	if settings.IsEncrypted == nil || *settings.IsEncrypted {
		t.Error("IsEncrypted must be false; Core Tools take a missing one for true")
	}
	if got := settings.Values["FUNCTIONS_WORKER_RUNTIME"]; got != "custom" {
		t.Errorf("FUNCTIONS_WORKER_RUNTIME is %q; without custom, Core Tools prompt and the host rejects the routes of host.json", got)
	}
	for name := range settings.Values {
		if strings.Contains(name, ":") {
			t.Errorf("%s: a colon in a setting's name does not reach the environment on Linux; write __", name)
		}
	}
}

// Everything else in the repository must stay out of the package: it would be
// public to everyone who can read the deployment, and folders of tools are large.
func TestFuncignore(t *testing.T) {
	packs := functionshost.Packs(string(read(t, ".funcignore")))
	packed := []string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && (d.Name() == ".git" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return err
		}
		path, err = filepath.Rel(repository, path)
		// A developer's own build is the file that belongs in.
		if path = filepath.ToSlash(path); packs(path) && path != "bin/functions" {
			packed = append(packed, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(packed, []string{"host.json"}) {
		t.Errorf("the package gets %q besides bin/functions, want host.json alone", packed)
	}
	for path, want := range map[string]bool{
		"bin/functions":                  true,
		"bin/other":                      false,
		"local.settings.json":            false,
		"functions/main.go":              false,
		"interop/node_modules/ws/ws.js":  false,
		"dist/host.json":                 false,
		".github/workflows/ci.yml":       false,
		"infra/main.parameters.json":     false,
		"node_modules/x/bin/functions":   false,
		"functions/bin/functions/x.json": false,
	} {
		if packs(path) != want {
			t.Errorf("%s: packed is %v, want %v", path, !want, want)
		}
	}
}
