// Command packages makes the packages for npm and PyPI that carry the program, from
// the folder of a release that goreleaser has built.
//
//	python3 -m pip install -r internal/packages/requirements.txt
//	go run ./internal/packages dist/release dist/packages
//
// The result is dist/packages/npm/*.tgz and dist/packages/pypi/*.whl. It needs npm, and
// a Python with hatchling, which -python names. GITHUB_REPOSITORY, as in a workflow, is
// the repository that the packages for npm name.
//
// On npm the package webpubsub-emulator has an optional dependency for each platform,
// such as @webpubsub-emulator/linux-x64, of which npm installs the one that fits. On
// PyPI one name has a wheel for each platform, and one without the program for all
// others, which then finds it in the PATH.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	python := flag.String("python", "python3", "`program` that has hatchling")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./internal/packages [-python PROGRAM] RELEASE OUT\n\nRELEASE is what goreleaser wrote, OUT a folder that does not exist or is empty.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	files, err := makePackages(".", flag.Arg(0), flag.Arg(1), *python)
	for _, f := range files {
		fmt.Println(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}

// program is one that goreleaser has built.
type program struct {
	platform
	path string
}

// platform has the names of a platform in each world.
type platform struct {
	npmOS, npmCPU string // process.platform and process.arch of Node.js
	wheel         string // platform tags of a wheel, those of PEP 425, 600 and 656
}

// platforms are by GOOS/GOARCH. The programs for Linux are static, so they run with
// every libc; Go 1.26 needs macOS 12.
var platforms = map[string]platform{
	"linux/amd64":   {"linux", "x64", "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64"},
	"linux/arm64":   {"linux", "arm64", "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"},
	"darwin/amd64":  {"darwin", "x64", "macosx_12_0_x86_64"},
	"darwin/arm64":  {"darwin", "arm64", "macosx_12_0_arm64"},
	"windows/amd64": {"win32", "x64", "win_amd64"},
	"windows/arm64": {"win32", "arm64", "win_arm64"},
}

// makePackages makes the packages of the tree in root. It returns their files.
func makePackages(root, release, out, python string) ([]string, error) {
	version, programs, err := readRelease(release)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: give another folder", out)
	}
	work, err := os.MkdirTemp("", "webpubsub-packages-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	npm, err := makeNPM(root, filepath.Join(work, "npm"), filepath.Join(out, "npm"), version, os.Getenv("GITHUB_REPOSITORY"), programs)
	if err != nil {
		return npm, err
	}
	wheels, err := makeWheels(root, filepath.Join(work, "pypi"), filepath.Join(out, "pypi"), version, python, programs)
	return append(npm, wheels...), err
}

// readRelease reads what goreleaser wrote of a release: its version without v, and its
// programs.
func readRelease(dir string) (version string, programs []program, err error) {
	var metadata struct{ Version string }
	var artifacts []struct{ Type, Path, GOOS, GOARCH string }
	for name, v := range map[string]any{"metadata.json": &metadata, "artifacts.json": &artifacts} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s is not a release that goreleaser built: %w", dir, err)
		}
	}
	for _, a := range artifacts {
		if a.Type != "Binary" {
			continue
		}
		p, known := platforms[a.GOOS+"/"+a.GOARCH]
		if !known {
			return "", nil, fmt.Errorf("%s is for %s/%s, for which there are no packages: add it to platforms", a.Path, a.GOOS, a.GOARCH)
		}
		programs = append(programs, program{p, a.Path})
	}
	if metadata.Version == "" || len(programs) == 0 {
		return "", nil, fmt.Errorf("%s has no version or no programs", dir)
	}
	return metadata.Version, programs, nil
}

// copyFile copies a file with its mode.
func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, info.Mode().Perm())
}

// replaceInFile replaces text that the file must contain.
func replaceInFile(name, old, new string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Contains(b, []byte(old)) {
		return fmt.Errorf("%s lacks the line %s", filepath.Base(name), old)
	}
	return os.WriteFile(name, bytes.Replace(b, []byte(old), []byte(new), 1), 0o644)
}
