package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// The events are those of the go command that is installed, of a module with every
// outcome.
func TestSummarize(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":           "module m.test\n\ngo 1.26\n",
		"none/a.go":        "package none\n",
		"broken/a_test.go": "package broken\n\nvar x int = \"\"\n",
		"good/a_test.go": `package good

import ("fmt"; "testing")

func TestTool(t *testing.T) { t.Skip("node is needed, and ` + testtool.RequireEnv + ` is not set") }
func TestGroup(t *testing.T) {
	fmt.Println("not shown")
	t.Run("slow", func(t *testing.T) { t.Skip("short") })
	t.Run("other", func(t *testing.T) { t.Skip("windows") })
}
`,
		"bad/a_test.go": `package bad

import "testing"

func TestBad(t *testing.T) {
	t.Run("one", func(t *testing.T) { t.Error("wrong number") })
}
func TestGood(t *testing.T) { t.Log("not shown") }
`,
	} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	events, err := cmd.Output()
	if err == nil {
		t.Fatal("the tests pass, want a failure")
	}
	var out strings.Builder
	if err := summarize(strings.NewReader(string(events)+"go: a line that is not JSON\n"), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^ok  \tm\.test/good\t`,
		`(?m)^\?   \tm\.test/none\t\[no test files\]$`,
		`(?m)^FAIL\tm\.test/bad\t`,
		`(?m)^ *--- FAIL: TestBad/one `,
		`wrong number`,
		`cannot use "" `,
		`(?m)^FAIL\tm\.test/broken \[build failed\]$`,
		`(?m)^go: a line that is not JSON$`,
		`\n3 tests were skipped: 1 need tools of other languages \(WEBPUBSUB_REQUIRE_TOOLS=1 enables them\), 2 for other reasons \(-v prints them\)\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("there is no %q", want)
		}
	}
	if strings.Contains(out.String(), "not shown") || strings.Contains(out.String(), "=== RUN") {
		t.Error("it prints the output of tests that pass, or what -v prints")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestNothingIsSkipped(t *testing.T) {
	var out strings.Builder
	err := summarize(strings.NewReader(`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`+"\n"+`{"Action":"pass","Package":"p"}`+"\n"), &out)
	if err != nil || out.String() != "ok  \tp\t0.1s\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
