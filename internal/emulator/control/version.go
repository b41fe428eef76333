package control

import (
	"reflect"
	"runtime/debug"
	"strings"
)

// version is the version of a release. The linker sets it, see .goreleaser.yaml and
// Dockerfile, since the Go command records none for a source tree without a tag.
var version string

// Version returns the version of the release, the version of the module as the Go
// command recorded it, or "(unknown)".
func Version() string {
	if version != "" {
		return version
	}
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	own := reflect.TypeFor[API]().PkgPath()
	for _, m := range append(b.Deps, &b.Main) {
		if m.Version != "" && strings.HasPrefix(own, m.Path+"/") {
			return m.Version
		}
	}
	return "(unknown)"
}
