package main_test

import (
	"encoding/json"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// constants returns the string constants of a file whose names match.
func constants(t *testing.T, file, names string) map[string]bool {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, filepath.Join(repository, file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The imports are missing, which does not matter to constants.
	config := types.Config{Error: func(error) {}}
	pkg, _ := config.Check("p", set, []*ast.File{f}, nil)
	out := make(map[string]bool)
	for _, name := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(name).(*types.Const); ok && c.Val().Kind() == constant.String && regexp.MustCompile(names).MatchString(name) {
			out[constant.StringVal(c.Val())] = true
		}
	}
	if len(out) < 2 {
		t.Fatalf("%s: found %d constants %s", file, len(out), names)
	}
	return out
}

// The page of the settings lists what the code reads, all of it and no more.
func TestConfigurationPage(t *testing.T) {
	inCode := constants(t, "webapp/config.go", `^(setting|platformAuthEnabled$|identityEndpoint$)`)
	settings := maps.Clone(inCode)
	maps.Copy(inCode, constants(t, "hosting/run.go", `^env`))

	onPage := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^-`][^`]*)` \\|").FindAllStringSubmatch(string(read(t, "docs/configuration.md")), -1) {
		if onPage[row[1]] {
			t.Errorf("docs/configuration.md lists %s twice", row[1])
		}
		onPage[row[1]] = true
	}
	for _, name := range slices.Sorted(maps.Keys(inCode)) {
		if !onPage[name] {
			t.Errorf("docs/configuration.md lacks %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(onPage)) {
		if !inCode[name] {
			t.Errorf("docs/configuration.md has %s, which nothing reads", name)
		}
	}

	manual := string(read(t, "webapp/doc.go"))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if strings.HasPrefix(name, "WebPubSub") && !strings.Contains(manual, "//	"+name+" ") {
			t.Errorf("the manual of package webapp lacks %s", name)
		}
	}

	var sample struct{ Values map[string]string }
	if err := json.Unmarshal(read(t, "local.settings.sample.json"), &sample); err != nil {
		t.Fatal(err)
	}
	for name := range sample.Values {
		if !onPage[name] && name != "FUNCTIONS_WORKER_RUNTIME" && name != "AzureWebJobsStorage" {
			t.Errorf("local.settings.sample.json has %s, which nothing reads", name)
		}
	}
}

// The pages refer to each other, and to parts of each other, by links that lead
// somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, pattern := range []string{"*.md", "docs/*.md", "infra/*.md"} {
		pages, err := filepath.Glob(filepath.Join(repository, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatal("no pages", pattern, err)
		}
		for _, page := range pages {
			rel, _ := filepath.Rel(repository, page)
			for _, m := range link.FindAllStringSubmatch(string(read(t, rel)), -1) {
				target, anchor, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				file := filepath.Join(filepath.Dir(rel), target)
				if target == "" {
					file = rel
				}
				if _, err := os.Stat(filepath.Join(repository, file)); err != nil {
					t.Errorf("%s: %s leads nowhere", rel, m[1])
				} else if anchor != "" && !headings(string(read(t, file)))[anchor] {
					t.Errorf("%s: %s has no heading %s", rel, file, anchor)
				}
			}
		}
	}
}

// headings returns the names that headings have in links.
func headings(page string) map[string]bool {
	out := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		out[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(name, "")] = true
	}
	return out
}
