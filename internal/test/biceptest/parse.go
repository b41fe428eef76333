package biceptest

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// Program is a set of files that may use each other as modules.
type Program struct {
	files map[string]*file
}

// Parse reads each set of sources, by file name. All of them go through one run
// of Node.js. The test is skipped where Node.js is not installed.
func Parse(tb testing.TB, sets ...map[string]string) []*Program {
	tb.Helper()
	node := testtool.Need(tb, "node")
	_, here, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(here), "node")
	testtool.NPM(tb, dir)

	// Most files are the same in many sets.
	sources := make(map[string]string)
	for _, set := range sets {
		for _, source := range set {
			sources[source] = source
		}
	}
	in, err := json.Marshal(sources)
	if err != nil {
		tb.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(node, "parse.mjs")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("parse.mjs: %v\n%s", err, &stderr)
	}
	trees := make(map[string]*tree)
	if err := json.Unmarshal(stdout.Bytes(), &trees); err != nil {
		tb.Fatalf("parse.mjs: %v", err)
	}

	programs := make([]*Program, len(sets))
	for i, set := range sets {
		p := &Program{files: make(map[string]*file)}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			p.files[name] = newFile(name, trees[set[name]])
		}
		programs[i] = p
	}
	return programs
}
