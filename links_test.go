package webpubsub_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	linkTarget = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeBlock  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	codeSpan   = regexp.MustCompile("`[^`\n]*`")
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// Pages are moved and headings renamed, and links to them stayed behind. Every
// relative link of a Markdown file leads to a file or folder of the repository, and
// its fragment to a heading there.
func TestRelativeLinks(t *testing.T) {
	root := os.DirFS(".")
	links := 0
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name := d.Name(); {
			case name == "node_modules", name == "testdata", name == "dist", name == ".git", name == ".venv":
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(string(text), ""), "")
		for _, m := range linkTarget.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(m[1], ":") {
				continue // a URL
			}
			links++
			if problem := checkLink(root, file, m[1]); problem != "" {
				t.Errorf("%s: (%s): %s", file, m[1], problem)
			}
		}
		return nil
	})
	if err != nil || links == 0 {
		t.Errorf("%d links, %v", links, err)
	}
}

func checkLink(root fs.FS, file, link string) (problem string) {
	target, fragment, _ := strings.Cut(link, "#")
	name := file
	if target != "" {
		name = path.Join(path.Dir(file), target)
	}
	if _, err := fs.Stat(root, name); err != nil {
		return "there is no such file"
	}
	if fragment == "" || path.Ext(name) != ".md" {
		return ""
	}
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err.Error()
	}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
		if slug(m[1]) == fragment {
			return ""
		}
	}
	return "there is no such heading"
}

// slug is the fragment by which GitHub addresses a heading.
func slug(heading string) string {
	return strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func TestCheckLink(t *testing.T) {
	root := fstest.MapFS{
		"docs/a.md":  {Data: []byte("# A: `b`\n")},
		"docs/b.md":  {Data: []byte("## 3. To AWS\n\n```sh\n# in a code block\n```\n\n## Negotiate: and c_o\n")},
		"picture.md": {Data: []byte("# Picture\n")},
	}
	for link, want := range map[string]string{
		"b.md":                   "",
		"../docs":                "",
		"../picture.md#picture":  "",
		"b.md#3-to-aws":          "",
		"b.md#negotiate-and-c_o": "",
		"#a-b":                   "",
		"picture.md":             "there is no such file",
		"../../docs/b.md":        "there is no such file",
		"b.md#other":             "there is no such heading",
		"b.md#in-a-code-block":   "there is no such heading",
	} {
		if got := checkLink(root, "docs/a.md", link); got != want {
			t.Errorf("%s: got %q, want %q", link, got, want)
		}
	}
}
