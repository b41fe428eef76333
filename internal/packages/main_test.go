package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"example.com/webpubsub/internal/test/testtool"
)

const root = "../.."

// release returns the folder of a release: that in WEBPUBSUB_RELEASE, as
// scripts/release-check sets it, or one with the program of this machine.
func release(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("WEBPUBSUB_RELEASE"); dir != "" {
		return dir
	}
	if _, known := platforms[runtime.GOOS+"/"+runtime.GOARCH]; !known {
		t.Skipf("there are no packages for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "webpubsub")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	const version = "1.2.3-rc.1"
	out, err := exec.Command("go", "build", "-ldflags", "-X example.com/webpubsub/internal/emulator/control.version=v"+version, "-o", program, root+"/cmd/webpubsub").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write := func(name string, v any) {
		b, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write("metadata.json", map[string]string{"version": version})
	write("artifacts.json", []map[string]string{
		{"type": "Archive", "path": "webpubsub.tar.gz", "goos": runtime.GOOS, "goarch": runtime.GOARCH},
		{"type": "Binary", "path": program, "goos": runtime.GOOS, "goarch": runtime.GOARCH},
	})
	return dir
}

// The packages are installed in a clean folder from their files alone, and run as
// users run them.
func TestInstall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the test ends the emulator by a signal, which Windows has not")
	}
	testtool.Need(t, "npm")
	python := testtool.Python(t, ".")
	dir := release(t)
	version, programs, err := readRelease(dir)
	if err != nil {
		t.Fatal(err)
	}
	python, err = filepath.Abs(python)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "packages")
	files, err := makePackages(root, dir, out, python)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2*len(programs) + 2; len(files) != want {
		t.Errorf("%d packages, want %d: %q", len(files), want, files)
	}
	again := filepath.Join(t.TempDir(), "packages")
	if _, err := makePackages(root, dir, again, python); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, _ := filepath.Rel(out, f)
		a, errA := os.ReadFile(f)
		b, errB := os.ReadFile(filepath.Join(again, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs when it is made again (%v, %v)", name, errA, errB)
		}
	}
	here := platforms[runtime.GOOS+"/"+runtime.GOARCH]

	t.Run("npm", func(t *testing.T) {
		clean := t.TempDir()
		npm := func(args ...string) string { t.Helper(); return run(t, clean, args[0], args[1:]...) }
		npm("npm", "install", "--offline", "--no-audit", "--no-fund", "--prefix", ".",
			only(t, out, "npm", npmName+"-"+version+".tgz"), only(t, out, "npm", npmName+"-"+here.npmOS+"-"+here.npmCPU+"-*.tgz"))
		command := filepath.Join("node_modules", ".bin", npmName)
		checkVersion(t, npm("npx", "--no", "--", npmName, "--version"), version)
		checkEmulator(t, clean, filepath.Join(clean, command))
	})
	t.Run("PyPI", func(t *testing.T) {
		clean := t.TempDir()
		wheel := only(t, out, "pypi", "*-py3-none-"+strings.Split(here.wheel, ".")[0]+"*.whl")
		if err := os.WriteFile(filepath.Join(clean, "requirements.txt"), []byte(wheel+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		command := filepath.Join(filepath.Dir(testtool.Python(t, clean)), npmName)
		checkVersion(t, run(t, clean, command, "--version"), version)
		checkEmulator(t, clean, command)
	})
}

// only returns the one file that matches.
func only(t *testing.T, elements ...string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(elements...))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	return files[0]
}

// run runs a command that must find the program in its own package: the PATH has none.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, cleanEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WEBPUBSUB_") {
			env = append(env, v)
		}
	}
	return env
}

func checkVersion(t *testing.T, got, version string) {
	t.Helper()
	if !strings.HasPrefix(got, "webpubsub v"+version+" ") {
		t.Errorf("version %q, want %s", got, version)
	}
}

// checkEmulator starts the emulator, as the command does when it is given flags only.
func checkEmulator(t *testing.T, dir, command string) {
	t.Helper()
	ready := filepath.Join(dir, "ready.json")
	cmd := exec.Command(command, "-addr", "localhost:0", "-ready-file", ready)
	var out strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, cleanEnv(), &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := run(t, dir, command, "health", "-ready-file", ready, "-wait", "30s"); !strings.Contains(got, "responds") {
		t.Errorf("health: %q", got)
	}
	// The command passes the signal on, and ends with the program.
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if _, err := os.Stat(ready); err == nil {
		t.Error("the emulator did not end in order: its ready file is left")
	}
}

func TestReadRelease(t *testing.T) {
	const metadata = `{"version":"1.0.0"}`
	for name, test := range map[string]struct{ metadata, artifacts, problem string }{
		"no files":         {"", "", "not a release that goreleaser built"},
		"no programs":      {metadata, `[{"type":"Archive"}]`, "no version or no programs"},
		"no version":       {`{}`, `[{"type":"Binary","goos":"linux","goarch":"amd64"}]`, "no version or no programs"},
		"unknown platform": {metadata, `[{"type":"Binary","goos":"plan9","goarch":"386","path":"p"}]`, "p is for plan9/386"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{"metadata.json": test.metadata, "artifacts.json": test.artifacts} {
				if content == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := readRelease(dir); err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("got %v, want %q", err, test.problem)
			}
		})
	}
}
