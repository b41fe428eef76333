// Package testtool finds the programs that are not Go's own for tests that need
// them: node, python3, java, a browser.
//
//	node := testtool.Need(t, "node")
//	testtool.NPM(t, "interop/node")
//	cmd := exec.Command(node, "--test")
//
// These tests run only if the environment variable WEBPUBSUB_REQUIRE_TOOLS is set, as
// in CI: they download packages, and take longer than all others together. Then a
// missing tool is a failure. Otherwise they are skipped, also where the tool is
// installed, so that "go test ./..." does the same on every machine.
package testtool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// RequireEnv is the environment variable that enables the tests that need tools.
const RequireEnv = "WEBPUBSUB_REQUIRE_TOOLS"

// Required reports whether the tests that need tools are enabled: [RequireEnv] is
// set, and the mode is not short.
func Required() bool { return os.Getenv(RequireEnv) != "" && !testing.Short() }

// Need returns the path of the first of the programs that is installed. The test
// fails if none is, and is skipped unless tools are [Required].
func Need(tb testing.TB, names ...string) string {
	tb.Helper()
	if !Required() {
		tb.Skipf("%s is needed, and %s is not set or the mode is short", names[0], RequireEnv)
	}
	if path := find(names); path != "" {
		return path
	}
	tb.Fatalf("%s is not installed", names[0])
	return ""
}

// Installed returns the path of the first of the programs that is installed. The
// test is skipped if none is, and fails if [RequireEnv] is set. It is for programs
// that belong to the system, such as a shell, and need no packages.
func Installed(tb testing.TB, names ...string) string {
	tb.Helper()
	path := find(names)
	switch {
	case path != "":
	case os.Getenv(RequireEnv) != "":
		tb.Fatalf("%s is not installed", names[0])
	default:
		tb.Skipf("%s is not installed", names[0])
	}
	return path
}

func find(names []string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Browser returns the path of Chromium or Chrome.
func Browser(tb testing.TB) string {
	tb.Helper()
	return Need(tb, "chromium", "chromium-browser", "google-chrome")
}

// NPM installs what the lock file in dir names into dir/node_modules, unless
// that was done before.
func NPM(tb testing.TB, dir string) {
	tb.Helper()
	npm := Need(tb, "npm")
	install(tb, dir, "package-lock.json", "node_modules", [][]string{{npm, "ci", "--no-audit", "--no-fund"}})
}

// Go installs a program of another module, named as "path@version", unless that
// was done before. It returns the program's path.
func Go(tb testing.TB, program string) string {
	tb.Helper()
	goCommand := Need(tb, "go")
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	path, version, _ := strings.Cut(program, "@")
	dir := filepath.Join(cache, "webpubsub-testtool", runtime.Version()+"-"+version)
	file := filepath.Join(dir, filepath.Base(path))
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	unlock, err := lockFile(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer unlock()
	if _, err := os.Stat(file); err == nil {
		return file
	}
	cmd := exec.Command(goCommand, "install", program)
	cmd.Dir = cache // outside of any module, whose go.mod would count
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("cannot install %s (is there a network?): %v\n%s", program, err, out)
	}
	return file
}

// Python makes a virtual environment in dir/.venv with what requirements.txt
// names, unless that was done before. It returns the path of its python.
func Python(tb testing.TB, dir string) string {
	tb.Helper()
	python := Need(tb, "python3", "python")
	bin := filepath.Join(".venv", "bin", "python")
	if runtime.GOOS == "windows" {
		bin = filepath.Join(".venv", "Scripts", "python.exe")
	}
	abs, err := filepath.Abs(filepath.Join(dir, bin))
	if err != nil {
		tb.Fatal(err)
	}
	install(tb, dir, "requirements.txt", ".venv", [][]string{
		{python, "-m", "venv", "--clear", ".venv"},
		{abs, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", "requirements.txt"},
	})
	return abs
}

// Java compiles the sources in dir/src to dir/target/classes, with the packages
// that dir/pom.xml names, which are fetched to dir/target/lib unless that was
// done before. It returns the path of java, which is to be run in dir with the
// class path [JavaPath].
func Java(tb testing.TB, dir string) string {
	tb.Helper()
	java, javac, mvn := Need(tb, "java"), Need(tb, "javac"), Need(tb, "mvn")
	install(tb, dir, "pom.xml", "target/lib", [][]string{{mvn, "--quiet", "--batch-mode", "dependency:copy-dependencies"}})
	sources, err := filepath.Glob(filepath.Join(dir, "src", "*.java"))
	if err != nil || len(sources) == 0 {
		tb.Fatalf("no sources in %s/src: %v", dir, err)
	}
	// Nothing of an older source may be left to run.
	if err := os.RemoveAll(filepath.Join(dir, "target", "classes")); err != nil {
		tb.Fatal(err)
	}
	args := []string{"-d", "target/classes", "-cp", JavaPath()}
	for _, source := range sources {
		args = append(args, filepath.Join("src", filepath.Base(source)))
	}
	cmd := exec.Command(javac, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s does not compile: %v\n%s", dir, err, out)
	}
	return java
}

// JavaPath is the class path of what [Java] fetched and compiled, and of more
// folders.
func JavaPath(more ...string) string {
	return strings.Join(append([]string{"target/classes", "target/lib/*"}, more...), string(os.PathListSeparator))
}

// JavaTrust makes a trust store of a certificate in a PEM file. Its path is what
// Java's property javax.net.ssl.trustStore takes.
func JavaTrust(tb testing.TB, certificate string) string {
	tb.Helper()
	store := filepath.Join(tb.TempDir(), "trust.p12")
	out, err := exec.Command(Need(tb, "keytool"), "-importcert", "-noprompt", "-alias", "test",
		"-file", certificate, "-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit").CombinedOutput()
	if err != nil {
		tb.Fatalf("keytool: %v\n%s", err, out)
	}
	return store
}

// install runs the commands in dir unless target bears the mark of the same
// lock file.
func install(tb testing.TB, dir, lock, target string, commands [][]string) {
	tb.Helper()
	// Tests of several packages use the same folder, in processes of their own.
	unlock, err := lockFile(filepath.Join(dir, lock))
	if err != nil {
		tb.Fatal(err)
	}
	defer unlock()
	content, err := os.ReadFile(filepath.Join(dir, lock))
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(content)
	want := []byte(hex.EncodeToString(sum[:]))
	mark := filepath.Join(dir, target, ".installed-from-lock")
	got, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	for _, args := range commands {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("cannot install what %s names (is there a network?): %v\n%s", filepath.Join(dir, lock), err, out)
		}
	}
	if err := os.WriteFile(mark, want, 0o644); err != nil {
		tb.Fatal(err)
	}
}
