package modpath

import (
	"bytes"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// repositoryPlaceholder is the repository in links of this tree. It is not one literal,
// which would be renamed itself.
const repositoryPlaceholder = "github.com/OWNER/" + "REPOSITORY"

// Rename makes to the module path of the tree below root, and the repository of a path
// on GitHub that of its links. It returns the files that it changed.
func Rename(root, to string) ([]string, error) {
	if err := Check(to); err != nil {
		return nil, err
	}
	from, err := Read(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, nil
	}
	replacements := [][2]string{{from, to}}
	if repository, ok := gitHubRepository(to); ok {
		replacements = append(replacements, [2]string{repositoryPlaceholder, repository})
	}
	var changed []string
	rewrite := func(name string) error {
		ok, err := rewriteFile(name, replacements)
		if ok {
			changed = append(changed, name)
		}
		return err
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipDir(root, name):
			return filepath.SkipDir
		case !d.Type().IsRegular() || name == filepath.Join(root, "go.mod"):
			return nil
		}
		return rewrite(name)
	})
	if err != nil {
		return changed, err
	}
	// go.mod is last: a run that failed half-way still knows the old path when
	// it is repeated.
	return changed, rewrite(filepath.Join(root, "go.mod"))
}

// skipDir reports whether a folder contains what tools generated or downloaded.
func skipDir(root, name string) bool {
	switch filepath.Base(name) {
	case ".git", ".venv", "node_modules":
		return true
	}
	return name == filepath.Join(root, "bin") || name == filepath.Join(root, "dist")
}

// gitHubRepository returns the repository of a module path.
func gitHubRepository(path string) (string, bool) {
	elements := strings.SplitN(path, "/", 4)
	if len(elements) < 3 || elements[0] != "github.com" {
		return "", false
	}
	return strings.Join(elements[:3], "/"), true
}

// rewriteFile reports whether the file contained one of the paths and was rewritten.
func rewriteFile(name string, replacements [][2]string) (bool, error) {
	old, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	if bytes.IndexByte(old, 0) >= 0 || !utf8.Valid(old) {
		return false, nil
	}
	text := string(old)
	for _, r := range replacements {
		text = replace(text, r[0], r[1])
	}
	if text == string(old) {
		return false, nil
	}
	content := []byte(text)
	if filepath.Ext(name) == ".go" {
		// The new path may sort differently among its neighbours.
		if content, err = format.Source(content); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
	}
	info, err := os.Stat(name)
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(name, content, info.Mode())
}

// replace rewrites from where it is a whole path or the beginning of a longer one:
// not in from+"2", and not behind another host label.
func replace(text, from, to string) string {
	var b strings.Builder
	for {
		i := strings.Index(text, from)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		end := i + len(from)
		path := to
		if (i > 0 && isPathByte(text[i-1])) || (end < len(text) && text[end] != '.' && isPathByte(text[end])) {
			path = from
		}
		b.WriteString(text[:i])
		b.WriteString(path)
		text = text[end:]
	}
}

func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
