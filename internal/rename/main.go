// Command rename gives a fork of this repository a module path of its own. It
// rewrites the path in go.mod, in every import, and wherever else a text file
// of the tree names it.
//
//	go run ./internal/rename github.com/you/chat
//
// The present path is read from go.mod, so the command can be run again with
// the same path, which changes nothing, or with another.
//
// With -check it changes nothing. It fails if the module path is the placeholder
// of this repository, or not the path of the repository that is given: a release of such a
// module could not be imported.
//
//	go run ./internal/rename -check github.com/you/chat
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-check" {
		if err := checkRelease(".", os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "rename:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/rename <module path>, for example github.com/you/chat")
		os.Exit(2)
	}
	changed, err := rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
	for _, name := range changed {
		fmt.Println(name)
	}
	fmt.Printf("%d files changed: the module is %s\n", len(changed), os.Args[1])
}

// placeholder is the host of this repository's own module path, which is
// reserved (RFC 2606).
const placeholder = "example.com/"

// checkRelease reports why a release of the module in root could not be imported
// from the repository.
func checkRelease(root, repository string) error {
	path, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	name, major := path, path[strings.LastIndexByte(path, '/')+1:]
	if version.MatchString(major) {
		name = strings.TrimSuffix(path, "/"+major)
	}
	switch {
	case strings.HasPrefix(path, placeholder):
		return fmt.Errorf("the module path %s is a placeholder: run go run ./internal/rename %s", path, repository)
	case !strings.EqualFold(name, repository): // GitHub compares without case
		return fmt.Errorf("the module path %s is not that of the repository %s: run go run ./internal/rename %[2]s", path, repository)
	}
	return nil
}

// rename makes to the module path of the tree below root. It returns the files
// that it changed.
func rename(root, to string) ([]string, error) {
	if err := checkPath(to); err != nil {
		return nil, err
	}
	from, err := modulePath(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	if from == to {
		return nil, nil
	}
	var changed []string
	rewrite := func(name string) error {
		ok, err := rewriteFile(name, from, to)
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

// skipDir reports whether a folder holds what tools made or fetched.
func skipDir(root, name string) bool {
	switch filepath.Base(name) {
	case ".git", ".venv", "node_modules":
		return true
	}
	return name == filepath.Join(root, "bin") || name == filepath.Join(root, "dist")
}

// rewriteFile reports whether the file named from and was rewritten.
func rewriteFile(name, from, to string) (bool, error) {
	old, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	if !bytes.Contains(old, []byte(from)) || bytes.IndexByte(old, 0) >= 0 || !utf8.Valid(old) {
		return false, nil
	}
	text := replace(string(old), from, to)
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

var moduleLine = regexp.MustCompile(`(?m)^module[ \t]+"?([^\s"]+)`)

// modulePath reads the module path from a go.mod file.
func modulePath(name string) (string, error) {
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("there is no go.mod here: run the command in the root of the repository")
	}
	if err != nil {
		return "", err
	}
	m := moduleLine.FindSubmatch(content)
	if m == nil {
		return "", fmt.Errorf("%s has no module line", name)
	}
	return string(m[1]), nil
}

var (
	hostLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	element   = regexp.MustCompile(`^[A-Za-z0-9_~-]([A-Za-z0-9._~-]*[A-Za-z0-9_~-])?$`)
	version   = regexp.MustCompile(`^v[0-9]+$`)
	goodMajor = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)
)

// checkPath refuses what the go command would refuse later on (Go Modules
// Reference, Module paths), and a URL.
func checkPath(path string) error {
	const example = "write it like github.com/you/chat"
	if strings.Contains(path, "://") || strings.HasSuffix(path, ".git") {
		return fmt.Errorf("%q is a URL, not a module path: %s", path, example)
	}
	elements := strings.Split(path, "/")
	labels := strings.Split(elements[0], ".")
	if len(labels) < 2 || len(elements) < 2 {
		return fmt.Errorf("module path %q does not begin with a host and a name: %s", path, example)
	}
	for _, l := range labels {
		if !hostLabel.MatchString(l) {
			return fmt.Errorf("module path %q: %q is not a host name in lower case: %s", path, elements[0], example)
		}
	}
	for _, e := range elements[1:] {
		if !element.MatchString(e) {
			return fmt.Errorf("module path %q: the part %q must be letters, digits, - _ ~ and inner dots: %s", path, e, example)
		}
	}
	if last := elements[len(elements)-1]; version.MatchString(last) && !goodMajor.MatchString(last) {
		return fmt.Errorf("module path %q: a major version at its end begins with v2", path)
	}
	return nil
}
