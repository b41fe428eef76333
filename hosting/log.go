package hosting

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
)

// invocationKey is the context key of the invocation ID.
type invocationKey struct{}

// WithInvocationID returns a context that carries the ID of one invocation.
// [Run] does this for every request on Azure Functions and on Lambda; it is
// for tests, and for work that outlives the request that started it.
func WithInvocationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, invocationKey{}, id)
}

// InvocationID returns the platform's ID of the invocation: the header
// X-Azure-Functions-InvocationId, or the request ID of Lambda. It is empty on a
// plain server.
func InvocationID(ctx context.Context) string {
	id, _ := ctx.Value(invocationKey{}).(string)
	return id
}

// NewLogger returns a logger that writes one JSON object per line to standard
// output, see [NewLogHandler]. If the Azure Functions host runs the process
// (FUNCTIONS_CUSTOMHANDLER_PORT is set), records of level Warn and above go to
// standard error: the host shows every line of standard output as Information, a
// line of standard error that contains "warn" as a Warning, and any other as an
// Error. A nil o logs from level Info up.
func NewLogger(o *slog.HandlerOptions) *slog.Logger {
	return newLogger(os.Getenv, o)
}

func newLogger(getenv func(string) string, o *slog.HandlerOptions) *slog.Logger {
	errs := os.Stdout
	if getenv(envFunctions) != "" {
		errs = os.Stderr
	}
	return slog.New(NewLogHandler(os.Stdout, errs, o))
}

// NewLogHandler returns a handler that writes one JSON object per line: records
// below level Warn to out, the others to errs. A record that is logged with the
// context of a request, as in log.InfoContext(r.Context(), "joined"), has the
// invocation's ID as invocationId, by which the platform shows it. A nil o logs
// from level Info up.
func NewLogHandler(out, errs io.Writer, o *slog.HandlerOptions) slog.Handler {
	h := idHandler{out: slog.NewJSONHandler(out, o)}
	h.errs = h.out // one handler, which locks its writer
	if errs != out {
		h.errs = slog.NewJSONHandler(errs, o)
	}
	return h
}

// idHandler puts the invocation ID at the top level of every line. The
// attributes and groups of With and WithGroup are kept until a line is written,
// because an ID that is added below an open group would hide in that group.
type idHandler struct {
	out, errs slog.Handler // below level Warn, and from there up
	with      []func(slog.Handler) slog.Handler
}

func (h idHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.out.Enabled(ctx, level)
}

func (h idHandler) Handle(ctx context.Context, r slog.Record) error {
	out := h.out
	if r.Level >= slog.LevelWarn {
		out = h.errs
	}
	if id := InvocationID(ctx); id != "" {
		out = out.WithAttrs([]slog.Attr{slog.String("invocationId", id)})
	}
	for _, with := range h.with {
		out = with(out)
	}
	return out.Handle(ctx, r)
}

func (h idHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.append(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

func (h idHandler) WithGroup(name string) slog.Handler {
	return h.append(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h idHandler) append(with func(slog.Handler) slog.Handler) slog.Handler {
	// Clip: two loggers derived from one must not share the slice's tail.
	h.with = append(slices.Clip(h.with), with)
	return h
}
