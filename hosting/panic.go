package hosting

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
)

// handlePanics logs a panic of h with the invocation's ID, which the server's own
// recovery does not know, and responds with 500 if the response was not begun.
// The server itself would drop the connection, and a proxy sends a request again
// whose connection was dropped: the Functions host called a handler that panicked
// 40 times for one GET.
//
// A response that was begun must not look complete. What there is of it is sent
// first, since all of it may still be in a buffer, and then the connection is
// closed.
//
// A handler panics with [http.ErrAbortHandler] to close the connection. If
// mayAbort is false, that is handled as other panics are, but not logged.
func handlePanics(h http.Handler, log *slog.Logger, mayAbort bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &trackingWriter{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			logPanic(r.Context(), log, r, v)
			switch {
			case mayAbort && v == any(http.ErrAbortHandler):
				panic(v)
			case out.begun:
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			clear(w.Header())
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}()
		h.ServeHTTP(out, r)
	})
}

// logPanic logs the recovered value v, unless it is [http.ErrAbortHandler], which
// is not an error.
func logPanic(ctx context.Context, log *slog.Logger, r *http.Request, v any) {
	if v == any(http.ErrAbortHandler) {
		return
	}
	log.ErrorContext(ctx, "the handler panicked", "panic", fmt.Sprint(v),
		"method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
}

// trackingWriter records whether a response was begun.
type trackingWriter struct {
	http.ResponseWriter
	begun bool
}

// Unwrap is for [http.ResponseController].
func (w *trackingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *trackingWriter) WriteHeader(status int) {
	w.begun = w.begun || final(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *trackingWriter) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher].
func (w *trackingWriter) Flush() { _ = w.FlushError() }

// FlushError is for [http.ResponseController].
func (w *trackingWriter) FlushError() error {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// final reports whether no other status may follow this one.
func final(status int) bool { return status >= 200 || status == http.StatusSwitchingProtocols }
