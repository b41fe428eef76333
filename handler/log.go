package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/loglimit"
)

// newLimiter bounds the records that callers and clients can cause: ten of a
// kind in ten seconds are logged, the others are counted.
func (h *Handler) newLimiter() *loglimit.Limiter {
	return loglimit.New(func(kind string, n int) {
		h.log.Warn("log records suppressed", slog.String("kind", kind), slog.Int("count", n), slog.Duration("interval", loglimit.Interval))
	})
}

// logFailure logs a callback's error: a rejection is the program's decision,
// anything else a failure.
func (h *Handler) logFailure(ctx context.Context, hub *Hub, e *Event, status int, err error) {
	level, msg := slog.LevelError, "callback failed"
	var rejection *RejectError
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		msg = "callback panicked"
	case errors.As(err, &rejection):
		level, msg = slog.LevelInfo, "callback rejected the event"
	}
	if !h.limit.Allow(msg + ": " + h.callbackOf(hub, e)) {
		return
	}
	attrs := append(e.attrs(), slog.Int("status", status), slog.String("error", err.Error()))
	if panicked != nil {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	h.log.LogAttrs(ctx, level, msg, attrs...)
}

// callbackOf names the callback of an event; the name of a user event alone is
// the client's choice.
func (h *Handler) callbackOf(hub *Hub, e *Event) string {
	if !strings.HasPrefix(e.Type, typeUser) {
		return e.Type
	}
	name := strings.ToLower(e.Name)
	if h.all.events[name] != nil || hub != nil && hub.events[name] != nil {
		return typeUser + name
	}
	return typeUser + anyEvent
}

func (h *Handler) logRefusal(ctx context.Context, no *refusal, attrs []slog.Attr) {
	const msg = "request refused"
	// The remedy contains nothing of the request, unlike the rule.
	if !h.limit.Allow(msg + ": " + no.remedy) {
		return
	}
	attrs = append(attrs, slog.Int("status", no.status), slog.String("rule", no.rule), slog.String("remedy", no.remedy))
	if no.cause != nil {
		attrs = append(attrs, slog.String("cause", no.cause.Error()))
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, msg, attrs...)
}

// refuseRequest logs a request that is not handled and returns the response.
func (h *Handler) refuseRequest(r *http.Request, no *refusal) reply {
	h.logRefusal(r.Context(), no, requestAttrs(r))
	return refused(no)
}

// logRequest logs what happened to a request as a whole.
func (h *Handler) logRequest(r *http.Request, level slog.Level, msg string, attrs ...slog.Attr) {
	if h.limit.Allow(msg) {
		h.log.LogAttrs(r.Context(), level, msg, append(requestAttrs(r), attrs...)...)
	}
}

// requestAttrs are the log attributes of a request that is not known to be an
// event. Headers that could hold a secret are not logged.
func requestAttrs(r *http.Request) []slog.Attr {
	return []slog.Attr{
		slog.String("method", clip(r.Method)),
		slog.String("hub", clip(value(r.Header, headerHub))),
		slog.String("connection", clip(value(r.Header, headerConnectionID))),
		slog.String("type", clip(value(r.Header, headerType))),
	}
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
