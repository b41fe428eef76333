package webpubsub_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// CONTRIBUTING.md lists every fuzz target, so that a parser without one shows.
func TestFuzzTargetsAreListed(t *testing.T) {
	contributing, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	seen := 0
	err = fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			seen++
			if !strings.Contains(string(contributing), "`"+m[1]+"`") {
				t.Errorf("%s of %s is not in the list of CONTRIBUTING.md", m[1], path)
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Errorf("%d targets, %v", seen, err)
	}
}
