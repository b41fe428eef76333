package hosting

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"example.com/webpubsub/internal/loglimit"
)

// Main is the body of a main function: it builds the handler, runs it with
// [Run], and ends the process. It never returns.
//
// build gets the logger of [NewLogger], which is also slog's default. It should
// read settings and leave network calls to the first request that needs them,
// because the platform waits for the listener. If build fails, the listener opens
// all the same: the response to every request is 503, and the error is logged at
// the start and, at a limited rate, with requests. A process that exited instead
// would be restarted by the Functions host, which shuts down after three exits.
//
// SIGINT and SIGTERM end the process after the requests under way; a second
// signal ends it immediately. The exit status is 0, and on Azure Functions 200:
// the host does not restart a process that exits with 0, and would fail every
// later request if the signal was not meant for the host as well. If Run fails,
// the error goes to standard error and the status is 1.
func Main(build func(log *slog.Logger) (http.Handler, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // a second signal then has its default effect
		cancel()
	}()

	log := NewLogger(nil)
	slog.SetDefault(log)
	h, err := build(log)
	if err != nil {
		h = unavailable(err, log)
	}
	if err := Run(ctx, h, &Options{Logger: log}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(envFunctions) != "" {
		os.Exit(exitRestart)
	}
	os.Exit(0)
}

// exitRestart makes the Functions host start a new process and is not counted as an
// error, of which the host takes three. (azure-functions-host, WorkerProcess.)
const exitRestart = 200

// unavailable responds to every request with 503 and logs why, at a limited rate.
// The response does not name the reason, since it is public.
func unavailable(reason error, log *slog.Logger) http.Handler {
	const message = "not configured: the response to every request is 503"
	log.Error(message, "error", reason.Error())
	limit := loglimit.New(func(_ string, n int) {
		log.Error(message, "error", reason.Error(), "suppressed", n)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if limit.Allow(message) {
			log.ErrorContext(r.Context(), message, "error", reason.Error())
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "This service is not configured. Its log names the missing setting.\n")
	})
}
