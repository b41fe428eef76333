package functionshost

import (
	"archive/zip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Unzip returns a folder with what is in the package, as a deployment mounts it:
// with the modes of the package, and not to be written to.
func Unzip(tb testing.TB, file string) (root string) {
	tb.Helper()
	z, err := zip.OpenReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	root = tb.TempDir()
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) {
			tb.Fatalf("functionshost: %s is not a path inside the package", f.Name)
		}
		name := filepath.Join(root, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := unzipFile(f, name); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

func unzipFile(f *zip.File, name string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	const writable fs.FileMode = 0o222
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, f.Mode().Perm()&^writable)
}
