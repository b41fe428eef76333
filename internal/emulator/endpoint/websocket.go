package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/session"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/query"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// open accepts a new WebSocket client, or returns why not.
func (v *handshake) open(q query.Values) *rejection {
	mode, err := parseMode(q)
	if err != nil {
		return &rejection{status: http.StatusBadRequest, body: err.Error(), why: err.Error()}
	}
	c := &broker.Conn{Hub: v.hub, ID: broker.NewID(), UserID: v.claims.UserID}
	src := v.Events.NewSource(c)
	p := params{roles: v.claims.Roles, groups: v.claims.Groups, subprotocol: firstKnown(transport.Subprotocols(v.r))}
	if reject := p.connect(v.r.Context(), src, c, connectRequest(v.r, v.claims), v.by); reject != nil {
		return reject
	}
	c.Subprotocol = p.subprotocol
	setRoles(c, p.roles, v.by)
	entry := p.connectedEntry(c, v.by)
	upgrade := func(l *transport.Link) bool { return l.Upgrade(v.w, v.r, c.Subprotocol) }
	protocol, known := wire.Lookup(p.subprotocol)
	if !known {
		s := session.NewSimple(v.Sessions, c, src, mode)
		s.Count(v.ticket)
		s.Open(p.groups, entry, upgrade)
		return nil
	}
	s, err := session.NewPubSub(v.Sessions, c, src, protocol)
	if err != nil {
		return &rejection{status: http.StatusInternalServerError, why: err.Error()}
	}
	s.Count(v.ticket)
	s.Open(p.groups, entry, upgrade)
	return nil
}

func setRoles(c *broker.Conn, roles []string, by *journal.Cause) {
	if ignored := c.SetRoles(roles); len(ignored) > 0 {
		c.Journal(journal.Entry{Kind: journal.Rejected, Name: "roles", Reason: errors.Join(ignored...).Error(), Cause: by})
	}
}

// parseMode reads what a simple client wants done with its frames. Parameter
// names compare without case; of a repeated one the last counts.
func parseMode(q query.Values) (session.Mode, error) {
	get := func(name string) string {
		if all := q.All(name); len(all) > 0 {
			return all[len(all)-1]
		}
		return ""
	}
	switch mode := get("webpubsub_mode"); {
	case mode == "" || strings.EqualFold(mode, "sendEvent"):
		return session.Mode{}, nil
	case !strings.EqualFold(mode, "sendToGroup"):
		return session.Mode{}, errors.New("webpubsub_mode must be 'sendEvent' or 'sendToGroup'")
	}
	m := session.Mode{ToGroup: true, Group: get("group")}
	if err := names.Group(m.Group); err != nil {
		return session.Mode{}, err
	}
	switch v := get("noEcho"); {
	case v == "" || strings.EqualFold(v, "false"):
	case strings.EqualFold(v, "true"):
		m.NoEcho = true
	default:
		return session.Mode{}, errors.New("noEcho must be 'true' or 'false'")
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

// params is what a client is accepted with: what its token contains, unless the
// event handler decides otherwise.
type params struct {
	roles, groups []string
	subprotocol   string
	mqtt          []upstream.MQTTProperty // for the response to an MQTT client
}

// connectedEntry returns the journal entry of a new connection. The reason warns
// of names that no REST path can contain: clients can use them, and calls of the
// application succeed without effect, which is first noticed in production.
func (p *params) connectedEntry(c *broker.Conn, by *journal.Cause) journal.Entry {
	e := journal.Entry{Kind: journal.Connected, Name: c.Subprotocol, Cause: by}
	if found := names.Unaddressable(c.UserID, p.roles, p.groups); found != nil {
		e.Reason = "clients can use these names, but REST calls on them have no effect: " + errors.Join(found...).Error()
	}
	return e
}

// connectRequest returns the body of the connect event for a handshake.
func connectRequest(r *http.Request, claims token.Claims) upstream.ConnectRequest {
	return upstream.ConnectRequest{
		Claims:             claims.All,
		Query:              query.Parse(r.URL.RawQuery),
		Headers:            transport.AsSent(r),
		Subprotocols:       transport.Subprotocols(r),
		ClientCertificates: clientCertificates(r.TLS),
	}
}

// connect raises the connect event, and applies the response.
func (p *params) connect(ctx context.Context, src *events.Source, c *broker.Conn, request upstream.ConnectRequest, by *journal.Cause) *rejection {
	src.FromRequest(request.Headers)
	body, err := json.Marshal(request)
	if err != nil {
		return &rejection{status: http.StatusInternalServerError, why: err.Error()}
	}
	resp, err := src.Connect(ctx, body, by)
	var rejected *upstream.StatusError
	switch {
	case errors.Is(err, upstream.ErrNoHandler):
		return nil
	case errors.As(err, &rejected):
		return &rejection{status: rejected.Status, body: "The connect event handler rejected the connection.", why: rejected.Error(), answer: resp.Body}
	case err != nil:
		return &rejection{status: http.StatusInternalServerError, why: err.Error()}
	}
	answer, err := upstream.ParseConnectResponse(resp.Body)
	if err != nil {
		return &rejection{status: http.StatusInternalServerError, why: err.Error()}
	}
	if answer.UserID != nil {
		c.UserID = *answer.UserID
	}
	if len(answer.Groups) > 0 {
		p.groups = answer.Groups
	}
	if answer.Roles != nil {
		p.roles = *answer.Roles
	}
	if answer.Subprotocol != "" { // with "", Microsoft's emulator drops the connection
		p.subprotocol = answer.Subprotocol
	}
	p.mqtt = answer.MQTTProperties
	return nil
}

// NotRecovered is the reason for which a client that cannot be recovered is
// closed with 1008.
const NotRecovered = "The connection could not be recovered."

// recover brings a reliable client back to its connection. The handshake succeeds
// in any case; a client that cannot be recovered is then closed with 1008, after
// which it opens a new connection (client protocol, recovery).
func (e *Endpoint) recover(w http.ResponseWriter, r *http.Request, hub string, q query.Values, by *journal.Cause) *rejection {
	id := q.Get("awps_connection_id")
	s, c, why := e.recoverable(hub, id, q.Get("awps_reconnection_token"))
	subprotocol, target := firstKnown(transport.Subprotocols(r)), fault.Target{Hub: hub, ConnectionID: id}
	if s != nil {
		subprotocol, target.UserID = c.Subprotocol, c.UserID // the original one, whatever is offered
	}
	if reject, ok := e.applyFaults(fault.AtRecovery, w, r, target); !ok {
		return reject
	}
	l := e.Sessions.Transport.NewLink()
	if !l.Upgrade(w, r, subprotocol) || s != nil && s.Recover(l, by) {
		return nil
	}
	if why == "" {
		why = "the connection has ended in the meantime"
	}
	e.Journal.Add(journal.Entry{Kind: journal.Rejected, Hub: hub, Name: "recovery", Status: websocket.ClosePolicyViolation, Reason: why, Cause: by})
	l.Reject(frame.NewClose(websocket.ClosePolicyViolation, NotRecovered))
	return nil
}

// recoverable returns the connection that the token belongs to, or why there is
// none.
func (e *Endpoint) recoverable(hub, id, compact string) (*session.PubSub, *broker.Conn, string) {
	claims, err := token.Verify(compact, e.Access.Keys, time.Now())
	switch {
	case err != nil:
		return nil, nil, "reconnection token: " + err.Error()
	case !slices.Contains(claims.Audiences, id):
		return nil, nil, "the reconnection token belongs to another connection"
	case claims.Issuer != token.Issuer:
		return nil, nil, "the reconnection token was not issued by this service"
	case !claims.Expires.After(time.Now()): // no clock but this one: no skew
		return nil, nil, "the reconnection token has expired"
	}
	if h := e.Broker.Existing(hub); h != nil {
		if c := h.Conn(id); c != nil {
			if s, ok := c.Session.(*session.PubSub); ok && s.Recovers() {
				return s, c, ""
			}
		}
	}
	return nil, nil, "there is no such connection to recover: it has ended, or its recovery window has passed"
}
