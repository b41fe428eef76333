package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const npmName = "webpubsub-emulator"

// npmPlaceholder is the version of packages/js/package.json.
const npmPlaceholder = `"version": "0.0.0",`

// makeNPM writes the packages for npm to out. work is a folder for what is packed.
func makeNPM(root, work, out, version, repository string, programs []program) ([]string, error) {
	var dirs []string
	carriers := map[string]string{}
	for _, p := range programs {
		name := "@" + npmName + "/" + p.npmOS + "-" + p.npmCPU
		dir := filepath.Join(work, p.npmOS+"-"+p.npmCPU)
		if err := makeCarrier(root, dir, name, version, repository, p); err != nil {
			return nil, err
		}
		carriers[name] = version
		dirs = append(dirs, dir)
	}
	dir := filepath.Join(work, "main")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "packages", "js"))); err != nil {
		return nil, err
	}
	// The order of the other fields matters to those who read exports, so they stay.
	added := map[string]any{"version": version, "optionalDependencies": carriers}
	if r := repositoryField(repository); r != nil {
		added["repository"] = r
	}
	fields, err := json.Marshal(added)
	if err != nil {
		return nil, err
	}
	inner := string(fields[1:len(fields)-1]) + ","
	if err := replaceInFile(filepath.Join(dir, "package.json"), npmPlaceholder, inner); err != nil {
		return nil, err
	}
	return packNPM(append(dirs, dir), out)
}

// makeCarrier makes the package of one platform, which has the program only.
func makeCarrier(root, dir, name, version, repository string, p program) error {
	manifest := map[string]any{
		"name": name, "version": version, "license": "MIT",
		"description":     fmt.Sprintf("The program of %s for %s on %s", npmName, p.npmOS, p.npmCPU),
		"os":              []string{p.npmOS},
		"cpu":             []string{p.npmCPU},
		"preferUnplugged": true, // Yarn must not leave a program in an archive
	}
	if r := repositoryField(repository); r != nil {
		manifest["repository"] = r
	}
	b, err := json.MarshalIndent(manifest, "", "  ")
	if err == nil {
		err = copyFile(p.path, filepath.Join(dir, filepath.Base(p.path)))
	}
	if err == nil {
		err = copyFile(filepath.Join(root, "LICENSE"), filepath.Join(dir, "LICENSE"))
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "package.json"), append(b, '\n'), 0o644)
}

// repositoryField is what npm compares with the repository of the workflow that
// publishes, when it does so with provenance.
func repositoryField(repository string) any {
	if repository == "" {
		return nil
	}
	return map[string]string{"type": "git", "url": "git+https://github.com/" + repository + ".git"}
}

// packNPM packs each folder. The archives of npm contain no times.
func packNPM(dirs []string, out string) ([]string, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", abs)
		cmd.Dir = dir
		if b, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("npm pack: %w\n%s", err, b)
		}
	}
	files, err := filepath.Glob(filepath.Join(out, "*.tgz"))
	if err == nil && len(files) != len(dirs) {
		err = fmt.Errorf("npm packed %d files of %d folders", len(files), len(dirs))
	}
	return files, err
}
