// Command webpubsub runs a local emulator of Azure Web PubSub and the sample
// application, and provides tools for the emulator and for resources in Azure.
//
//	go run ./cmd/webpubsub dev        # emulator and sample application
//	webpubsub dev -app ./functions    # emulator and another application
//	go run ./cmd/webpubsub emulator   # the service alone
//	webpubsub health                  # whether the emulator responds
//	webpubsub token -user alice       # a client access URL
//	webpubsub send -group news hello  # a message through the REST API
//	webpubsub listen -group news      # a client that prints received messages
//	webpubsub client -user alice      # a client that executes commands
//	webpubsub tunnel -endpoint https://name.webpubsub.azure.com -upstream http://localhost:7071
//	webpubsub check https://name.azurewebsites.net/api/events
//	webpubsub package                 # dist/functions.zip for Azure Functions
//
//	webpubsub completion bash         # completion for a shell
//
// Every flag can be set by an environment variable, for example WEBPUBSUB_USER
// for -user. Those of -connection-string, -endpoint and -hub have the names of the
// application's settings: WebPubSubConnectionString,
// WebPubSubConnectionString__serviceUri and WebPubSubHub. Flags take precedence.
//
// The exit status is 0 on success, 2 if the command line or an environment
// variable is invalid, in which case nothing has been done, and 1 for every other
// failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"example.com/webpubsub/app"
	"example.com/webpubsub/webapp"
)

// command is one subcommand.
type command struct {
	name, summary string
	run           func(context.Context, *env, []string) error
}

var commands []command

func init() { // completion refers to the commands
	commands = []command{
		{"dev", "run the emulator and the sample application, or another one", runDev},
		{"emulator", "run only the emulator", runEmulator},
		{"health", "check that the emulator responds", runHealth},
		{"token", "print a client access URL", runToken},
		{"send", "send a message through the REST API", runSend},
		{"listen", "connect a client and print received messages", runListen},
		{"client", "connect a client and type what it sends", runClient},
		{"tunnel", "pass the events of a hub on to a local server", runTunnel},
		{"check", "send test events to an event handler and diagnose failures", runCheck},
		{"package", "build a deployment package for Azure Functions or AWS Lambda", runPackage},
		{"completion", "print a completion script for a shell", runCompletion},
		{"version", "print the version", runVersion},
	}
}

// env is the environment of a command; tests replace it.
type env struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
	// environ returns all variables, as os.Environ does.
	environ func() []string
	// inspect, if set, receives the flags of a command, which then does nothing.
	inspect func(*flag.FlagSet)
	newApp  func(webapp.Config) (*webapp.App, error) // the application of dev
}

func newEnv(in io.Reader, out, err io.Writer, getenv func(string) string) *env {
	return &env{in: in, out: safeWriter{out}, err: safeWriter{err}, getenv: getenv, environ: os.Environ, newApp: app.New}
}

// errUsage is matched by errors of the command line, which exit with status 2.
var errUsage = errors.New("invalid command line")

// usageError is an error of the command line or of an environment variable.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func (usageError) Is(target error) bool { return target == errUsage }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := interruptible(context.Background(), os.Stderr)
	defer stop()
	e := newEnv(os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	return e.exitStatus(dispatch(ctx, e, args))
}

// exitStatus prints an error and returns the exit status.
func (e *env) exitStatus(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(e.err, "webpubsub:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// interruptible returns a context that ends with the first interrupt. A second
// interrupt exits immediately.
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
		fmt.Fprintln(w, "\nshutting down; press Ctrl-C again to exit immediately")
		cancel()
		<-signals
		fmt.Fprintln(w, "exited immediately; open connections were closed")
		os.Exit(130)
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func dispatch(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		usage(e.err)
		return usagef("no command given")
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help", "help":
		if len(args) == 1 {
			usage(e.out)
			return nil
		}
		name, args = args[1], []string{args[1], "-h"}
	case "-version", "--version":
		name = "version"
	case "__complete":
		return complete(ctx, e, args[1:])
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(ctx, e, args[1:])
		}
	}
	return usagef("unknown command %q; run \"webpubsub help\" for the commands", name)
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: webpubsub <command> [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nRun \"webpubsub help <command>\" for the flags of a command.\n")
}
