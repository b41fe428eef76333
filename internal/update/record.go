package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// recordFile is the file of a fork that contains what it was last updated to. A file,
// and not a merge commit, since it survives the squashing of a pull request.
const recordFile = ".upstream"

const recordHelp = `# What this repository was last updated to, by go run ./internal/update.
# Files and folders in "keep" lines are left as they are here.
`

// record is the content of the file.
type record struct {
	url    string
	commit string
	keep   []string
}

func (r record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%surl %s\ncommit %s\n", recordHelp, r.url, r.commit)
	for _, k := range r.keep {
		fmt.Fprintf(&b, "keep %s\n", k)
	}
	return b.String()
}

// parseRecord reads the file.
func parseRecord(text string) (record, error) {
	var r record
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		key, value, _ := strings.Cut(line, " ")
		value = strings.TrimSpace(value)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case key == "url" && value != "":
			r.url = value
		case key == "commit" && value != "":
			r.commit = value
		case key == "keep" && fs.ValidPath(path.Clean(value)) && path.Clean(value) != ".":
			r.keep = append(r.keep, path.Clean(value))
		default:
			return record{}, fmt.Errorf("%s: line %d is %q, want url, commit, or keep and a path in this repository", recordFile, n, line)
		}
	}
	return r, lines.Err()
}

// checkSource rejects what must not be in the file, or would mean something else to
// git.
func checkSource(source, ref string) error {
	switch u, err := url.Parse(source); {
	case source == "":
		return errors.New("give the URL of the repository that this one was made from, for example: go run ./internal/update https://github.com/UPSTREAM/webpubsub")
	case strings.HasPrefix(source, "-") || strings.ContainsAny(source, " \t\r\n"):
		return fmt.Errorf("%q is not the URL of a repository", source)
	case err == nil && u.User != nil && u.Scheme != "ssh":
		return fmt.Errorf("the URL of upstream contains a user or password: give it without, and let a credential helper of git provide them")
	}
	if strings.HasPrefix(ref, "-") || strings.HasPrefix(ref, "+") || strings.ContainsAny(ref, ": \t\r\n") {
		return fmt.Errorf("%q is not a branch, tag or commit", ref)
	}
	return nil
}
