package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// command builds the program that the helper packages start.
func command(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "webpubsub")
	build := exec.Command("go", "build", "-o", bin, "../cmd/webpubsub")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestHelperPackages runs the tests of the packages that users of other languages
// install, which start the program and control it.
func TestHelperPackages(t *testing.T) {
	run := func(t *testing.T, bin, dir, program string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "WEBPUBSUB_EMULATOR_BINARY="+bin, "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("JavaScript", func(t *testing.T) {
		node := testtool.Need(t, "node")
		testtool.NPM(t, "node")
		run(t, command(t), "node", node, "--test", "--test-force-exit", "package.test.js")
	})
	t.Run("Python", func(t *testing.T) {
		python := testtool.Python(t, "helpers")
		run(t, command(t), "helpers", python, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
	})
}
