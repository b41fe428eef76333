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

// Handler is an [http.Handler] for the events of Azure Web PubSub. It considers
// method, headers and body of a request but not its path, so it can be mounted at
// any path and behind any middleware. One Handler can serve several hubs.
//
// Register all callbacks before the first request. ServeHTTP is safe for
// concurrent use.
type Handler struct {
	all    *HubCallbacks
	hubs   map[string]*HubCallbacks // by lower-case name
	served map[string]struct{}      // nil serves every hub

	signers        []*signer
	entra          *entra
	origins        map[string]struct{}
	allowAnyOrigin bool
	trustTunnel    bool
	tunnelOnly     bool // requests from the network cannot be verified

	maxBody int64
	timeout time.Duration
	dotNet  bool // Options.DotNetStateFormat
	dedup   *dedup
	log     *slog.Logger
	limit   *loglimit.Limiter
}

// ServeHTTP handles one request. OPTIONS, or GET with WebHook-Request-Origin, is
// an abuse protection (webhook validation) request; POST carries an event.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handled := false
	defer func() {
		if !handled {
			h.fail(w, r, recover())
		}
	}()
	res := h.respond(r)
	handled = true
	res.write(w)
}

// fail responds to a request whose handling ended in a panic with the value v, or
// in runtime.Goexit if v is nil. If the connection were dropped instead, hosts
// would send the request again: the Azure Functions host up to 40 times.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, v any) {
	res := failureResponse(errors.New("panic"))
	if v == nil {
		// net/http does not complete the response of a goroutine that exits.
		res.add("Content-Length", strconv.Itoa(len(res.body)))
		res.add("Connection", "close")
	}
	res.write(w)
	if v == nil {
		_ = http.NewResponseController(w).Flush()
		h.logRequest(r, slog.LevelError, "callback called runtime.Goexit")
		return
	}
	h.logRequest(r, slog.LevelError, "panic in handler",
		slog.String("error", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
}

func (h *Handler) respond(r *http.Request) response {
	switch {
	case r.Method == http.MethodPost:
		return h.respondToEvent(r)
	case r.Method == http.MethodOptions,
		// If the response to OPTIONS is 404, as some hosts do without calling the
		// handler, the service falls back to GET.
		r.Method == http.MethodGet && len(r.Header[headerRequestOrigin]) > 0:
		return h.preflight(r)
	}
	res := h.rejectRequest(r, reject(http.StatusMethodNotAllowed, "the method is not allowed", "Web PubSub sends events with POST"))
	res.add("Allow", allowedMethods)
	return res
}

func (h *Handler) respondToEvent(r *http.Request) response {
	rej := h.verifyOrigin(r)
	if rej != nil {
		return h.rejectRequest(r, rej)
	}
	e, rej := h.parseEvent(r.Header)
	if rej == nil {
		rej = h.verifySender(r, e.ConnectionID)
	}
	if rej == nil {
		rej = h.checkHeaders(&e)
	}
	if rej == nil {
		e.body, rej = h.readBody(r)
	}
	if rej != nil {
		return h.rejectRequest(r, rej)
	}
	hub := h.hubs[strings.ToLower(e.Hub)]
	e.sender = h.all.sender
	if hub != nil && hub.sender != nil {
		e.sender = hub.sender
	}
	ctx := withTimeout(r.Context(), h.timeout)
	defer ctx.end()
	var res response
	var cached bool
	if h.dedup != nil {
		res, cached = h.dedup.do(ctx, &e, func() response { return h.dispatch(ctx, hub, &e) })
	} else {
		res = h.dispatch(ctx, hub, &e)
	}
	if res.rejection != nil {
		h.logRejection(ctx, res.rejection, e.attrs())
	}
	if h.log.Enabled(ctx, slog.LevelDebug) {
		h.log.LogAttrs(ctx, slog.LevelDebug, "event handled", append(e.attrs(),
			slog.Int("status", res.status), slog.Bool("cached", cached))...)
	}
	return res
}

// verifySender checks that the request comes from the service, before anything of
// the body is read.
func (h *Handler) verifySender(r *http.Request, connectionID string) *rejection {
	if connectionID == "" {
		return missing("ce-connectionId")
	}
	switch {
	case h.throughTunnel(r):
		return nil
	case h.tunnelOnly:
		return reject(http.StatusUnauthorized, "the event did not arrive through the tunnel",
			"Options.TrustTunnel accepts events of the tunnel only; to accept others, set Options.ConnectionStrings, AccessKeys or Entra")
	}
	if len(h.signers) > 0 {
		if rej := h.verifySignature(r.Header, connectionID); rej != nil {
			return rej
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

// checkHeaders checks the headers of a verified event.
func (h *Handler) checkHeaders(e *Event) *rejection {
	if rej := e.parseName(); rej != nil {
		return rej
	}
	if !h.serves(e.Hub) {
		return reject(http.StatusNotFound, "hub "+truncate(e.Hub)+" is not served here", "add it to Options.Hubs, or remove this URL from the hub's settings")
	}
	if strings.HasPrefix(e.Type, typeUser) {
		return nil
	}
	switch e.Type {
	case typeConnect, typeConnected, typeDisconnected, typeGroupJoined, typeGroupLeft:
	default:
		return reject(http.StatusBadRequest, "unknown event type "+truncate(e.Type), "remove the event from the hub's settings")
	}
	// A missing content type is accepted; another one is a mistake.
	if ct := value(e.header, headerContentType); ct != "" && !isJSON(ct) {
		return reject(http.StatusUnsupportedMediaType, "a system event has the content type "+truncate(ct), "it must be application/json")
	}
	return nil
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// readBody reads at most Options.MaxBodyBytes.
func (h *Handler) readBody(r *http.Request) ([]byte, *rejection) {
	if r.ContentLength > h.maxBody {
		return nil, h.tooLarge()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var body []byte
	var err error
	if n := r.ContentLength; n > 0 {
		// The size is known, and net/http does not return more.
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, h.maxBody+1))
	}
	if err != nil {
		rej := reject(http.StatusBadRequest, "the request body is incomplete", "check for a proxy that truncates request bodies")
		rej.err = err
		return nil, rej
	}
	if int64(len(body)) > h.maxBody {
		return nil, h.tooLarge()
	}
	return body, nil
}

func (h *Handler) tooLarge() *rejection {
	return reject(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body exceeds %d bytes", h.maxBody), "increase Options.MaxBodyBytes")
}

// dispatch calls the callback and logs its error.
func (h *Handler) dispatch(ctx context.Context, hub *HubCallbacks, e *Event) response {
	var res response
	var err error
	switch {
	case strings.HasPrefix(e.Type, typeUser):
		res, err = h.userEvent(ctx, hub, e)
	case e.Type == typeConnect:
		res, err = h.connect(ctx, hub, e)
	default:
		res, err = h.notification(ctx, hub, e)
	}
	if err != nil {
		h.logFailure(ctx, hub, e, res.status, err)
	}
	return res
}

// callSafely calls a callback and returns its panic as an error.
func callSafely(f func() error) (err error) {
	defer recoverPanic(&err)
	return f()
}
