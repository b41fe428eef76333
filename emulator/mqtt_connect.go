package emulator

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
)

const (
	mqttSubprotocol = "mqtt"
	// connectTimeout is how long a client may take to send CONNECT after the
	// WebSocket handshake.
	connectTimeout = 10 * time.Second
)

// mqttVisit is a client that has not connected yet, in the sense of MQTT.
type mqttVisit struct {
	hub     *hub
	link    *link
	claims  token.Claims
	request upstream.ConnectRequest
}

// serveMQTT answers the handshake of an MQTT client. A bad token is refused
// with an HTTP status as for other clients, since nothing says that the service
// does otherwise. A client without one, of a hub that lets it in, is judged by
// the connect handler (Microsoft Learn, How to connect MQTT clients).
func (h *hub) serveMQTT(w http.ResponseWriter, r *http.Request, claims token.Claims) *refusal {
	if f := checkTokenGroups(claims); f != nil {
		return f
	}
	if !slices.ContainsFunc(subprotocols(r), func(p string) bool { return strings.EqualFold(p, mqttSubprotocol) }) {
		const text = "The MQTT endpoint takes the WebSocket subprotocol mqtt."
		return &refusal{status: http.StatusBadRequest, body: text, why: text}
	}
	v := &mqttVisit{hub: h, link: newLink(), claims: claims, request: connectRequest(r, claims)}
	if l := v.link; l.upgrade(w, r, mqttSubprotocol) {
		l.net = l.ws.NetConn()
		l.alive.Store(true)
		l.pinged = h.srv.opts.Clock.Now()
		if h.srv.track(l) {
			h.srv.tasks.Go(v.serve)
		} else {
			l.cut() // the server closed during the handshake
		}
	}
	return nil
}

// serve reads CONNECT, and then serves the session to the end of the link.
func (v *mqttVisit) serve() {
	l, s := v.link, v.hub.srv
	defer s.untrack(l)
	_ = l.ws.SetReadDeadline(time.Now().Add(connectTimeout))
	packets := mqtt.NewReader(mqtt.Joined(l.nextBinary), maxMessage)
	p, err := packets.Next()
	s.busy.begin()
	c := v.admit(p, err, packets.Version)
	s.busy.end()
	_ = l.ws.SetReadDeadline(time.Time{})
	c.readMQTT(l, packets)
}

// admit lets a client in by its first packet. It returns the client's session,
// or a connection that has ended where there is none.
func (v *mqttVisit) admit(first mqtt.Packet, err error, version mqtt.Version) *conn {
	connect, ok := first.(*mqtt.Connect)
	var broken *mqtt.Error
	switch {
	case errors.As(err, &broken):
		return v.reject(&mqtt.Connect{Version: version}, broken)
	case err != nil:
		return v.turnAway("", 0, fmt.Sprintf("no CONNECT packet came within %v: %v", connectTimeout, err), nil)
	case !ok:
		return v.turnAway("", 0, "the first packet of a client must be CONNECT (MQTT, section 3.1)", nil)
	}
	if broken := checkConnect(connect); broken != nil {
		return v.reject(connect, broken)
	}
	return v.enter(connect)
}

// checkConnect checks the rules of the service (Microsoft Learn, How to connect
// MQTT clients, Connection parameters).
func checkConnect(p *mqtt.Connect) *mqtt.Error {
	fail := func(code mqtt.Code, rule string) *mqtt.Error { return &mqtt.Error{Code: code, Rule: rule} }
	_, auth := p.Properties.Data(mqtt.AuthenticationMethod)
	switch {
	case p.ClientID == "" && p.Version == mqtt.V311:
		return fail(mqtt.ClientIdentifierNotValid, "the client id is empty: choose one, or use MQTT 5.0 to have one assigned")
	case p.ClientID != "" && !validClientID(p.ClientID):
		return fail(mqtt.ClientIdentifierNotValid, "a client id has 1 to 128 letters, digits and _")
	case p.Version == mqtt.V311 && (p.KeepAlive < 1 || p.KeepAlive > maxKeepAlive):
		return fail(mqtt.UnspecifiedError, fmt.Sprintf("the keep-alive of MQTT 3.1.1 must be 1 to %d seconds, not %d", maxKeepAlive, p.KeepAlive))
	case auth:
		return fail(mqtt.BadAuthenticationMethod, "extended authentication is not supported: use an access token, or user name and password")
	case p.Will == nil:
		return nil
	case names.Group(p.Will.Topic) != nil || !mqtt.ValidTopicName(p.Will.Topic):
		return fail(mqtt.TopicNameInvalid, "the topic of a will has 1 to 1,024 characters, not only white space, and no wildcards")
	case len(p.Will.Payload) > 2000:
		return fail(mqtt.PacketTooLarge, "a will has at most 2,000 bytes")
	case p.Will.Retain:
		return fail(mqtt.RetainNotSupported, retainRule)
	}
	return nil
}

const (
	maxKeepAlive = 180 // seconds
	retainRule   = "retained messages are not supported: do not set the flag"
)

// validClientID follows the documentation, and adds the underscore: the product
// team announced it for the tools whose ids have one, MQTT.js among them.
func validClientID(s string) bool {
	return len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_'
	}) < 0
}

// enter asks the connect handler, and finds or makes the client's session.
func (v *mqttVisit) enter(p *mqtt.Connect) *conn {
	h := v.hub
	assigned := p.ClientID == ""
	if assigned {
		p.ClientID = rand.Text()
	}
	c := &conn{hub: h, id: p.ClientID, userID: v.claims.UserID, subprotocol: mqttSubprotocol, mqtt: &mqttSession{id: newID(), mqttLink: newMQTTLink(p, h.srv)}}
	v.request.MQTT = &upstream.MQTTConnect{
		ProtocolVersion: int(p.Version), CleanStart: p.CleanStart,
		Username: p.Username, Password: p.Password, UserProperties: userProperties(p.Properties),
	}
	admit := admission{roles: v.claims.Roles, groups: v.claims.Groups}
	if f := c.askHandler(h.srv.ctx, v.request, &admit); f != nil {
		return v.refuseFor(p, f)
	}
	var ignored []error
	if c.may, ignored = role.Parse(admit.roles); len(ignored) > 0 {
		c.journal(Entry{Kind: KindRefused, Name: "roles", Reason: errors.Join(ignored...).Error()})
	}
	connack := c.mqtt.connack(p, admit.mqtt)
	if assigned {
		connack.Properties.AddData(mqtt.AssignedClientID, c.id)
	}
	next := c.mqtt.mqttLink
	if _, ok := next.encode(connack); !ok {
		return v.reject(p, &mqtt.Error{Code: mqtt.PacketTooLarge, Rule: fmt.Sprintf("the answer to CONNECT does not fit the client's Maximum Packet Size of %d bytes", next.maxPacket)})
	}
	for {
		old := h.get(c.id)
		switch {
		case old == nil:
			if !h.add(c, admit.groups) {
				continue
			}
			c.journal(c.connectedEntry(admit))
			c.raiseConnected()
			if !c.bindMQTT(v.link, next, connack) {
				return v.turnAway(c.id, mqtt.SessionTakenOver, "another connection with this client id took over at once", nil)
			}
			return c
		case old.mqtt == nil:
			return v.reject(p, &mqtt.Error{Code: mqtt.ClientIdentifierNotValid, Rule: "the client id is the id of a connection of another protocol: choose another one"})
		case old.userID != c.userID:
			// MQTT tells sessions apart by the client id alone, and leaves to the server
			// who may use which (sections 3.1.3.1 and 5.4.2). What the service does is not
			// documented. Microsoft's MQTT broker rejects another client that presents the
			// id of a session (Microsoft Learn, Event Grid, Establish multiple sessions),
			// and a session that could be taken would hand over the messages and the roles
			// of its user to whoever knows the id.
			return v.reject(p, &mqtt.Error{Code: mqtt.NotAuthorized, Rule: "the client id belongs to the session of another user: choose another one, or wait until that session has ended"})
		case p.CleanStart || !old.outlivesLink():
			old.closeMQTT(mqtt.SessionTakenOver, takenOver, takenOver)
			continue
		}
		connack.SessionPresent = true
		if old.bindMQTT(v.link, next, connack) {
			old.journal(Entry{Kind: KindRecovered, Name: mqttSubprotocol})
			return old
		}
		connack.SessionPresent = false
		old.close(websocket.ClosePolicyViolation, "", "the session is about to end: its client gets a new one")
	}
}

const takenOver = "another connection with the same client id took over"

// refuseFor refuses a client as its connect handler wants.
func (v *mqttVisit) refuseFor(p *mqtt.Connect, f *refusal) *conn {
	r, ok := upstream.ParseMQTTRejection(f.answer)
	code := mqtt.CodeForStatus(f.status, p.Version)
	if ok {
		code = mqtt.Code(r.Code)
		if r.Code < 0 || r.Code > 0xff || !code.Refuses(p.Version) {
			// The reference promises "unspecified error" for an invalid value.
			f.why += fmt.Sprintf(", with the code %d, which refuses no client of MQTT version %d", r.Code, p.Version)
			code = refusalCode(mqtt.UnspecifiedError, p.Version)
		}
	}
	props := mqtt.Properties{}
	if r.Reason != "" {
		props.AddData(mqtt.ReasonString, clipReason(r.Reason))
	}
	for _, u := range r.UserProperties {
		props.AddUser(u.Name, u.Value)
	}
	return v.refuse(p, code, props, f.why)
}

// refusalCode is the code for a client that its handler refuses without one, or
// with one that is invalid. For MQTT 3.1.1 it is what the handler libraries of
// Microsoft send for an error of no certain kind.
func refusalCode(c mqtt.Code, version mqtt.Version) mqtt.Code {
	if code, ok := c.Connack(version); ok {
		return code
	}
	return mqtt.V311ServerUnavailable
}

// reject answers a CONNECT that breaks a rule. If the client's version has no
// code for it, the link is closed without an answer.
func (v *mqttVisit) reject(p *mqtt.Connect, e *mqtt.Error) *conn {
	code, ok := e.Code.Connack(p.Version)
	if !ok {
		return v.turnAway(p.ClientID, e.Code, e.Rule, nil)
	}
	var props mqtt.Properties
	props.AddData(mqtt.ReasonString, clipReason(e.Rule))
	return v.refuse(p, code, props, e.Rule)
}

// refuse answers CONNECT with a code of the client's version.
func (v *mqttVisit) refuse(p *mqtt.Connect, code mqtt.Code, props mqtt.Properties, why string) *conn {
	l := newMQTTLink(p, v.hub.srv)
	packet, ok := l.encode(&mqtt.Connack{Code: code, Properties: props})
	if !ok {
		packet = nil
	}
	return v.turnAway(p.ClientID, code, why, packet)
}

// turnAway closes the link, with a last packet or without. The connection that
// it returns has ended; it is there to read the peer's answer.
func (v *mqttVisit) turnAway(id string, code mqtt.Code, why string, packet []byte) *conn {
	c := &conn{hub: v.hub, id: id, link: v.link, ended: true}
	c.journal(Entry{Kind: KindRefused, Name: "CONNECT", Status: int(code), Reason: why})
	f := closeFrame(websocket.ClosePolicyViolation, "")
	if packet != nil {
		f = joinFrames(newFrame(websocket.BinaryMessage, packet), f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(item{frame: f})
	c.forceClose()
	return c
}

func userProperties(p mqtt.Properties) []upstream.MQTTProperty {
	var out []upstream.MQTTProperty
	for _, u := range p.Only(mqtt.UserProperty) {
		out = append(out, upstream.MQTTProperty{Name: u.Data, Value: u.Value})
	}
	return out
}
