package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/functionapp"
)

// What a package is made for.
const (
	targetFunctions = "functions"
	targetLambda    = "lambda"
)

// runPackage builds a program and writes its deployment package.
func runPackage(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("package", flag.ContinueOnError)
	target := choiceFlag(fs, "target", "platform, Azure Functions or AWS Lambda", targetFunctions, targetLambda)
	arch := fs.String("arch", "", "processor, as GOARCH (default: amd64 for Azure, arm64 for Lambda)")
	out := fs.String("o", "", "a zip file, or a folder if the name does not end in .zip (default: dist/<program>.zip)")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), "Usage: webpubsub package [flags] [Go package]   (./functions by default; run it in the repository's root)\n")
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	program := "./functions"
	switch fs.NArg() {
	case 0:
	case 1:
		program = fs.Arg(0)
	default:
		return usagef("package takes one Go package, such as ./functions/events")
	}
	files, err := packageFiles(ctx, e, program, target.value, *arch)
	if err != nil {
		return err
	}
	if *out == "" {
		*out = "dist/" + path.Base(filepath.ToSlash(program)) + strings.TrimPrefix("-"+target.value, "-"+targetFunctions) + ".zip"
	}
	var size int64
	if strings.HasSuffix(*out, ".zip") {
		size, err = writeZip(*out, files)
	} else {
		size, err = writeFolder(*out, files)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %.1f MB\n", *out, float64(size)/1e6)
	if runtime.GOOS == "windows" && !strings.HasSuffix(*out, ".zip") {
		fmt.Fprintln(e.out, "A folder on Windows has no executable bit: deploy a zip (-o app.zip), except to the consumption plans of Azure Functions, which set it.")
	}
	for _, f := range files {
		fmt.Fprintf(e.out, "  %04o %9d %x  %s\n", f.Mode, len(f.Data), sha256.Sum256(f.Data), f.Path)
	}
	return nil
}

// packageFiles returns the files of a package, sorted by path.
func packageFiles(ctx context.Context, e *env, program, target, arch string) ([]functionapp.File, error) {
	var files []functionapp.File
	var executable string
	switch target {
	case targetFunctions:
		text, err := os.ReadFile("host.json")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("there is no host.json in this folder: run package in the root of the repository")
		}
		if err != nil {
			return nil, err
		}
		if files, executable, err = functionapp.Files(os.DirFS("."), text, program); err != nil {
			return nil, err
		}
		arch = cmp.Or(arch, "amd64")
	case targetLambda:
		// The name that provided.al2023 runs (AWS Lambda developer guide, "Building
		// a custom runtime").
		executable, arch = "bootstrap", cmp.Or(arch, "arm64")
	}
	binary, err := buildLinux(ctx, e, program, arch)
	if err != nil {
		return nil, err
	}
	files = append(files, functionapp.File{Path: executable, Mode: 0o755, Data: binary})
	slices.SortFunc(files, func(a, b functionapp.File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// buildLinux compiles so that the same sources give the same bytes: no paths of
// this machine, no state of its checkout. The tag leaves out net/rpc, which only
// Lambda's old go1.x runtime used.
func buildLinux(ctx context.Context, e *env, program, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "webpubsub-package")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags", "-s -w", "-o", file, program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	cmd.Stdout, cmd.Stderr = e.err, e.err
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go build %s for linux/%s: %w", program, arch, err)
	}
	return os.ReadFile(file)
}

// writeZip writes the files with their modes. A program without the executable
// bit cannot be started where the package is mounted read-only: on Lambda, and on
// the Premium and Dedicated plans of Azure Functions.
func writeZip(name string, files []functionapp.File) (int64, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, f := range files {
		// The earliest time that a zip can contain, so that builds are reproducible.
		h := &zip.FileHeader{Name: f.Path, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(f.Mode) // also marks the entry as made on Unix, or the mode would not count
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(f.Data)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	if err := checkZip(bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, err
	}
	return int64(b.Len()), os.WriteFile(name, b.Bytes(), 0o644)
}

// checkZip returns an error for a package that the platform would not start.
func checkZip(r io.ReaderAt, size int64) error {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return err
	}
	findings, err := functionapp.Check(z)
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Fatal {
			return fmt.Errorf("the package would not work: %s: %s", f.Text, f.Remedy)
		}
	}
	return nil
}

// writeFolder puts the files into a folder in place of an earlier package.
func writeFolder(name string, files []functionapp.File) (int64, error) {
	if err := clearPackage(name); err != nil {
		return 0, err
	}
	var size int64
	for _, f := range files {
		file := filepath.Join(name, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(file, f.Data, f.Mode); err != nil {
			return 0, err
		}
		if err := os.Chmod(file, f.Mode); err != nil { // regardless of the umask
			return 0, err
		}
		size += int64(len(f.Data))
	}
	return size, nil
}

// clearPackage removes an earlier package: a function.json that is left over would
// be a function. It removes nothing if there is anything else.
func clearPackage(name string) error {
	entries, err := os.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		known := entry.Name() == "host.json" || entry.Name() == "bootstrap" || entry.Name() == "bin"
		if inside, err := os.ReadDir(filepath.Join(name, entry.Name())); !known && err == nil {
			known = len(inside) == 1 && inside[0].Name() == "function.json"
		}
		if !known {
			return fmt.Errorf("%s contains %s, which is not part of a package: use another folder, or empty it", name, entry.Name())
		}
	}
	return os.RemoveAll(name)
}
