package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/clip"
	"example.com/webpubsub/internal/loglimit"
)

// newLimiter bounds the log records that callers and clients can cause.
func (h *Handler) newLimiter() *loglimit.Limiter {
	return loglimit.New(func(kind string, n int) {
		h.log.Warn("similar log records suppressed", slog.String("kind", kind), slog.Int("count", n), slog.Duration("interval", loglimit.Interval))
	})
}

// logFailure logs the error of a callback: a rejection at level Info, any other
// error at level Error.
func (h *Handler) logFailure(ctx context.Context, hub *HubCallbacks, e *Event, status int, err error) {
	level, msg := slog.LevelError, "callback failed"
	var rejected *RejectError
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		msg = "panic in callback"
	case errors.As(err, &rejected):
		level, msg = slog.LevelInfo, "callback rejected the event"
	}
	if !h.limit.Allow(msg + ": " + h.callbackName(hub, e)) {
		return
	}
	attrs := append(e.attrs(), slog.Int("status", status), slog.String("error", err.Error()))
	if panicked != nil {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	h.log.LogAttrs(ctx, level, msg, attrs...)
}

// callbackName identifies the callback of an event. It is not the name of the
// event, which clients choose.
func (h *Handler) callbackName(hub *HubCallbacks, e *Event) string {
	if !strings.HasPrefix(e.Type, typeUser) {
		return e.Type
	}
	if _, byName := h.eventFunc(hub, e.Name); byName {
		return typeUser + strings.ToLower(e.Name)
	}
	return typeUser + anyEvent
}

func (h *Handler) logRejection(ctx context.Context, rej *rejection, attrs []slog.Attr) {
	const msg = "request rejected"
	// The hint contains nothing of the request, unlike the reason.
	if !h.limit.Allow(msg + ": " + rej.hint) {
		return
	}
	attrs = append(attrs, slog.Int("status", rej.status), slog.String("reason", rej.reason), slog.String("hint", rej.hint))
	if rej.err != nil {
		attrs = append(attrs, slog.String("error", rej.err.Error()))
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, msg, attrs...)
}

// rejectRequest logs a request that is not handled and returns the response.
func (h *Handler) rejectRequest(r *http.Request, rej *rejection) response {
	h.logRejection(r.Context(), rej, requestAttrs(r))
	return rejectionResponse(rej)
}

// logRequest logs a record about a request as a whole.
func (h *Handler) logRequest(r *http.Request, level slog.Level, msg string, attrs ...slog.Attr) {
	if h.limit.Allow(msg) {
		h.log.LogAttrs(r.Context(), level, msg, append(requestAttrs(r), attrs...)...)
	}
}

// requestAttrs are the log attributes of a request that is not known to be an
// event. They contain no header that could contain a secret.
func requestAttrs(r *http.Request) []slog.Attr {
	return []slog.Attr{
		slog.String("method", truncate(r.Method)),
		slog.String("hub", truncate(value(r.Header, headerHub))),
		slog.String("connection", truncate(value(r.Header, headerConnectionID))),
		slog.String("type", truncate(value(r.Header, headerType))),
	}
}

// attrs are the log attributes of an event.
func (e *Event) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("hub", truncate(e.Hub)),
		slog.String("connection", truncate(e.ConnectionID)),
		slog.String("event", truncate(e.Name)),
		slog.String("id", truncate(e.ID)),
	}
}

// truncate shortens untrusted text for logging.
func truncate(s string) string { return clip.Text(s, 128) }
