package functionapp_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"example.com/webpubsub/internal/functionapp"
)

// The packages of the two single programs, by their files alone.
func TestFilesOfOneFunction(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "host.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"negotiate", "events"} {
		files, executable, err := functionapp.Files(fstest.MapFS{}, text, "./functions/"+name)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range files {
			paths = append(paths, f.Path)
		}
		if want := []string{"host.json", name + "/function.json"}; !slices.Equal(paths, want) || executable != "bin/functions" {
			t.Errorf("%s: got %q and %s, want %q and bin/functions", name, paths, executable, want)
		}
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
