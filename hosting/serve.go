package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	// readHeaderTimeout bounds how long the header of a request may take to arrive.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout is longer than the 60 seconds for which the Functions host
	// and common load balancers keep an idle connection: the side that reuses
	// connections should be the one that closes them.
	idleTimeout = 2 * time.Minute
	// readTimeout bounds how long a whole request may take to arrive: a client
	// that stops in the middle would occupy a connection and a goroutine for as long as it likes.
	// It ends with the body, so that responses may take longer.
	readTimeout = time.Minute
)

// serve listens on addr and serves h until ctx is cancelled.
func serve(ctx context.Context, h http.Handler, mode, addr string, o Options) error {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		// The Functions host looks for "address already in use".
		return fmt.Errorf("hosting: %w: end the other program, or choose another port", err)
	}
	if err != nil {
		return fmt.Errorf("hosting: %w", err)
	}

	listener = stallListener{listener}
	server := newServer(h, o)
	// Requests under way outlive ctx: Shutdown waits for them.
	server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	o.Logger.InfoContext(ctx, "listening", "mode", mode, "address", listener.Addr().String())
	if o.OnListen != nil {
		o.OnListen(listener.Addr())
	}

	select {
	case err := <-served:
		return fmt.Errorf("hosting: %w", err)
	case <-ctx.Done():
	}
	o.Logger.InfoContext(ctx, "shutting down", "timeout", o.ShutdownTimeout.String())
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.ShutdownTimeout)
	defer cancel()
	err = server.Shutdown(limit)
	if err != nil {
		// The connections that Shutdown has waited for.
		_ = server.Close()
		err = fmt.Errorf("hosting: requests were still under way %v after the shutdown began: %w", o.ShutdownTimeout, err)
	}
	<-served
	return err
}

func newServer(h http.Handler, o Options) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		// No limit on the size of bodies or the time of responses: a handler may
		// stream, and knows its own limits. A client that does not read is the
		// stallListener's to disconnect.
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
}
