// Package look has what the pages of the examples share: the style sheet look.css, and
// look.js, which connects and shows the state of the connection.
package look

import (
	"embed"
	"errors"
	"io/fs"
)

//go:embed look.css look.js icon.svg
var files embed.FS

// Page returns the files in the folder page of an example, and those of this package,
// for Config.Page of package webapp.
func Page(example embed.FS) fs.FS {
	page, err := fs.Sub(example, "page")
	if err != nil {
		panic(err) // only for an invalid path
	}
	return both{page}
}

type both struct{ page fs.FS }

func (b both) Open(name string) (fs.File, error) {
	f, err := b.page.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return files.Open(name)
	}
	return f, err
}

// ReadDir lists a folder, for [fs.WalkDir].
func (b both) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(b.page, name)
	if err != nil || name != "." {
		return list, err
	}
	shared, err := files.ReadDir(name)
	return append(list, shared...), err
}
