package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// wheelPlaceholder is the version of packages/python/pyproject.toml.
const wheelPlaceholder = `version = "0.0.0"`

// makeWheels writes the wheels for PyPI to out. work is a folder for what is built.
func makeWheels(root, work, out, version, python string, programs []program) ([]string, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	// hatchling writes the version as PEP 440 wants it: 1.2.3rc1 for 1.2.3-rc.1.
	programs = append([]program{{}}, programs...)
	for i, p := range programs {
		dir := filepath.Join(work, fmt.Sprint(i))
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "packages", "python"))); err != nil {
			return nil, err
		}
		if err := replaceInFile(filepath.Join(dir, "pyproject.toml"), wheelPlaceholder, fmt.Sprintf("version = %q", version)); err != nil {
			return nil, err
		}
		if p.path != "" {
			if err := copyFile(p.path, filepath.Join(dir, "src", "webpubsub_emulator", "bin", filepath.Base(p.path))); err != nil {
				return nil, err
			}
		}
		cmd := exec.Command(python, "-m", "hatchling", "build", "-t", "wheel", "-d", abs)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "WEBPUBSUB_WHEEL_PLATFORM="+p.wheel)
		if b, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s -m hatchling: %w (pip install -r internal/packages/requirements.txt)\n%s", python, err, b)
		}
	}
	files, err := filepath.Glob(filepath.Join(out, "*.whl"))
	if err == nil && len(files) != len(programs) {
		err = fmt.Errorf("hatchling made %d wheels of %d", len(files), len(programs))
	}
	return files, err
}
