package functionapp_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"example.com/webpubsub/internal/functionapp"
)

// Which functions a package has, by the name of its program. A program elsewhere,
// such as an example, used to be rejected unless its name was that of a route.
func TestFilesOfPrograms(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "host.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"host.json", "negotiate/function.json", "events/function.json", "index/function.json"}
	for program, want := range map[string][]string{
		"./functions/negotiate":             {"host.json", "negotiate/function.json"},
		"./functions/events/":               {"host.json", "events/function.json"},
		"./functions":                       all,
		"./examples/minimal":                all,
		"example.com/webpubsub/cmd/another": all,
	} {
		files, executable, err := functionapp.Files(fstest.MapFS{}, text, program)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range files {
			paths = append(paths, f.Path)
		}
		if !slices.Equal(paths, want) || executable != "bin/functions" {
			t.Errorf("%s: got %q and %s, want %q and bin/functions", program, paths, executable, want)
		}
	}
	if _, _, err := functionapp.Files(fstest.MapFS{}, text, "./functions/other"); err == nil || !strings.Contains(err.Error(), "begins with other") {
		t.Errorf("a function without a route: %v", err)
	}
}

// For any host.json, what is written is JSON inside the package.
func FuzzFiles(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("..", "..", "host.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("customHandler"), []byte("CUSTOMHANDLER")))
	f.Add([]byte(`{"customHandler":{"description":{"defaultExecutablePath":"a"},"HTTP":{"routes":[{"route":"a"}]},"http":{"routes":null}},"customhandler":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		files, _, err := functionapp.Files(fstest.MapFS{}, text, "./functions")
		if err != nil {
			return
		}
		for _, file := range files {
			if !filepath.IsLocal(file.Path) || !json.Valid(file.Data) {
				t.Errorf("%q holds %s", file.Path, file.Data)
			}
		}
	})
}
