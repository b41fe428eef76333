package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"example.com/webpubsub/internal/functionapp"
)

// isPackage reports whether the argument of check is a file or folder rather than
// a URL.
func isPackage(arg string) bool {
	if strings.Contains(arg, "://") {
		return false
	}
	_, err := os.Stat(arg)
	return err == nil
}

// checkPackage checks a package before it is deployed.
func (c *checker) checkPackage(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	var pkg fs.FS = os.DirFS(name)
	if !info.IsDir() {
		z, err := zip.OpenReader(name)
		if err != nil {
			return fmt.Errorf("%s: %w: check takes the URL of an event handler, or a zip file or folder that is deployed", name, err)
		}
		defer z.Close()
		pkg = z
	}
	findings, err := functionapp.Check(pkg)
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Fatal {
			c.fail("package", f.Text, f.Remedy)
		} else {
			c.note("package", f.Text+": "+f.Remedy)
		}
	}
	if len(findings) == 0 {
		c.ok("package", "%s has what the platform needs to start it", name)
	}
	return c.result()
}
