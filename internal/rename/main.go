// Command rename gives a fork of this repository its own module path. It
// rewrites the path in go.mod, in every import, and wherever else a text file
// of the tree names it.
//
//	go run ./internal/rename github.com/you/chat
//
// The present path is read from go.mod, so the command can be run again with
// the same path, which changes nothing, or with another.
//
// With -check it changes nothing. It fails if the module path is the placeholder
// of this repository, or not the path of the repository that is given: a release of
// such a module could not be imported.
//
//	go run ./internal/rename -check github.com/you/chat
package main

import (
	"fmt"
	"os"
	"strings"

	"example.com/webpubsub/internal/modpath"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-check" {
		if err := modpath.CheckRelease(".", os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "rename:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/rename <module path>, for example github.com/you/chat")
		os.Exit(2)
	}
	changed, err := modpath.Rename(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
	for _, name := range changed {
		fmt.Println(name)
	}
	fmt.Printf("%d files changed: the module is %s\n", len(changed), os.Args[1])
}
