// Package endpoint serves the client endpoints: it checks the handshake of a client,
// sends its connect event, and opens its session.
package endpoint

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/session"
	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/query"
	"example.com/webpubsub/internal/token"
)

// Endpoint serves the clients of an emulator.
type Endpoint struct {
	// Context ends when the emulator closes.
	Context  context.Context
	Broker   *broker.Broker
	Sessions *session.Server
	Events   *events.Dispatcher
	Settings *settings.Store
	Access   *access.Policy
	Journal  *journal.Journal
	Limits   *limits.Limiter
}

// rejection is the HTTP response to a handshake that is rejected.
type rejection struct {
	status int
	body   string // for the client
	why    string // for the journal
	answer []byte // of the connect handler that rejected the client
}

// ServeHTTP serves a handshake. It returns as soon as the WebSocket is open,
// which frees what the HTTP server keeps for a request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by := e.Journal.Begin(journal.CauseHandshake)
	record := func(status int, body string) {
		if by == nil {
			return
		}
		x := journal.NewExchange(r)
		if x.Status = status; body != "" {
			p := journal.NewPayload([]byte(body), "text/plain")
			x.ResponseBody = &p
		}
		by.SetRequest(x)
	}
	record(0, "")
	hub, reject := e.serve(w, r, by)
	if reject == nil {
		record(http.StatusSwitchingProtocols, "")
		return
	}
	record(reject.status, reject.body)
	e.Journal.Add(journal.Entry{Kind: journal.Rejected, Hub: hub, Name: "handshake", Status: reject.status, Reason: reject.why, Cause: by})
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if reject.status == http.StatusUpgradeRequired { // RFC 6455, section 4.4; RFC 9110, section 15.5.22
		w.Header()["Sec-WebSocket-Version"] = []string{"13"}
		w.Header().Set("Upgrade", "websocket")
	}
	w.WriteHeader(reject.status)
	_, _ = w.Write([]byte(reject.body))
}

// serve returns the hub that the handshake was for, as far as that is known, and
// why it is rejected.
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, by *journal.Cause) (hub string, reject *rejection) {
	name, path, ok := clientHub(r)
	switch {
	case !ok:
		return "", &rejection{status: http.StatusNotFound, why: fmt.Sprintf("%s is not a client endpoint: use %s{hub}, or %s{hub} for MQTT", r.URL.Path, access.ClientPath, access.MQTTPath)}
	case !websocket.IsWebSocketUpgrade(r):
		return name, &rejection{status: http.StatusBadRequest, body: "The client endpoint takes WebSocket requests only.", why: "not a WebSocket handshake: connect with a WebSocket client; REST calls go to /api/hubs/{hub}"}
	}
	e.Sessions.Transport.Arrive(r.Context(), e.Context)
	if reject := checkHandshake(w, r); reject != nil {
		return name, reject
	}
	if why := e.Access.CheckOrigin(r); why != "" {
		return name, &rejection{status: http.StatusForbidden, body: why, why: why}
	}
	hub = strings.ToLower(name)
	q := query.Parse(r.URL.RawQuery)
	// The response to a recovery is sent on the WebSocket also if the hub's name is invalid: the
	// official JavaScript client repeats a handshake that failed for half a minute.
	if path == access.ClientPath && q.Get("awps_connection_id") != "" {
		return hub, e.recover(w, r, hub, q, by)
	}
	if err := names.Hub(name); err != nil {
		return "", &rejection{status: http.StatusBadRequest, body: "Invalid hub name.", why: err.Error()}
	}
	claims, err := e.Access.Client(r, q.All("access_token"), path+hub, e.Settings.Hub(hub).AllowAnonymous)
	if err != nil {
		return hub, &rejection{status: http.StatusUnauthorized, why: err.Error()}
	}
	// From here on the caller is known to be allowed in, so that the hub is created.
	v := &handshake{Endpoint: e, hub: e.Broker.Hub(hub), w: w, r: r, claims: claims, by: by}
	if reject, ok := e.applyFaults(fault.AtHandshake, w, r, fault.Target{Hub: hub, UserID: claims.UserID}); !ok {
		return hub, reject
	}
	if reject := checkTokenGroups(claims); reject != nil {
		return hub, reject
	}
	var over *limits.Exceeded
	v.ticket, over = e.Limits.Admit(hub, limits.Client{UserID: claims.UserID, Signature: claims.Signature, Claims: claims.All})
	if over != nil {
		// The status is documented for the rules of the firewall (Microsoft Learn,
		// Application Firewall). For the limits of a tier it is documented of Azure SignalR
		// Service only (its troubleshooting guide, 429). The body is not documented.
		return hub, &rejection{status: http.StatusTooManyRequests, body: over.Text, why: over.Rule}
	}
	if path == access.MQTTPath {
		reject = v.openMQTT()
	} else {
		reject = v.open(q)
	}
	if reject != nil {
		v.ticket.Release()
	}
	return hub, reject
}

// handshake serves one new client.
type handshake struct {
	*Endpoint
	hub    *broker.Hub
	w      http.ResponseWriter
	r      *http.Request
	claims token.Claims
	by     *journal.Cause
	ticket *limits.Ticket // to be released if the handshake fails
}

// checkHandshake checks what RFC 6455, section 4.2.1, requires of a handshake, before
// the event handler is called: gorilla/websocket does so only after the event
// handler has accepted it.
func checkHandshake(w http.ResponseWriter, r *http.Request) *rejection {
	bad := func(rule string) *rejection {
		return &rejection{status: http.StatusBadRequest, body: rule, why: rule + " (RFC 6455, section 4.2.1): connect with a WebSocket client"}
	}
	key, keyErr := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	versions := r.Header.Values("Sec-WebSocket-Version")
	switch _, hijacks := w.(http.Hijacker); {
	case r.Method != http.MethodGet:
		return bad("The method of a WebSocket handshake must be GET.")
	case !r.ProtoAtLeast(1, 1):
		return bad("A WebSocket handshake needs HTTP/1.1.")
	case len(versions) != 1:
		return bad("A WebSocket handshake must have one Sec-WebSocket-Version header.")
	case strings.TrimSpace(versions[0]) != "13":
		f := bad("The WebSocket version must be 13.")
		f.status = http.StatusUpgradeRequired
		return f
	case len(r.Header.Values("Sec-WebSocket-Key")) != 1, keyErr != nil, len(key) != 16:
		return bad("A WebSocket handshake must have one Sec-WebSocket-Key header, 16 bytes in base64.")
	case !hijacks:
		return &rejection{status: http.StatusInternalServerError, why: "the server that the emulator is mounted on cannot hand over the connection: the ResponseWriter that it passes on must be an http.Hijacker"}
	}
	return nil
}

// clientHub returns the hub and the path of the endpoint of a client address,
// which may have the older form /client/?hub={hub}. Whether the service compares
// paths with case is not documented; Microsoft's emulator does not, so neither
// does this one.
func clientHub(r *http.Request) (hub, path string, ok bool) {
	p := r.URL.Path
	for _, path := range []string{access.ClientPath, access.MQTTPath} {
		if hasPrefixFold(p, path) {
			return strings.TrimSuffix(p[len(path):], "/"), path, true
		}
	}
	if strings.EqualFold(strings.TrimSuffix(p, "/"), "/client") {
		return query.Parse(r.URL.RawQuery).Get("hub"), access.ClientPath, true
	}
	return "", "", false
}

// Serves reports whether a path belongs to the client endpoints.
func Serves(path string) bool {
	return strings.EqualFold(path, "/client") || hasPrefixFold(path, "/client/") || hasPrefixFold(path, access.MQTTPath)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func checkTokenGroups(claims token.Claims) *rejection {
	for _, g := range claims.Groups {
		if names.Group(g) != nil {
			const text = "The token contains an invalid group name."
			return &rejection{status: http.StatusBadRequest, body: text, why: text}
		}
	}
	return nil
}

// applyFaults reports whether to continue with a handshake. If not, there may be a
// rejection to send.
func (e *Endpoint) applyFaults(at fault.Point, w http.ResponseWriter, r *http.Request, t fault.Target) (*rejection, bool) {
	do, ends := e.Sessions.Faults.Apply(at, "", t, r.Context().Done())
	switch {
	case !ends:
		return nil, true
	case do.Kind == fault.Reject:
		return &rejection{status: do.Code, why: "a fault rejected the handshake"}, false
	case do.Kind == fault.Reset:
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
	subprotocol := firstKnown(transport.Subprotocols(r))
	if strings.HasPrefix(r.URL.Path, access.MQTTPath) {
		subprotocol = session.MQTTSubprotocol
	}
	if l := e.Sessions.Transport.NewLink(); l.Upgrade(w, r, subprotocol) {
		l.Reject(frame.NewClose(do.Code, do.Reason))
	}
	return nil, false
}

// Recovery.

const reconnectionLifetime = 7 * 24 * time.Hour

// ReconnectionToken returns the proof by which a client recovers its connection.
func (e *Endpoint) ReconnectionToken(connectionID string) (string, error) {
	now := time.Now()
	return token.Sign(e.Access.Keys[0], token.Claims{
		Audience: connectionID,
		Issued:   now,
		Expires:  now.Add(reconnectionLifetime),
		Issuer:   token.Issuer, ID: broker.NewID(),
	})
}
