package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// sources are the file, with the one for the environment beside it, and the
// variables.
type sources struct {
	path    string // "": no file
	environ []string
}

// uses reports whether there are any settings of Microsoft's emulator but Urls.
func (s sources) uses() bool {
	return s.path != "" || slices.ContainsFunc(s.environ, func(v string) bool { return hasPrefixFold(v, "WebPubSub__") })
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// environment returns what the name of the second file contains.
func (s sources) environment() string {
	name := "Production"
	for _, prefix := range []string{"ASPNETCORE_", "DOTNET_"} { // the last one decides
		for _, v := range s.environ {
			if variable, value, _ := strings.Cut(v, "="); strings.EqualFold(variable, prefix+"ENVIRONMENT") {
				name = cmp.Or(value, name)
			}
		}
	}
	return name
}

// content is the files as they were read.
type content struct{ path, text string }

// files returns the content of the files. Only the one that was named has to exist.
func (s sources) files() ([]content, error) {
	if s.path == "" {
		return nil, nil
	}
	text, err := readBounded(s.path)
	if err != nil {
		return nil, err
	}
	out := []content{{s.path, string(text)}}
	ext := filepath.Ext(s.path)
	second := strings.TrimSuffix(s.path, ext) + "." + filepath.Base(s.environment()) + ext
	text, err = readBounded(second)
	switch {
	case err == nil:
		out = append(out, content{second, string(text)})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return out, nil
}

// config adds up the sources, from the first, which every other one replaces.
func (s sources) config(files []content) (*section, error) {
	c := &section{}
	var vars, kestrel []string
	for _, v := range s.environ {
		switch {
		case hasPrefixFold(v, "WebPubSub__"), hasPrefixFold(v, "Urls="):
			vars = append(vars, v)
		case hasPrefixFold(v, "Kestrel__"):
			kestrel = append(kestrel, v)
		}
	}
	if s.uses() {
		// WebApplicationBuilder adds these two before the files.
		for _, prefix := range []string{"ASPNETCORE_", "DOTNET_"} {
			if err := c.addVariables(s.environ, prefix); err != nil {
				return nil, err
			}
		}
		vars = append(vars, kestrel...)
	}
	for _, f := range files {
		if err := c.addJSON([]byte(f.text), f.path); err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
	}
	return c, c.addVariables(vars, "")
}
