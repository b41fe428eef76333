// Command webpubsub is Azure Web PubSub on your own machine: a local service,
// the sample application on top of it, and small tools that speak to either.
//
//	go run ./cmd/webpubsub dev        # service, functions and a chat page
//	go run ./cmd/webpubsub emulator   # the service alone
//	webpubsub token -user alice       # a client access URL
//	webpubsub send -group news hello  # a message through the REST API
//	webpubsub listen -group news      # a client that prints what arrives
//	webpubsub check https://name.azurewebsites.net/api/events
//	webpubsub package                 # dist/functions.zip for Azure Functions
//
// Every flag has a twin in the environment: -hub is WEBPUBSUB_HUB. A flag wins
// over its twin.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// command is one subcommand.
type command struct {
	name, summary string
	run           func(context.Context, *env, []string) error
}

var commands = []command{
	{"dev", "run the emulator and the functions, with a chat page to try them", runDev},
	{"emulator", "run the emulator alone", runEmulator},
	{"token", "print a client access URL", runToken},
	{"send", "send a message through the REST API", runSend},
	{"listen", "connect a client and print what arrives", runListen},
	{"check", "play the service against an event handler and say what is wrong", runCheck},
	{"package", "build what is deployed to Azure Functions or AWS Lambda", runPackage},
}

// env is what a command may touch of the world, so that tests can give another.
type env struct {
	out    io.Writer
	err    io.Writer
	getenv func(string) string
}

// errUsage ends with status 2; what was wrong has been printed.
var errUsage = errors.New("usage")

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := interruptible(context.Background(), os.Stderr)
	defer stop()
	err := dispatch(ctx, &env{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}, args)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		fmt.Fprintln(os.Stderr, "webpubsub:", err)
		return 1
	}
}

// interruptible returns a context that ends with the first interrupt. A second
// one ends the program at once.
func interruptible(parent context.Context, w io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		fmt.Fprintln(w, "\nstopping; press Ctrl-C again to end at once")
		cancel()
		<-signals
		fmt.Fprintln(w, "ended at once; connections were cut")
		os.Exit(130)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func dispatch(ctx context.Context, e *env, args []string) error {
	if len(args) == 2 && args[0] == "help" {
		args = []string{args[1], "-h"}
	}
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(e.out)
		if len(args) == 0 {
			return errUsage
		}
		return nil
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, e, args[1:])
		}
	}
	fmt.Fprintf(e.err, "webpubsub: there is no command %q\n\n", args[0])
	usage(e.err)
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: webpubsub <command> [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nFlags of a command: webpubsub help <command>\n")
}

// parse reads flags, each from the command line or else from its twin in the
// environment.
func parse(e *env, fs *flag.FlagSet, args []string) error {
	fs.SetOutput(e.err)
	var broken error
	fromEnv := make(map[string]int) // how many values a list has from there
	fs.VisitAll(func(f *flag.Flag) {
		f.Usage += " [" + twin(f.Name) + "]"
		if v := e.getenv(twin(f.Name)); v != "" && broken == nil {
			if err := f.Value.Set(v); err != nil {
				broken = fmt.Errorf("%s=%q: %w", twin(f.Name), v, err)
			}
			if l, ok := f.Value.(*list); ok {
				fromEnv[f.Name] = len(*l)
			}
		}
	})
	if broken != nil {
		return broken
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return flag.ErrHelp
	case err != nil:
		return errUsage
	}
	// Each value adds to a list, but those of the command line replace those of the
	// environment, as for every other flag.
	fs.Visit(func(f *flag.Flag) {
		if l, ok := f.Value.(*list); ok {
			*l = (*l)[fromEnv[f.Name]:]
		}
	})
	return nil
}

// parseFlags is parse for a command that takes nothing but flags. A flag without
// its dash would otherwise do nothing, and hide those behind it.
func parseFlags(e *env, fs *flag.FlagSet, args []string) error {
	if err := parse(e, fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s takes only flags, and %q is none: webpubsub help %[1]s lists them", fs.Name(), fs.Arg(0))
	}
	return nil
}

func twin(flag string) string {
	return "WEBPUBSUB_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
