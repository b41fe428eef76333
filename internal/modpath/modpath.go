// Package modpath reads, checks and changes the module path of a fork of this
// repository.
package modpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// placeholder is the host of this repository's own module path, which is
// reserved (RFC 2606).
const placeholder = "example.com/"

// CheckRelease reports why a release of the module in root could not be imported
// from the repository.
func CheckRelease(root, repository string) error {
	path, err := Read(filepath.Join(root, "go.mod"))
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

var moduleLine = regexp.MustCompile(`(?m)^module[ \t]+"?([^\s"]+)`)

// Read reads the module path from a go.mod file.
func Read(name string) (string, error) {
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

// Check rejects what the go command would reject later (Go Modules
// Reference, Module paths), and a URL.
func Check(path string) error {
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
