package infra_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// shell runs scripts with stand-ins for az and azd, which write down how they are
// called and answer what they are told.
type shell struct {
	dir, path string
}

// newShell takes the body of the stand-in for az, a shell script.
func newShell(t *testing.T, az string) *shell {
	t.Helper()
	sh := testtool.Installed(t, "sh")
	dir := t.TempDir()
	record := "#!" + sh + "\n{ echo \"- ${0##*/}\"; for arg; do echo \"  $arg\"; done; } >>'" + filepath.Join(dir, "calls") + "'\n"
	for name, body := range map[string]string{"az": az, "azd": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(record+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &shell{dir: dir, path: sh}
}

// run returns what went to standard output and standard error, and whether the
// script succeeded.
func (s *shell) run(t *testing.T, env []string, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	var out, errors bytes.Buffer
	cmd := exec.Command(s.path, args...)
	cmd.Dir = ".." // as azd and the workflow do
	cmd.Env = append(env, "PATH="+s.dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &errors
	err := cmd.Run()
	return out.String(), errors.String(), err == nil
}

// calls returns each call's arguments, with the name of the command first.
func (s *shell) calls(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var calls [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "- "); ok {
			calls = append(calls, []string{name})
			continue
		}
		calls[len(calls)-1] = append(calls[len(calls)-1], strings.TrimPrefix(line, "  "))
	}
	return calls
}
