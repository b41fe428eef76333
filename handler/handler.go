package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/internal/loglimit"
	"example.com/webpubsub/internal/viatunnel"
)

const allowedMethods = "POST, OPTIONS"

// Handler answers the events of Web PubSub. It is an [http.Handler] that looks
// at method, headers and body but not at the path, so it can be mounted
// anywhere and under any middleware, and serves any number of hubs.
//
// Register callbacks before the first request; a Handler may then be used by
// any number of goroutines.
type Handler struct {
	all    *Hub
	hubs   map[string]*Hub     // by lower-case name
	served map[string]struct{} // nil serves every hub

	signers        []*signer
	entra          *entra
	origins        map[string]struct{}
	allowAnyOrigin bool
	trustTunnel    bool
	tunnelOnly     bool // nothing verifies requests from the network

	maxBody int64
	timeout time.Duration
	dotNet  bool // Options.DotNetState
	dedup   *dedup
	log     *slog.Logger
	limit   *loglimit.Limiter
}

// ServeHTTP answers one request: OPTIONS, or GET with WebHook-Request-Origin,
// asks whether the service may send events; POST brings one.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handled := false
	defer func() {
		if !handled {
			h.fail(w, r, recover())
		}
	}()
	out := h.respond(r)
	handled = true
	out.write(w)
}

// fail responds to a request whose handling ended in a panic with the value v,
// or in runtime.Goexit if v is nil. To drop the connection instead would make
// hosts send the request again: the Azure Functions host up to 40 times.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, v any) {
	out := rejected(errors.New("panic"))
	if v == nil {
		// net/http will not complete the response of a goroutine that ends.
		out.add("Content-Length", strconv.Itoa(len(out.body)))
		out.add("Connection", "close")
	}
	out.write(w)
	if v == nil {
		_ = http.NewResponseController(w).Flush()
		h.logRequest(r, slog.LevelError, "a callback ended its goroutine with runtime.Goexit")
		return
	}
	h.logRequest(r, slog.LevelError, "the handler panicked",
		slog.String("error", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
}

func (h *Handler) respond(r *http.Request) reply {
	switch {
	case r.Method == http.MethodPost:
		return h.respondToEvent(r)
	case r.Method == http.MethodOptions,
		// The service falls back to GET where OPTIONS was answered with 404, as
		// some hosts do without asking the handler.
		r.Method == http.MethodGet && len(r.Header[headerRequestOrigin]) > 0:
		return h.preflight(r)
	}
	out := h.refuseRequest(r, refuse(http.StatusMethodNotAllowed, "the method is not allowed", "Web PubSub sends events with POST"))
	out.add("Allow", allowedMethods)
	return out
}

func (h *Handler) respondToEvent(r *http.Request) reply {
	no := h.verifyOrigin(r)
	if no != nil {
		return h.refuseRequest(r, no)
	}
	e, no := h.eventFrom(r.Header)
	if no == nil {
		no = h.verifySender(r, e.ConnectionID)
	}
	if no == nil {
		no = h.accepts(&e)
	}
	if no == nil {
		e.body, no = h.readBody(r)
	}
	if no != nil {
		return h.refuseRequest(r, no)
	}
	hub := h.hubs[strings.ToLower(e.Hub)]
	e.sender = h.all.sender
	if hub != nil && hub.sender != nil {
		e.sender = hub.sender
	}
	ctx := withTimeout(r.Context(), h.timeout)
	defer ctx.end()
	var answer reply
	var replayed bool
	if h.dedup != nil {
		answer, replayed = h.dedup.do(ctx, &e, func() reply { return h.dispatch(ctx, hub, &e) })
	} else {
		answer = h.dispatch(ctx, hub, &e)
	}
	if answer.refusal != nil {
		h.logRefusal(ctx, answer.refusal, e.attrs())
	}
	if h.log.Enabled(ctx, slog.LevelDebug) {
		h.log.LogAttrs(ctx, slog.LevelDebug, "event answered", append(e.attrs(),
			slog.Int("status", answer.status), slog.Bool("replayed", replayed))...)
	}
	return answer
}

// verifySender decides whether the request comes from the service. It runs
// before anything of the body is read.
func (h *Handler) verifySender(r *http.Request, connectionID string) *refusal {
	if connectionID == "" {
		return missing("ce-connectionId")
	}
	switch {
	case h.throughTunnel(r):
		return nil
	case h.tunnelOnly:
		return refuse(http.StatusUnauthorized, "the event did not arrive through the tunnel",
			"Options.TrustTunnel accepts events of the tunnel only; to accept others, set Options.ConnectionStrings, AccessKeys or Entra")
	}
	if len(h.signers) > 0 {
		if no := h.verifySignature(r.Header, connectionID); no != nil {
			return no
		}
	}
	if h.entra != nil {
		return h.entra.verify(r.Context(), r.Header)
	}
	return nil
}

// throughTunnel reports whether the request arrived through a tunnel and is
// accepted for that.
func (h *Handler) throughTunnel(r *http.Request) bool {
	return h.trustTunnel && viatunnel.Marked(r.Context())
}

// accepts looks at what the headers say of an event that is known to be genuine.
func (h *Handler) accepts(e *Event) *refusal {
	if no := e.named(); no != nil {
		return no
	}
	if !h.serves(e.Hub) {
		return refuse(http.StatusNotFound, "hub "+clip(e.Hub)+" is not served here", "add it to Options.Hubs, or take this URL out of the hub's settings")
	}
	if strings.HasPrefix(e.Type, typeUser) {
		return nil
	}
	switch e.Type {
	case typeConnect, typeConnected, typeDisconnected, typeGroupJoined, typeGroupLeft:
	default:
		return refuse(http.StatusBadRequest, "the event type "+clip(e.Type)+" is not known", "take it out of the hub's settings")
	}
	// A missing content type is let through; another one is a mistake.
	if ct := value(e.header, headerContentType); ct != "" && !isJSON(ct) {
		return refuse(http.StatusUnsupportedMediaType, "a system event has the content type "+clip(ct), "it is application/json")
	}
	return nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// readBody reads at most the configured number of bytes.
func (h *Handler) readBody(r *http.Request) ([]byte, *refusal) {
	if r.ContentLength > h.maxBody {
		return nil, h.tooLarge()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var body []byte
	var err error
	if n := r.ContentLength; n > 0 {
		// The exact size is known, and the reader of net/http yields no more.
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, h.maxBody+1))
	}
	if err != nil {
		no := refuse(http.StatusBadRequest, "the body ended early", "look for a proxy that cuts requests")
		no.cause = err
		return nil, no
	}
	if int64(len(body)) > h.maxBody {
		return nil, h.tooLarge()
	}
	return body, nil
}

func (h *Handler) tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body exceeds %d bytes", h.maxBody), "raise Options.MaxBodyBytes")
}

// dispatch calls the callback and logs its error.
func (h *Handler) dispatch(ctx context.Context, hub *Hub, e *Event) reply {
	var out reply
	var err error
	switch {
	case strings.HasPrefix(e.Type, typeUser):
		out, err = h.userEvent(ctx, hub, e)
	case e.Type == typeConnect:
		out, err = h.connect(ctx, hub, e)
	default:
		out, err = h.notification(ctx, hub, e)
	}
	if err != nil {
		h.logFailure(ctx, hub, e, out.status, err)
	}
	return out
}

// protect calls a callback and turns its panic into an error.
func protect(f func() error) (err error) {
	defer recovered(&err)
	return f()
}
