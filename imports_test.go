package webpubsub_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages that stand beside each other, each with those that it
// may import beside the root and internal: a program that uses one room does not
// get the others with it.
var rooms = map[string][]string{
	"handler":             {},
	"handler/handlertest": {"handler"},
	"service":             {},
	"client":              {},
	"emulator":            {},
	"hosting":             {},
	"webapp":              {"handler", "service", "hosting"},
	"tunnel":              {},
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.Module.Path}} {{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		module := words[0] + "/"
		pkg := strings.TrimPrefix(words[1], module)
		testOnly := strings.HasPrefix(pkg, "internal/test/")
		for _, imported := range words[2:] {
			if !testOnly && strings.HasPrefix(imported, module+"internal/test/") {
				t.Errorf("%s imports %s outside its tests", pkg, imported)
			}
		}
		allowed, isRoom := rooms[pkg]
		if isRoom {
			seen++
		} else if testOnly || !strings.HasPrefix(pkg, "internal/") {
			continue // programs, tests and the application may import everything
		}
		for _, imported := range words[2:] {
			room, ours := strings.CutPrefix(imported, module)
			if ours && !strings.HasPrefix(room, "internal/") && !slices.Contains(allowed, room) {
				t.Errorf("%s imports %s", pkg, room)
			}
		}
	}
	if seen != len(rooms) {
		t.Errorf("%d of %d rooms are there", seen, len(rooms))
	}
}
