package hosting

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// invocationKey is the context key of the invocation id.
type invocationKey struct{}

// WithInvocationID returns a context that carries the id of one invocation.
// [Run] does this for every request on Azure Functions and on Lambda; it is
// for tests, and for work that outlives the request that asked for it.
func WithInvocationID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, invocationKey{}, id)
}

// InvocationID returns the id by which the platform knows the invocation: the
// header X-Azure-Functions-InvocationId, or the request id of Lambda. It is
// empty on a plain server.
func InvocationID(ctx context.Context) string {
	id, _ := ctx.Value(invocationKey{}).(string)
	return id
}

// NewLogger returns a logger that writes one JSON object a line to w. A line
// that is logged with a context, as in log.InfoContext(r.Context(), "joined"),
// has the invocation's id as invocationId, so that it can be found by the id
// that the platform shows. A nil o logs from level Info up.
func NewLogger(w io.Writer, o *slog.HandlerOptions) *slog.Logger {
	return slog.New(idHandler{base: slog.NewJSONHandler(w, o)})
}

// idHandler puts the invocation id at the top level of every line. The
// attributes and groups of With and WithGroup are kept until a line is written,
// because an id that is added below an open group would hide in that group.
type idHandler struct {
	base slog.Handler
	with []func(slog.Handler) slog.Handler
}

func (h idHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.base.Enabled(ctx, level)
}

func (h idHandler) Handle(ctx context.Context, r slog.Record) error {
	out := h.base
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
