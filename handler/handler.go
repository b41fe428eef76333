package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
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

	maxBody int64
	timeout time.Duration
	dedup   *dedup
	log     *slog.Logger
}

// Hub holds the callbacks of one hub; get one with [Handler.Hub]. What it does
// not register goes to the handler's own callbacks.
type Hub struct {
	connect      ConnectFunc
	connected    func(context.Context, *ConnectedEvent) error
	disconnected func(context.Context, *DisconnectedEvent) error
	joined, left func(context.Context, *GroupEvent) error
	events       map[string]EventFunc // by lower-case name
	sender       Sender
}

// anyEvent is the name that stands for every user event.
const anyEvent = "*"

// Hub returns the callbacks of one hub, for a handler that serves several with
// different ones. It panics for a name that no hub can have, or that is not
// among Options.Hubs.
func (h *Handler) Hub(name string) *Hub {
	if err := names.Hub(name); err != nil {
		panic("handler: " + err.Error())
	}
	if !h.serves(name) {
		panic("handler: hub " + name + " is not among Options.Hubs")
	}
	key := strings.ToLower(name)
	if h.hubs[key] == nil {
		h.hubs[key] = &Hub{}
	}
	return h.hubs[key]
}

// OnConnect registers the callback that decides about new connections. Without
// one every connection is accepted as its token has it.
//
// Registering an event twice panics, here and in the other On methods, as it
// does in [http.ServeMux].
func (h *Handler) OnConnect(f ConnectFunc) { h.all.OnConnect(f) }

// OnConnected registers a callback that is told of new connections. Its error
// is logged and answered with 500, upon which the service tells it again, up to
// three times; [Reject] with a 4xx status prevents that. The client notices
// nothing either way, which holds for the next three methods as well.
func (h *Handler) OnConnected(f func(context.Context, *ConnectedEvent) error) { h.all.OnConnected(f) }

// OnDisconnected registers a callback that is told of connections that ended.
func (h *Handler) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	h.all.OnDisconnected(f)
}

// OnGroupJoined registers a callback that is told when a connection joins a
// group. The service sends it where group presence is configured.
func (h *Handler) OnGroupJoined(f func(context.Context, *GroupEvent) error) { h.all.OnGroupJoined(f) }

// OnGroupLeft registers a callback that is told when a connection leaves a
// group. The service sends it where group presence is configured.
func (h *Handler) OnGroupLeft(f func(context.Context, *GroupEvent) error) { h.all.OnGroupLeft(f) }

// OnEvent registers the callback for a user event by name; names are compared
// without case. What a plain WebSocket client sends is the event "message". The
// name "*" stands for every event without a callback of its own; an event that
// no callback takes is answered with 404.
func (h *Handler) OnEvent(name string, f EventFunc) { h.all.OnEvent(name, f) }

// OnConnect is [Handler.OnConnect] for one hub.
func (h *Hub) OnConnect(f ConnectFunc) {
	register("connect", f == nil, h.connect != nil)
	h.connect = f
}

// OnConnected is [Handler.OnConnected] for one hub.
func (h *Hub) OnConnected(f func(context.Context, *ConnectedEvent) error) {
	register("connected", f == nil, h.connected != nil)
	h.connected = f
}

// OnDisconnected is [Handler.OnDisconnected] for one hub.
func (h *Hub) OnDisconnected(f func(context.Context, *DisconnectedEvent) error) {
	register("disconnected", f == nil, h.disconnected != nil)
	h.disconnected = f
}

// OnGroupJoined is [Handler.OnGroupJoined] for one hub.
func (h *Hub) OnGroupJoined(f func(context.Context, *GroupEvent) error) {
	register("joined", f == nil, h.joined != nil)
	h.joined = f
}

// OnGroupLeft is [Handler.OnGroupLeft] for one hub.
func (h *Hub) OnGroupLeft(f func(context.Context, *GroupEvent) error) {
	register("left", f == nil, h.left != nil)
	h.left = f
}

// OnEvent is [Handler.OnEvent] for one hub.
func (h *Hub) OnEvent(name string, f EventFunc) {
	if name == "" {
		panic(`handler: OnEvent needs a name, or "*" for every event`)
	}
	key := strings.ToLower(name)
	register(name, f == nil, h.events[key] != nil)
	if h.events == nil {
		h.events = make(map[string]EventFunc)
	}
	h.events[key] = f
}

// SetSender sets the service client of this hub, which a handler for several
// hubs needs: a client is bound to one. It is used instead of Options.Sender.
func (h *Hub) SetSender(s Sender) { h.sender = s }

func register(event string, isNil, twice bool) {
	if isNil {
		panic("handler: the callback for " + event + " is nil")
	}
	if twice {
		panic("handler: a callback for " + event + " is registered already")
	}
}

func (h *Handler) serves(hub string) bool {
	if h.served == nil {
		return true
	}
	_, ok := h.served[strings.ToLower(hub)]
	return ok
}

func (h *Handler) connectFunc(hub *Hub) ConnectFunc {
	if hub != nil && hub.connect != nil {
		return hub.connect
	}
	return h.all.connect
}

func (h *Handler) eventFunc(hub *Hub, name string) EventFunc {
	name = strings.ToLower(name)
	for _, c := range [...]*Hub{hub, h.all} {
		if c == nil {
			continue
		}
		if f := c.events[name]; f != nil {
			return f
		}
		if f := c.events[anyEvent]; f != nil {
			return f
		}
	}
	return nil
}

// ServeHTTP answers one request: OPTIONS, or GET with WebHook-Request-Origin,
// asks whether the service may send events; POST brings one.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		h.serveEvent(w, r)
	case r.Method == http.MethodOptions,
		// The service falls back to GET where OPTIONS was answered with 404, as
		// some hosts do without asking the handler.
		r.Method == http.MethodGet && len(r.Header[headerRequestOrigin]) > 0:
		h.preflight(w, r)
	default:
		w.Header().Set("Allow", allowedMethods)
		h.refuseRequest(w, r, refuse(http.StatusMethodNotAllowed, "the method is not allowed", "Web PubSub sends events with POST"))
	}
}

func (h *Handler) serveEvent(w http.ResponseWriter, r *http.Request) {
	if no := h.verify(r); no != nil {
		h.refuseRequest(w, r, no)
		return
	}
	e, no := h.eventFrom(r.Header)
	if no == nil {
		no = h.accepts(&e)
	}
	if no == nil {
		e.body, no = h.readBody(r)
	}
	if no != nil {
		h.refuseRequest(w, r, no)
		return
	}
	hub := h.hubs[strings.ToLower(e.Hub)]
	e.sender = h.all.sender
	if hub != nil && hub.sender != nil {
		e.sender = hub.sender
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()
	var answer reply
	var replayed bool
	if h.dedup != nil {
		answer, replayed = h.dedup.do(ctx, dedupKeyOf(&e), func() reply { return h.dispatch(ctx, hub, e) })
	} else {
		answer = h.dispatch(ctx, hub, e)
	}
	if h.log.Enabled(ctx, slog.LevelDebug) {
		h.log.LogAttrs(ctx, slog.LevelDebug, "event answered", append(e.attrs(),
			slog.Int("status", answer.status), slog.Bool("replayed", replayed))...)
	}
	answer.write(w)
}

// verify decides whether the request comes from the service. It runs before
// anything of the body is read.
func (h *Handler) verify(r *http.Request) *refusal {
	if no := h.verifyOrigin(r.Header); no != nil {
		return no
	}
	if no := once(r.Header); no != nil {
		return no
	}
	connectionID := value(r.Header, headerConnectionID)
	if connectionID == "" {
		return missing("ce-connectionId")
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

// accepts looks at what the headers say of an event that is known to be genuine.
func (h *Handler) accepts(e *Event) *refusal {
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

// dispatch calls the callback and logs what went wrong.
func (h *Handler) dispatch(ctx context.Context, hub *Hub, e Event) reply {
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
	switch {
	case out.refusal != nil:
		h.logRefusal(ctx, out.refusal, e.attrs())
	case err != nil:
		h.logFailure(ctx, &e, out.status, err)
	}
	return out
}

// protect calls a callback and turns its panic into an error.
func protect(f func() error) (err error) {
	defer recovered(&err)
	return f()
}

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
