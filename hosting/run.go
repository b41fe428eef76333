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
	"strings"
	"time"
)

// Environment variables from which the mode follows, and settings.
const (
	envLambda    = "AWS_LAMBDA_RUNTIME_API"
	envFunctions = "FUNCTIONS_CUSTOMHANDLER_PORT"
	envPort      = "PORT"
	envBasePath  = "WebPubSubBasePath"
)

// Options configures [Run]. The zero value, or nil, is right for a program that
// is deployed.
type Options struct {
	// Logger logs the address of the listener, panics of the handler, and broken
	// connections. Default: NewLogger(nil).
	Logger *slog.Logger
	// Addr is the address of a plain server, as "host:port"; port 0 takes a free
	// one. Azure Functions and Lambda choose for themselves. Default: all
	// interfaces, on the port in the environment variable PORT, or 8080.
	Addr string
	// BasePath is removed from the path of requests that begin with it. The path
	// of a request to a custom domain of AWS API Gateway begins with the key of
	// its API mapping, for example "/chat". Default: the environment variable
	// WebPubSubBasePath, or none.
	BasePath string
	// ShutdownTimeout is how long requests under way may take to end after the
	// context is cancelled. Default: 10 seconds.
	ShutdownTimeout time.Duration
	// OnListen is called once, with the address, as soon as requests are
	// accepted. It is not called on Lambda, which has no listener. Default: none.
	OnListen func(net.Addr)
	// Getenv reads the environment. Default: os.Getenv.
	Getenv func(string) string
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Logger == nil {
		c.Logger = newLogger(c.Getenv, nil)
	}
	if c.BasePath == "" {
		c.BasePath = c.Getenv(envBasePath)
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 10 * time.Second
	}
	return c
}

// Run serves h until ctx is cancelled, and returns nil once the requests under
// way have ended. It fails if it cannot listen, and if requests are still under
// way after [Options.ShutdownTimeout]; their connections are then closed.
//
// A client has 10 seconds to send the header of a request and a minute for all
// of it; a handler of larger uploads allows more by
// [http.ResponseController.SetReadDeadline]. A client that reads less than 16 KiB
// of a response in 30 seconds is disconnected. A connection may be idle for two
// minutes.
//
// A panic of h is logged, and the response is 500 if none was begun.
// [http.ErrAbortHandler] closes the connection on a plain server, and is treated as
// another panic elsewhere.
//
// Cancelling ctx does not cancel the contexts of the requests. On Lambda the
// AWS library ends the process with status 1 when the platform's API fails.
func Run(ctx context.Context, h http.Handler, o *Options) error {
	if h == nil {
		return errors.New("hosting: the handler is nil")
	}
	c := o.withDefaults()
	h = stripBasePath(h, c.BasePath)
	if c.Getenv(envLambda) != "" {
		return runLambda(ctx, h, c)
	}
	if port := c.Getenv(envFunctions); port != "" {
		if err := checkPort(envFunctions, port); err != nil {
			return err
		}
		// The host calls 127.0.0.1; "localhost" may be ::1 alone.
		// Panics are handled inside, where the context has the invocation's ID.
		h = functionsHandler(handlePanics(h, c.Logger, false))
		return serve(ctx, h, "Azure Functions custom handler", net.JoinHostPort("127.0.0.1", port), c)
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
	return serve(ctx, handlePanics(h, c.Logger, true), "plain server", addr, c)
}

// stripBasePath removes base from the path of requests that begin with it. Other
// requests are left as they are: the function has its address without the custom
// domain as well.
func stripBasePath(h http.Handler, base string) http.Handler {
	base = "/" + strings.Trim(base, "/")
	if base == "/" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := cutPath(r.URL.Path, base); ok {
			r = r.Clone(r.Context())
			r.URL.Path = path
			r.URL.RawPath, _ = cutPath(r.URL.RawPath, base)
			r.RequestURI = r.URL.RequestURI()
		}
		h.ServeHTTP(w, r)
	})
}

// cutPath returns the part of the path below prefix.
func cutPath(path, prefix string) (below string, ok bool) {
	below, ok = strings.CutPrefix(path, prefix)
	if !ok || below != "" && below[0] != '/' {
		return "", false
	}
	if below == "" {
		below = "/"
	}
	return below, true
}

func checkPort(name, value string) error {
	if n, err := strconv.ParseUint(value, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("hosting: %s is %q: set it to a port number from 1 to 65535", name, value)
	}
	return nil
}
