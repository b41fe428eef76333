package emulator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/query"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// upgrader shakes hands. What it checks has been checked before, by
// checkHandshake and checkOrigin.
var upgrader = websocket.Upgrader{
	ReadBufferSize:  1 << 10,
	WriteBufferSize: 1 << 10,
	WriteBufferPool: &sync.Pool{},
	CheckOrigin:     func(*http.Request) bool { return true },
	Error:           func(http.ResponseWriter, *http.Request, int, error) {},
}

// refusal is an HTTP answer to a handshake.
type refusal struct {
	status int
	body   string // for the client
	why    string // for the journal
	answer []byte // of the connect handler that refused
}

// serveClient answers the client endpoint. It returns as soon as the WebSocket
// stands, which frees what the HTTP server keeps for a request.
func (s *Server) serveClient(w http.ResponseWriter, r *http.Request) {
	refuse := func(hub string, f *refusal) {
		s.journal.add(Entry{Kind: KindRefused, Hub: hub, Name: "handshake", Status: f.status, Reason: f.why})
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if f.status == http.StatusUpgradeRequired { // RFC 6455, section 4.4; RFC 9110, section 15.5.22
			w.Header()["Sec-WebSocket-Version"] = []string{"13"}
			w.Header().Set("Upgrade", "websocket")
		}
		w.WriteHeader(f.status)
		_, _ = w.Write([]byte(f.body))
	}
	name, endpoint, ok := clientHub(r)
	switch {
	case !ok:
		refuse("", &refusal{status: http.StatusNotFound, why: fmt.Sprintf("%s is no client endpoint: use %s{hub}, or %s{hub} for MQTT", r.URL.Path, clientEndpoint, mqttEndpoint)})
		return
	case !websocket.IsWebSocketUpgrade(r):
		refuse(name, &refusal{status: http.StatusBadRequest, body: "The client endpoint takes WebSocket requests only.", why: "not a WebSocket handshake: connect with a WebSocket client; REST calls go to /api/hubs/{hub}"})
		return
	}
	if f := checkHandshake(w, r); f != nil {
		refuse(name, f)
		return
	}
	if why := s.checkOrigin(r); why != "" {
		refuse(name, &refusal{status: http.StatusForbidden, body: why, why: why})
		return
	}
	h := s.peek(name)
	// A recovery is answered on the WebSocket also if the hub's name is invalid: the
	// official JavaScript client repeats a handshake that failed for half a minute.
	if endpoint == clientEndpoint && query.Parse(r.URL.RawQuery).Get("awps_connection_id") != "" {
		if f := h.serveRecovery(w, r); f != nil {
			refuse(h.name, f)
		}
		return
	}
	if err := names.Hub(name); err != nil {
		refuse("", &refusal{status: http.StatusBadRequest, body: "Invalid hub name.", why: err.Error()})
		return
	}
	claims, err := h.authenticate(r, endpoint)
	if err != nil {
		refuse(h.name, &refusal{status: http.StatusUnauthorized, why: err.Error()})
		return
	}
	h = s.hub(name)
	f, goOn := h.strikeHandshake(AtHandshake, w, r, claims.UserID, "")
	if goOn {
		serve := h.serveNew
		if endpoint == mqttEndpoint {
			serve = h.serveMQTT
		}
		f = serve(w, r, claims)
	}
	if f != nil {
		refuse(h.name, f)
	}
}

// checkHandshake checks what RFC 6455, section 4.2.1, asks of a handshake, before
// anybody hears of the client: gorilla/websocket does so only after the event
// handler has accepted it.
func checkHandshake(w http.ResponseWriter, r *http.Request) *refusal {
	bad := func(rule string) *refusal {
		return &refusal{status: http.StatusBadRequest, body: rule, why: rule + " (RFC 6455, section 4.2.1): connect with a WebSocket client"}
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
		return &refusal{status: http.StatusInternalServerError, why: "the server that the emulator is mounted on cannot hand over the connection: the ResponseWriter that it passes on must be an http.Hijacker"}
	}
	return nil
}

// subprotocols returns what the client offers, in its order. A list may be spread
// over several header lines (RFC 6455, section 11.3.4).
func subprotocols(r *http.Request) []string {
	var offered []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p != "" {
				offered = append(offered, p)
			}
		}
	}
	return offered
}

// The client endpoints. A hub's name follows.
const (
	clientEndpoint = "/client/hubs/"
	mqttEndpoint   = "/clients/mqtt/hubs/"
)

// clientHub returns the hub and the endpoint of a client address, which may
// have the older form /client/?hub={hub}. Whether the service compares paths with
// case is not documented; Microsoft's emulator does not, so neither does this one.
func clientHub(r *http.Request) (hub, endpoint string, ok bool) {
	p := r.URL.Path
	for _, endpoint := range []string{clientEndpoint, mqttEndpoint} {
		if n := len(endpoint); len(p) >= n && strings.EqualFold(p[:n], endpoint) {
			return strings.TrimSuffix(p[n:], "/"), endpoint, true
		}
	}
	if strings.EqualFold(strings.TrimSuffix(p, "/"), "/client") {
		return query.Parse(r.URL.RawQuery).Get("hub"), clientEndpoint, true
	}
	return "", "", false
}

// serveNew lets a new client in, or says why not.
func (h *hub) serveNew(w http.ResponseWriter, r *http.Request, claims token.Claims) *refusal {
	s := h.srv
	mode, err := parseMode(query.Parse(r.URL.RawQuery))
	if err != nil {
		return &refusal{status: http.StatusBadRequest, body: err.Error(), why: err.Error()}
	}
	if f := checkTokenGroups(claims); f != nil {
		return f
	}
	c := &conn{hub: h, id: newID(), userID: claims.UserID, mode: mode}
	offered := subprotocols(r)
	admit := admission{roles: claims.Roles, groups: claims.Groups, subprotocol: firstKnown(offered)}
	// Who gives up is not asked for, and neither is anybody once the server closes,
	// which may be mounted on one that goes on.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if f := c.askHandler(ctx, connectRequest(r, claims), &admit); f != nil {
		return f
	}
	c.subprotocol = admit.subprotocol
	c.protocol, _ = wire.Lookup(admit.subprotocol)
	var ignored []error
	if c.may, ignored = role.Parse(admit.roles); len(ignored) > 0 {
		c.journal(Entry{Kind: KindRefused, Name: "roles", Reason: errors.Join(ignored...).Error()})
	}

	// The client is in the hub before it hears that it is connected: a message
	// sent right after that must not miss it. Until then its frames wait.
	l := newLink()
	c.link = l
	if c.protocol != 0 {
		hello, err := c.hello()
		if err != nil {
			return &refusal{status: http.StatusInternalServerError, why: err.Error()}
		}
		c.send(hello)
	}
	h.add(c, admit.groups)
	if !l.upgrade(w, r, c.subprotocol) {
		c.finish(0, "", "the client gave up during the handshake")
		return nil
	}
	c.journal(c.connectedEntry(admit))
	c.raiseConnected()
	c.attach(l)
	s.tasks.Go(func() { c.serve(l) })
	return nil
}

func checkTokenGroups(claims token.Claims) *refusal {
	for _, g := range claims.Groups {
		if names.Group(g) != nil {
			const text = "The token contains an invalid group name."
			return &refusal{status: http.StatusBadRequest, body: text, why: text}
		}
	}
	return nil
}

// upgrade answers the handshake with 101. The subprotocol is echoed in the
// spelling of the client.
func (l *link) upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) bool {
	header := http.Header{}
	if subprotocol != "" {
		for _, p := range subprotocols(r) {
			if strings.EqualFold(p, subprotocol) {
				subprotocol = p
				break
			}
		}
		header.Set("Sec-WebSocket-Protocol", subprotocol)
	}
	ws, err := upgrader.Upgrade(hijacker{w, l.conn}, r, header)
	if err != nil {
		return false
	}
	l.ws = ws
	return true
}

// authenticate checks the access token, which stands in the query or, failing
// that, in the Authorization header. The lifetime matters here only: a
// connection outlives its token.
func (h *hub) authenticate(r *http.Request, endpoint string) (token.Claims, error) {
	s := h.srv
	q := query.Parse(r.URL.RawQuery).All("access_token")
	if len(q) > 1 {
		return token.Claims{}, errors.New("the query parameter access_token is given more than once")
	}
	compact := strings.Join(q, "")
	if compact == "" {
		compact = bearer(r)
	}
	if compact == "" {
		if h.settings.Load().AllowAnonymous {
			return token.Claims{}, nil
		}
		return token.Claims{}, errors.New("the access token is missing: give it as the query parameter access_token, or allow anonymous clients for the hub")
	}
	claims, err := token.Verify(compact, s.opts.keys(), s.opts.Clock.Now())
	if err != nil {
		if token.IsEntra(compact) {
			err = errors.New("tokens of Microsoft Entra are for the REST API: have the application ask for a client token with :generateToken, as the SDKs do")
		}
		return token.Claims{}, err
	}
	want := endpoint + h.name
	if !s.audienceIs(claims.Audiences, r, want) {
		return token.Claims{}, fmt.Errorf("the token is for %q, not for %s of this server: its audience must be %s%s", claims.Audience, want, origin(r), want)
	}
	return claims, nil
}

// parseMode reads what a simple client wants done with its frames. Parameter
// names compare without case; of a repeated one the last counts.
func parseMode(q query.Values) (simpleMode, error) {
	get := func(name string) string {
		if all := q.All(name); len(all) > 0 {
			return all[len(all)-1]
		}
		return ""
	}
	switch mode := get("webpubsub_mode"); {
	case mode == "" || strings.EqualFold(mode, "sendEvent"):
		return simpleMode{}, nil
	case !strings.EqualFold(mode, "sendToGroup"):
		return simpleMode{}, errors.New("webpubsub_mode must be 'sendEvent' or 'sendToGroup'")
	}
	m := simpleMode{toGroup: true, group: get("group")}
	if err := names.Group(m.group); err != nil {
		return simpleMode{}, err
	}
	switch v := get("noEcho"); {
	case v == "" || strings.EqualFold(v, "false"):
	case strings.EqualFold(v, "true"):
		m.noEcho = true
	default:
		return simpleMode{}, errors.New("noEcho must be 'true' or 'false'")
	}
	return m, nil
}

func firstKnown(offered []string) string {
	for _, name := range offered {
		if _, ok := wire.Lookup(name); ok {
			return name
		}
	}
	return ""
}

// admission is what a client is let in with: what its token says, as far as
// the event handler does not say otherwise.
type admission struct {
	roles, groups []string
	subprotocol   string
	mqtt          []upstream.MQTTProperty // for the answer to an MQTT client
}

// connectRequest is what the connect event tells of a handshake.
func connectRequest(r *http.Request, claims token.Claims) upstream.ConnectRequest {
	return upstream.ConnectRequest{
		Claims:       claims.All,
		Query:        query.Parse(r.URL.RawQuery),
		Headers:      asSent(r),
		Subprotocols: subprotocols(r),
	}
}

// askHandler raises the connect event, and waits for the answer.
func (c *conn) askHandler(ctx context.Context, request upstream.ConnectRequest, a *admission) *refusal {
	c.events.from(request.Headers)
	c.events.next = 1 // the id 0 belongs to connect, even where nobody listens
	body, err := json.Marshal(request)
	if err != nil {
		return &refusal{status: http.StatusInternalServerError, why: err.Error()}
	}
	resp, err := c.deliver(ctx, upstream.Event{
		Kind: upstream.Connect, Name: "connect", ContentType: "application/json", Body: body,
	})
	var refused *upstream.StatusError
	switch {
	case errors.Is(err, upstream.ErrNoHandler):
		return nil
	case errors.As(err, &refused):
		return &refusal{status: refused.Status, body: "The connect event handler rejected the connection.", why: refused.Error(), answer: resp.Body}
	case err != nil:
		return &refusal{status: http.StatusInternalServerError, why: err.Error()}
	}
	answer, err := upstream.ParseConnectResponse(resp.Body)
	if err != nil {
		return &refusal{status: http.StatusInternalServerError, why: err.Error()}
	}
	if answer.UserID != nil {
		c.userID = *answer.UserID
	}
	if len(answer.Groups) > 0 {
		a.groups = answer.Groups
	}
	if answer.Roles != nil {
		a.roles = *answer.Roles
	}
	if answer.Subprotocol != "" {
		a.subprotocol = answer.Subprotocol
	}
	a.mqtt = answer.MQTTProperties
	return nil
}

// Recovery.

const (
	issuer               = "https://webpubsub.azure.com"
	reconnectionLifetime = 7 * 24 * time.Hour
)

// reconnectionToken is the proof that lets a client come back to its
// connection.
func (s *Server) reconnectionToken(connectionID string) (string, error) {
	now := s.opts.Clock.Now()
	return token.Sign(s.opts.AccessKey, token.Claims{
		Audience: connectionID,
		Issued:   now,
		Expires:  now.Add(reconnectionLifetime),
		Issuer:   issuer, ID: newID(),
	})
}

// hello is the connected frame.
func (c *conn) hello() (*frame, error) {
	hello := wire.Connected{ConnectionID: c.id, UserID: c.user()}
	if c.protocol.Reliable() {
		var err error
		if hello.ReconnectionToken, err = c.hub.srv.reconnectionToken(c.id); err != nil {
			return nil, err
		}
	}
	return downstream(c.protocol, hello)
}

// serveRecovery brings a reliable client back to its connection. The handshake
// succeeds in any case; a client that cannot be recovered is then closed with
// 1008, which tells it to begin anew (client protocol, recovery).
func (h *hub) serveRecovery(w http.ResponseWriter, r *http.Request) *refusal {
	s, q := h.srv, query.Parse(r.URL.RawQuery)
	id := q.Get("awps_connection_id")
	c, why := h.recoverable(id, q.Get("awps_reconnection_token"))
	subprotocol, user := firstKnown(subprotocols(r)), ""
	if c != nil {
		subprotocol, user = c.subprotocol, c.userID // the original one, whatever is offered
	}
	if f, ok := h.strikeHandshake(AtRecovery, w, r, user, id); !ok {
		return f
	}
	l := newLink()
	if !l.upgrade(w, r, subprotocol) {
		return nil
	}
	if c == nil || !c.recover(l) {
		if why == "" {
			why = "the connection has ended meanwhile"
		}
		s.journal.add(Entry{Kind: KindRefused, Hub: h.name, Name: "recovery", Status: websocket.ClosePolicyViolation, Reason: why})
		h.turnAway(l, websocket.ClosePolicyViolation, notRecovered)
		return nil
	}
	c.journal(Entry{Kind: KindRecovered})
	c.attach(l)
	s.tasks.Go(func() { c.serve(l) })
	return nil
}

const notRecovered = "The connection could not be recovered."

// turnAway closes a WebSocket that no connection belongs to.
func (h *hub) turnAway(l *link, code int, reason string) {
	c := &conn{hub: h, link: l, ended: true}
	c.mu.Lock()
	c.push(item{frame: closeFrame(code, reason)})
	c.mu.Unlock()
	c.attach(l)
	h.srv.tasks.Go(func() { c.serve(l) })
}

// recoverable returns the connection that the token belongs to, or why there
// is none.
func (h *hub) recoverable(id, compact string) (*conn, string) {
	claims, err := token.Verify(compact, h.srv.opts.keys(), h.srv.opts.Clock.Now())
	switch {
	case err != nil:
		return nil, "reconnection token: " + err.Error()
	case !slices.Contains(claims.Audiences, id):
		return nil, "the reconnection token belongs to another connection"
	case claims.Issuer != issuer:
		return nil, "the reconnection token was not issued by this service"
	case !claims.Expires.After(h.srv.opts.Clock.Now()): // no clock but this one: no skew
		return nil, "the reconnection token has expired"
	}
	c := h.get(id)
	if c == nil || !c.protocol.Reliable() {
		return nil, "there is no such connection to recover: it has ended, or its time to come back has passed"
	}
	return c, ""
}
