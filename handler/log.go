package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// logFailure logs a callback's error: a rejection is the program's decision,
// anything else a failure.
func (h *Handler) logFailure(ctx context.Context, e *Event, status int, err error) {
	attrs := append(e.attrs(), slog.Int("status", status), slog.String("error", err.Error()))
	level, msg := slog.LevelError, "callback failed"
	var rejection *RejectError
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		msg = "callback panicked"
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	case errors.As(err, &rejection):
		level, msg = slog.LevelInfo, "callback rejected the event"
	}
	h.log.LogAttrs(ctx, level, msg, attrs...)
}

func (h *Handler) logRefusal(ctx context.Context, no *refusal, attrs []slog.Attr) {
	attrs = append(attrs, slog.Int("status", no.status), slog.String("rule", no.rule), slog.String("remedy", no.remedy))
	if no.cause != nil {
		attrs = append(attrs, slog.String("cause", no.cause.Error()))
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, "request refused", attrs...)
}

// refuseRequest logs and answers a request that is not handled. Headers that
// could hold a secret are not logged.
func (h *Handler) refuseRequest(w http.ResponseWriter, r *http.Request, no *refusal) {
	h.logRefusal(r.Context(), no, []slog.Attr{
		slog.String("method", clip(r.Method)),
		slog.String("hub", clip(value(r.Header, headerHub))),
		slog.String("connection", clip(value(r.Header, headerConnectionID))),
		slog.String("type", clip(value(r.Header, headerType))),
	})
	answer := refused(no)
	answer.write(w)
}

// attrs is how the log names an event.
func (e *Event) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("hub", clip(e.Hub)),
		slog.String("connection", clip(e.ConnectionID)),
		slog.String("event", clip(e.Name)),
		slog.String("id", clip(e.ID)),
	}
}

// clip keeps foreign text short in the log.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
