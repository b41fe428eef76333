package testtool_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

// recorder stands for the test that needs a tool, and ends like one.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// required enables the tests that need tools.
func required(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode skips every tool")
	}
	t.Setenv(testtool.RequireEnv, "1")
}

// run calls f as a test of its own.
func run(t *testing.T, f func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestNeedFindsTool(t *testing.T) {
	required(t)
	var path string
	r := run(t, func(tb testing.TB) { path = testtool.Need(tb, "no-such-program", "go") })
	if r.skipped != "" || r.failed != "" || filepath.Base(path) != "go" {
		t.Errorf("Need = %q, skipped %q, failed %q", path, r.skipped, r.failed)
	}
}

// "go test ./..." once ran what needs Node.js wherever that was installed, and
// downloaded hundreds of megabytes of packages without being asked.
func TestToolIsNotUsedUnlessRequired(t *testing.T) {
	t.Setenv(testtool.RequireEnv, "")
	for _, name := range []string{"go", "no-such-program"} {
		r := run(t, func(tb testing.TB) { testtool.Need(tb, name) })
		if !strings.Contains(r.skipped, testtool.RequireEnv) || r.failed != "" {
			t.Errorf("%s: skipped %q, failed %q", name, r.skipped, r.failed)
		}
	}
}

func TestMissingTool(t *testing.T) {
	const want = "no-such-program is not installed"
	need := func(tb testing.TB) { testtool.Need(tb, "no-such-program") }
	installed := func(tb testing.TB) { testtool.Installed(tb, "no-such-program") }
	t.Setenv(testtool.RequireEnv, "")
	if r := run(t, installed); r.skipped != want || r.failed != "" {
		t.Errorf("Installed: skipped %q, failed %q", r.skipped, r.failed)
	}
	required(t)
	for name, f := range map[string]func(testing.TB){"Need": need, "Installed": installed} {
		if r := run(t, f); r.failed != want || r.skipped != "" {
			t.Errorf("%s: skipped %q, failed %q", name, r.skipped, r.failed)
		}
	}
}

// An installation is done once for each content of the lock file.
func TestNPMInstallsOnce(t *testing.T) {
	required(t)
	testtool.Installed(t, "sh")
	dir, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "npm"), "#!/bin/sh\necho run >>calls\nmkdir -p node_modules\n", 0o755)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	lock := filepath.Join(dir, "package-lock.json")

	for _, step := range []struct {
		lock  string
		calls int
	}{{"one", 1}, {"one", 1}, {"two", 2}} {
		write(t, lock, step.lock, 0o644)
		testtool.NPM(t, dir)
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(calls), "run"); n != step.calls {
			t.Fatalf("npm ran %d times with lock file %q, want %d", n, step.lock, step.calls)
		}
	}
}

// Packages are fetched once, and sources compiled every time: nothing of an older
// source is left to run.
func TestJavaCompilesAnew(t *testing.T) {
	required(t)
	testtool.Installed(t, "sh")
	dir, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "mvn"), "#!/bin/sh\necho mvn >>calls\nmkdir -p target/lib\n", 0o755)
	write(t, filepath.Join(bin, "javac"), "#!/bin/sh\necho \"javac $*\" >>calls\nmkdir -p target/classes\ntouch target/classes/$(wc -l <calls)\n", 0o755)
	write(t, filepath.Join(bin, "java"), "", 0o755)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	write(t, filepath.Join(dir, "pom.xml"), "one", 0o644)
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "src", "A.java"), "", 0o644)

	for range 2 {
		if java := testtool.Java(t, dir); java != filepath.Join(bin, "java") {
			t.Errorf("java is %s", java)
		}
	}
	compile := "javac -d target/classes -cp " + testtool.JavaPath() + " " + filepath.Join("src", "A.java") + "\n"
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || string(calls) != "mvn\n"+compile+compile {
		t.Errorf("calls %q, %v", calls, err)
	}
	classes, err := os.ReadDir(filepath.Join(dir, "target", "classes"))
	if err != nil || len(classes) != 1 || classes[0].Name() != "3" {
		t.Errorf("classes %v, %v", classes, err)
	}
}

// Tests of several packages install the same folder at once, when "go test ./..."
// runs in a fresh clone. npm ci begins by removing what another one has written.
func TestInstallationsWaitForEachOther(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no lock on Windows")
	}
	required(t)
	testtool.Installed(t, "sh")
	dir, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "npm"), "#!/bin/sh\necho run >>calls\nrm -rf node_modules\nmkdir node_modules\n", 0o755)
	write(t, filepath.Join(dir, "package-lock.json"), "{}", 0o644)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))

	var tests sync.WaitGroup
	for range 8 {
		tests.Go(func() {
			if r := run(t, func(tb testing.TB) { testtool.NPM(tb, dir) }); r.failed != "" || r.skipped != "" {
				t.Errorf("failed %q, skipped %q", r.failed, r.skipped)
			}
		})
	}
	tests.Wait()
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || strings.Count(string(calls), "run") != 1 {
		t.Errorf("npm ran %q, want one run: %v", calls, err)
	}
}

func TestFailedInstallationIsReported(t *testing.T) {
	required(t)
	testtool.Installed(t, "sh")
	dir, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "npm"), "#!/bin/sh\necho no network; exit 1\n", 0o755)
	write(t, filepath.Join(dir, "package-lock.json"), "{}", 0o644)
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	r := run(t, func(tb testing.TB) { testtool.NPM(tb, dir) })
	if !strings.Contains(r.failed, "no network") {
		t.Errorf("failed with %q, want the output of npm", r.failed)
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// A program that is there is not installed again.
func TestGoInstallsOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("GOPROXY", "off")
	required(t)
	const program = "example.com/no/such/program@v1.0.0"
	if r := run(t, func(tb testing.TB) { testtool.Go(tb, program) }); !strings.Contains(r.failed, "cannot install "+program) {
		t.Errorf("skipped with %q, failed with %q", r.skipped, r.failed)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(cache, "webpubsub-testtool", runtime.Version()+"-v1.0.0", "program")
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	var got string
	if r := run(t, func(tb testing.TB) { got = testtool.Go(tb, program) }); got != file || r.skipped != "" {
		t.Errorf("got %s, skipped with %q", got, r.skipped)
	}
}
