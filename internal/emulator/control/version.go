package control

import (
	"reflect"
	"runtime/debug"
	"strings"
)

// Version returns the version of the module as the Go command recorded it, or
// "(unknown)".
func Version() string {
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
