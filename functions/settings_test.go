package main_test

import (
	"encoding/json"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
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
	inCode := constants(t, "app/config.go", `^(setting|platformAuthEnabled$|identityEndpoint$)`)
	settings := maps.Clone(inCode)
	maps.Copy(inCode, constants(t, "hosting/run.go", `^env`))

	onPage := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(read(t, "docs/configuration.md")), -1) {
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

	manual := string(read(t, "app/doc.go"))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if strings.HasPrefix(name, "WebPubSub") && !strings.Contains(manual, "//	"+name+" ") {
			t.Errorf("the manual of package app lacks %s", name)
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
