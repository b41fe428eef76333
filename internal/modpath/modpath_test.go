package modpath

import (
	"bytes"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No file of the renamed tree contains the old path, and Go files stay formatted.
// That it builds and runs is what scripts/fork-check shows.
func TestRenameTree(t *testing.T) {
	const root = "../.."
	old, err := Read(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	const renamed = "aaa.test/some-one/Chat.app/v2" // sorts before every other import
	dir := t.TempDir()
	copyTree(t, root, dir)

	if changed, err := Rename(dir, renamed); err != nil || !slices.Contains(changed, filepath.Join(dir, "go.mod")) {
		t.Fatalf("changed %q, %v", changed, err)
	}
	if path, err := Read(filepath.Join(dir, "go.mod")); err != nil || path != renamed {
		t.Errorf("module path is %q, %v", path, err)
	}
	walk(t, dir, func(name string, content []byte) {
		if strings.Contains(string(content), old) {
			t.Errorf("%s still names %s", name, old)
		}
		if filepath.Ext(name) != ".go" {
			return
		}
		if formatted, err := format.Source(content); err != nil || !bytes.Equal(formatted, content) {
			t.Errorf("%s is not formatted: %v", name, err)
		}
	})
	if changed, err := Rename(dir, renamed); err != nil || len(changed) != 0 {
		t.Errorf("a second run changes %q, %v", changed, err)
	}
}

func TestRenameFiles(t *testing.T) {
	tree := map[string][2]string{
		"go.mod":                   {"module old.test/m\n\ngo 1.26.0\n", "module new.test/x\n\ngo 1.26.0\n"},
		"bench/go.mod":             {"module old.test/m/bench\n\nreplace old.test/m => ../\n", "module new.test/x/bench\n\nreplace new.test/x => ../\n"},
		"a.go":                     {"package a\n\nimport (\n\t\"old.test/m/b\"\n\t\"pear.test/z\"\n)\n", "package a\n\nimport (\n\t\"new.test/x/b\"\n\t\"pear.test/z\"\n)\n"},
		"sorted.go":                {"package a\n\nimport (\n\t\"oak.test/z\"\n\t\"old.test/m/b\"\n)\n", "package a\n\nimport (\n\t\"new.test/x/b\"\n\t\"oak.test/z\"\n)\n"},
		"README.md":                {"Get old.test/m. See https://docs.test/old.test/m/b, (old.test/m).", "Get new.test/x. See https://docs.test/new.test/x/b, (new.test/x)."},
		"other.md":                 {"old.test/mine sub.old.test/m old.test/m-2", "old.test/mine sub.old.test/m old.test/m-2"},
		".github/workflows/ci.yml": {"run: go run old.test/m/c\n", "run: go run new.test/x/c\n"},
		"node_modules/p/index.js":  {"old.test/m", "old.test/m"},
		"dist/x":                   {"old.test/m", "old.test/m"},
		"picture":                  {"\x00old.test/m", "\x00old.test/m"},
		"app/bin/x":                {"old.test/m", "new.test/x"},
	}
	dir := t.TempDir()
	for name, text := range tree {
		write(t, filepath.Join(dir, name), []byte(text[0]), 0o640)
	}
	changed, err := Rename(dir, "new.test/x")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range tree {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text[1] {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, text[1])
		}
		if slices.Contains(changed, filepath.Join(dir, name)) != (text[0] != text[1]) {
			t.Errorf("%s is reported wrongly: %q", name, changed)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "a.go"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o640 {
		t.Errorf("mode of a changed file is %v", info.Mode())
	}
}

// The address for "git clone" and the badges of the README name the repository.
func TestRenameRepository(t *testing.T) {
	for to, want := range map[string]string{
		"github.com/you/chat":      "git clone https://github.com/you/chat.git https://github.com/you/chat/actions",
		"github.com/you/mono/chat": "git clone https://github.com/you/mono.git https://github.com/you/mono/actions",
		"github.com/you/chat/v2":   "git clone https://github.com/you/chat.git https://github.com/you/chat/actions",
		"code.test/you/chat":       "git clone https://" + repositoryPlaceholder + ".git https://" + repositoryPlaceholder + "/actions",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "go.mod"), []byte("module old.test/m\n"), 0o600)
		readme := filepath.Join(dir, "README.md")
		write(t, readme, []byte("git clone https://"+repositoryPlaceholder+".git https://"+repositoryPlaceholder+"/actions"), 0o600)
		if _, err := Rename(dir, to); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(readme); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", to, got, err, want)
		}
	}
}

func TestRenameNeedsModule(t *testing.T) {
	if _, err := Rename(t.TempDir(), "new.test/x"); err == nil || !strings.Contains(err.Error(), "root of the repository") {
		t.Errorf("error is %v", err)
	}
}

func TestCheckPath(t *testing.T) {
	for _, path := range []string{
		"github.com/you/chat", "github.com/You/Chat.app", "git.sr.ht/~you/chat",
		"example.com/chat", "github.com/you/chat/v2", "github.com/you/chat/v10", "github.com/you/v8engine",
	} {
		if err := Check(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, want := range map[string]string{
		"":                             "host",
		"chat":                         "host",
		"you/chat":                     "host",
		"github.com":                   "host",
		"https://github.com/you/chat":  "URL",
		"github.com/you/chat.git":      "URL",
		"git@github.com:you/chat":      "lower case",
		"GitHub.com/you/chat":          "lower case",
		"github..com/you/chat":         "lower case",
		"-a.com/you/chat":              "lower case",
		"github.com/you/chat/":         "part",
		"github.com//chat":             "part",
		"github.com/you/../chat":       "part",
		"github.com/you/.chat":         "part",
		"github.com/you/chat.":         "part",
		"github.com/you/my chat":       "part",
		"github.com/you/chät":          "part",
		"github.com/you/chat\nmodule":  "part",
		"github.com/you/chat/v0":       "v2",
		"github.com/you/chat/v1":       "v2",
		"github.com/you/chat/v02":      "v2",
		"github.com/you/chat\"; rm -r": "part",
	} {
		if err := Check(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want one with %q", path, err, want)
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	walk(t, from, func(name string, content []byte) {
		rel, err := filepath.Rel(from, name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, rel), content, 0o644)
	})
}

// walk calls f with each file below root that rename would look at.
func walk(t *testing.T, root string, f func(name string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipDir(root, name):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(name)
		if err == nil {
			f(name, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name string, content []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		t.Fatal(err)
	}
}

// A release under the placeholder, or of another repository, can be imported by
// nobody.
func TestCheckRelease(t *testing.T) {
	for _, tt := range []struct{ path, repository, want string }{
		{"github.com/you/chat", "github.com/you/chat", ""},
		{"github.com/You/Chat", "github.com/you/chat", ""},
		{"github.com/you/chat/v2", "github.com/you/chat", ""},
		{"example.com/chat", "github.com/you/chat", "is a placeholder: run go run ./internal/rename github.com/you/chat"},
		{"github.com/you/chat", "github.com/them/chat", "is not that of the repository github.com/them/chat"},
		{"github.com/you/chat/v2x", "github.com/you/chat", "is not that of the repository"},
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+tt.path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := CheckRelease(root, tt.repository)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s in %s: %v, want %q", tt.path, tt.repository, err, tt.want)
		}
	}
	if err := CheckRelease(t.TempDir(), "github.com/you/chat"); err == nil {
		t.Error("no go.mod is no error")
	}
}
