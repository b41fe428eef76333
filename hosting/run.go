package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Environment variables that say where the program runs.
const (
	envLambda    = "AWS_LAMBDA_RUNTIME_API"
	envFunctions = "FUNCTIONS_CUSTOMHANDLER_PORT"
	envPort      = "PORT"
)

// Options changes how [Run] serves. The zero value, or nil, is right for a
// program that is deployed.
type Options struct {
	// Logger gets what the server itself has to say: where it listens, panics
	// of the handler, broken connections. Nil means NewLogger(os.Stdout, nil).
	Logger *slog.Logger
	// Addr is where a plain server listens, as "host:port"; port 0 takes a free
	// one. Empty means all interfaces and the port in the environment variable
	// PORT, or 8080. Azure Functions and Lambda choose for themselves.
	Addr string
	// ShutdownTimeout is how long requests under way may take to end after the
	// context is cancelled. Zero means 10 seconds.
	ShutdownTimeout time.Duration
	// Listening is called once, with the address, as soon as requests are
	// accepted. It is not called on Lambda, which has no listener. It may be nil.
	Listening func(net.Addr)
	// Getenv reads the environment. Nil means os.Getenv.
	Getenv func(string) string
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Logger == nil {
		c.Logger = NewLogger(os.Stdout, nil)
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 10 * time.Second
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	return c
}

// Run serves h until ctx is cancelled, and returns nil once the requests under
// way have ended. It fails when it cannot listen, and when requests are still
// under way after [Options.ShutdownTimeout]; the requests are then cut off.
//
// A client has ten seconds to send the header of a request and a minute for all
// of it. A handler of larger uploads allows more by
// [http.ResponseController.SetReadDeadline].
//
// Cancelling ctx does not cancel the contexts of the requests. On Lambda the
// AWS library ends the process with status 1 when the platform's API fails.
func Run(ctx context.Context, h http.Handler, o *Options) error {
	if h == nil {
		return errors.New("hosting: the handler is nil")
	}
	c := o.withDefaults()
	if c.Getenv(envLambda) != "" {
		return runLambda(ctx, h, c)
	}
	h = logPanics(h, c.Logger) // innermost, where the context has the invocation's id
	if port := c.Getenv(envFunctions); port != "" {
		if err := checkPort(envFunctions, port); err != nil {
			return err
		}
		// The host calls 127.0.0.1; "localhost" may be ::1 alone.
		return serve(ctx, functionsHandler(h), "Azure Functions custom handler", net.JoinHostPort("127.0.0.1", port), c)
	}
	addr := c.Addr
	if addr == "" {
		port := c.Getenv(envPort)
		if port == "" {
			port = "8080"
		}
		if err := checkPort(envPort, port); err != nil {
			return err
		}
		addr = net.JoinHostPort("", port)
	}
	return serve(ctx, h, "plain server", addr, c)
}

func checkPort(name, value string) error {
	if n, err := strconv.ParseUint(value, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("hosting: %s is %q: set it to a port number from 1 to 65535", name, value)
	}
	return nil
}
