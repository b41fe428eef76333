package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// parse parses the flags of a command, each from the command line or else from
// its environment variable. It returns flag.ErrHelp after it has printed the help
// that was asked for.
func parse(e *env, fs *flag.FlagSet, args []string) error {
	var help, invalid error
	fs.VisitAll(func(f *flag.Flag) {
		if name := envName(f.Name); name != "" {
			f.Usage += " [" + name + "]"
		}
	})
	if e.inspect != nil {
		e.inspect(fs)
		return flag.ErrHelp
	}
	fromEnv := make(map[string]int) // number of values of a list from there
	fs.VisitAll(func(f *flag.Flag) {
		name := envName(f.Name)
		if name == "" || invalid != nil {
			return
		}
		if v := e.getenv(name); v != "" {
			if err := f.Value.Set(v); err != nil {
				invalid = usagef("%s=%q: %w", name, v, err)
			}
			if l, ok := f.Value.(*list); ok {
				fromEnv[f.Name] = len(*l)
			}
		}
	})
	printHelp := fs.Usage
	if printHelp == nil {
		printHelp = func() { fmt.Fprintf(fs.Output(), "Usage: webpubsub %s [flags]\n", fs.Name()); fs.PrintDefaults() }
	}
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	if help = fs.Parse(args); errors.Is(help, flag.ErrHelp) {
		fs.SetOutput(e.out)
		printHelp()
		return flag.ErrHelp
	}
	if help != nil {
		return usagef("%s: %w; run \"webpubsub help %[1]s\" for the flags", fs.Name(), help)
	}
	if invalid != nil {
		return invalid
	}
	// Each value is appended to a list, but those of the command line replace those
	// of the environment, as for every other flag.
	fs.Visit(func(f *flag.Flag) {
		if l, ok := f.Value.(*list); ok {
			*l = (*l)[fromEnv[f.Name]:]
		}
	})
	return nil
}

// parseFlags is parse for a command without arguments. A flag that lacks its dash
// would otherwise do nothing and hide the flags after it.
func parseFlags(e *env, fs *flag.FlagSet, args []string) error {
	if err := parse(e, fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return usagef("%s: unexpected argument %q; run \"webpubsub help %[1]s\" for the flags", fs.Name(), fs.Arg(0))
	}
	return nil
}

// envName returns the environment variable of a flag, or "" if it has none: a
// name of one letter means nothing outside its command.
func envName(flag string) string {
	switch {
	case flag == "connection-string":
		return "WebPubSubConnectionString"
	case flag == "endpoint":
		return "WebPubSubConnectionString__serviceUri"
	case flag == "hub":
		return "WebPubSubHub"
	case len(flag) == 1:
		return ""
	}
	return "WEBPUBSUB_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ignoreHelp returns nil if help was asked for and printed.
func ignoreHelp(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// isSet reports whether a flag occurs on the command line.
func isSet(fs *flag.FlagSet, name string) bool {
	found := false
	fs.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// givenBy returns what a flag was set by: itself, its environment variable, or "".
func givenBy(e *env, fs *flag.FlagSet, name string) string {
	if isSet(fs, name) {
		return "-" + name
	}
	if v := envName(name); v != "" && e.getenv(v) != "" {
		return v
	}
	return ""
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// split returns the values of a list whose elements may be separated by commas.
func (l list) split() []string {
	if len(l) == 0 {
		return nil
	}
	return strings.Split(strings.Join(l, ","), ",")
}

// choice is a flag with a fixed set of values.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = s
	return nil
}

// choiceFlag defines a flag whose first allowed value is the default.
func choiceFlag(fs *flag.FlagSet, name, usage string, allowed ...string) *choice {
	c := &choice{value: allowed[0], allowed: allowed}
	fs.Var(c, name, usage+": "+strings.Join(allowed, ", "))
	return c
}

// flagsOf returns the flags of a command, or nil if there is no such command.
func flagsOf(ctx context.Context, e *env, name string) (found *flag.FlagSet) {
	for _, c := range commands {
		if c.name == name {
			_ = c.run(ctx, &env{in: strings.NewReader(""), out: io.Discard, err: io.Discard, getenv: e.getenv, inspect: func(fs *flag.FlagSet) { found = fs }}, nil)
		}
	}
	return found
}
