// Command update brings a fork of this repository up to date with the repository
// that it was made from. Run it in the root of the fork:
//
//	go run ./internal/update https://github.com/UPSTREAM/webpubsub
//
// It fetches a branch, tag or commit of upstream (by default, its default branch),
// gives it the module path of the fork, and applies what has changed there since the
// last update as one commit. The fork needs no history in common with upstream.
// docs/upgrade.md describes it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `usage: go run ./internal/update [-C DIR] [-from COMMIT] [URL [REF]]

URL   upstream; default: the one of the last update, in the file .upstream
REF   a branch, tag or commit of upstream; default: its default branch
`

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "update:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("invalid command line")

func run(args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("update", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	u := update{out: stdout}
	fs.StringVar(&u.dir, "C", ".", "root of the fork")
	fs.StringVar(&u.from, "from", "", "the `commit` of upstream that the fork was made from or last updated to, if it cannot be found")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 2 {
		fs.Usage()
		return errUsage
	}
	u.url, u.ref = fs.Arg(0), fs.Arg(1)
	return u.run()
}
