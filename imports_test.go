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

// emulatorRooms are the packages below internal/emulator, each with those of them
// that it may import. The comment of each package says which locks it has, and
// what may be called under them.
var emulatorRooms = map[string][]string{
	"task":      {},
	"journal":   {},
	"fault":     {},
	"network":   {},
	"limits":    {},
	"memnet":    {},
	"filter":    {},
	"entra":     {},
	"tunnels":   {},
	"access":    {},
	"frame":     {},
	"listeners": {"journal", "task"},
	"settings":  {"access", "limits", "listeners"},
	"broker":    {"frame", "journal"},
	"transport": {"frame", "network", "task"},
	"events":    {"broker", "journal", "task"},
	"session":   {"broker", "events", "fault", "frame", "journal", "limits", "task", "transport"},
	"endpoint":  {"access", "broker", "events", "fault", "frame", "journal", "limits", "session", "settings", "transport"},
	"rest":      {"access", "broker", "filter", "journal", "transport"},
	"control":   {"access", "broker", "endpoint", "events", "fault", "filter", "journal", "limits", "listeners", "network", "settings", "task", "transport", "tunnels"},
}

func TestPackageDependencies(t *testing.T) {
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
			// So that a fork can delete the examples.
			if strings.HasPrefix(imported, module+"examples/") && !strings.HasPrefix(pkg, "examples/") {
				t.Errorf("%s imports %s", pkg, imported)
			}
		}
		below, isBelow := strings.CutPrefix(pkg, "internal/emulator/")
		if isBelow {
			seen++
		}
		for _, imported := range words[2:] {
			room, ours := strings.CutPrefix(imported, module+"internal/emulator/")
			switch {
			case !ours:
			case isBelow && !slices.Contains(emulatorRooms[below], room):
				t.Errorf("%s imports %s", pkg, imported)
			case !isBelow && pkg != "emulator" && !testOnly:
				t.Errorf("%s imports %s, which belongs to the emulator", pkg, imported)
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
	if want := len(rooms) + len(emulatorRooms); seen != want {
		t.Errorf("%d of %d rooms are there", seen, want)
	}
}
