package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"

	"example.com/webpubsub/emulator"
)

// runVersion prints the version of the release or of the module, and the commit that
// the command was built from, as far as the Go command has recorded them.
func runVersion(_ context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("version", flag.ContinueOnError)
	output := choiceFlag(fs, "o", "output format", "text", "json")
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	v := struct {
		Version  string `json:"version"`
		Commit   string `json:"commit,omitempty"`
		Modified bool   `json:"modified,omitempty"` // the checkout had other changes
		Go       string `json:"go"`
		Platform string `json:"platform"`
	}{Version: emulator.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if output.value == "json" {
		return printJSON(e.out, v)
	}
	commit := prefixIfSet(" commit ", v.Commit)
	if v.Modified {
		commit += " (modified)"
	}
	_, err := fmt.Fprintf(e.out, "webpubsub %s%s %s %s\n", v.Version, commit, v.Go, v.Platform)
	return err
}
