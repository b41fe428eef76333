package endpoint

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/session"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/upstream"
)

// connectTimeout is how long a client may take to send CONNECT after the
// WebSocket handshake.
const connectTimeout = 10 * time.Second

// mqttHandshake is a client that has not connected yet, in the sense of MQTT.
type mqttHandshake struct {
	*Endpoint
	hub     *broker.Hub
	link    *transport.Link
	user    string
	params  params // of the token
	request upstream.ConnectRequest
	by      *journal.Cause
	ticket  *limits.Ticket
}

// openMQTT accepts the WebSocket of an MQTT client, or returns why not. A bad
// token is rejected with an HTTP status as for other clients, since no
// documentation contradicts it. A client without one, of a hub that accepts
// it, is judged by the connect handler (Microsoft Learn, How to connect MQTT
// clients).
func (v *handshake) openMQTT() *rejection {
	isMQTT := func(p string) bool { return strings.EqualFold(p, session.MQTTSubprotocol) }
	if !slices.ContainsFunc(transport.Subprotocols(v.r), isMQTT) {
		const text = "The MQTT endpoint takes the WebSocket subprotocol mqtt."
		return &rejection{status: http.StatusBadRequest, body: text, why: text}
	}
	m := &mqttHandshake{
		Endpoint: v.Endpoint, hub: v.hub, link: v.Sessions.Transport.NewLink(), user: v.claims.UserID,
		params:  params{roles: v.claims.Roles, groups: v.claims.Groups},
		request: connectRequest(v.r, v.claims), by: v.by, ticket: v.ticket,
	}
	if !m.link.Upgrade(v.w, v.r, session.MQTTSubprotocol) {
		v.ticket.Release()
		return nil
	}
	m.link.Start()
	v.Sessions.Tasks.Background(m.serve)
	return nil
}

// serve reads CONNECT, and then serves the session to the end of the link.
func (v *mqttHandshake) serve() {
	defer v.ticket.Release()
	v.link.Listen()
	v.link.SetReadDeadline(time.Now().Add(connectTimeout))
	packets := session.MQTTPackets(v.link)
	packets.KeepRaw = v.Journal.Detailed()
	tasks := v.Sessions.Tasks
	p, err := packets.Next()
	tasks.Begin()
	if err == nil && v.by != nil {
		v.by.SetFrame(session.PacketFrame(p, packets))
	}
	s := v.connect(p, err, packets.Version)
	tasks.End()
	v.link.SetReadDeadline(time.Time{})
	if s != nil {
		s.Serve(v.link, packets)
		return
	}
	_ = v.link.Discard()
	v.link.ReadEnded(true)
}

// connect accepts a client by its first packet, and returns its session. It
// returns nil if the client is rejected; then the link is being closed.
func (v *mqttHandshake) connect(first mqtt.Packet, err error, version mqtt.Version) *session.MQTT {
	connect, ok := first.(*mqtt.Connect)
	var broken *mqtt.Error
	switch {
	case errors.As(err, &broken):
		return v.reject(&mqtt.Connect{Version: version}, broken)
	case err != nil:
		return v.close("", 0, fmt.Sprintf("no CONNECT packet came within %v: %v", connectTimeout, err), nil)
	case !ok:
		return v.close("", 0, "the first packet of a client must be CONNECT (MQTT, section 3.1)", nil)
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
	case p.Version == mqtt.V311 && (p.KeepAlive < 1 || p.KeepAlive > session.MaxMQTTKeepAlive):
		return fail(mqtt.UnspecifiedError, fmt.Sprintf("the keep-alive of MQTT 3.1.1 must be 1 to %d seconds, not %d", session.MaxMQTTKeepAlive, p.KeepAlive))
	case auth:
		return fail(mqtt.BadAuthenticationMethod, "extended authentication is not supported: use an access token, or user name and password")
	case p.Will == nil:
		return nil
	case names.Group(p.Will.Topic) != nil || !mqtt.ValidTopicName(p.Will.Topic):
		return fail(mqtt.TopicNameInvalid, "the topic of a will has 1 to 1,024 characters, not only white space, and no wildcards")
	case len(p.Will.Payload) > 2000:
		return fail(mqtt.PacketTooLarge, "a will has at most 2,000 bytes")
	case p.Will.Retain:
		return fail(mqtt.RetainNotSupported, session.RetainRule)
	}
	return nil
}

// validClientID follows the documentation, and adds the underscore: the product
// team announced it for the tools whose ids have one, MQTT.js among them.
func validClientID(s string) bool {
	return len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_'
	}) < 0
}

// enter asks the connect handler, and finds or creates the client's session.
func (v *mqttHandshake) enter(p *mqtt.Connect) *session.MQTT {
	assigned := ""
	if p.ClientID == "" {
		p.ClientID = rand.Text()
		assigned = p.ClientID
	}
	c := &broker.Conn{Hub: v.hub, ID: p.ClientID, UserID: v.user, Subprotocol: session.MQTTSubprotocol}
	src := v.Events.NewSource(c)
	s := session.NewMQTT(v.Sessions, c, src, p)
	s.Count(v.ticket)
	v.request.MQTT = &upstream.MQTTConnect{
		ProtocolVersion: int(p.Version), CleanStart: p.CleanStart,
		Username: p.Username, Password: p.Password, UserProperties: session.UserProperties(p.Properties),
	}
	if reject := v.params.connect(v.Context, src, c, v.request, v.by); reject != nil {
		return v.rejectByHandler(p, reject)
	}
	setRoles(c, v.params.roles, v.by)
	connack, ok := s.Connack(p, v.params.mqtt, assigned)
	if !ok {
		return v.reject(p, &mqtt.Error{Code: mqtt.PacketTooLarge, Rule: "the response to CONNECT does not fit the client's Maximum Packet Size"})
	}
	for {
		old := v.hub.Conn(c.ID)
		if old == nil {
			if !s.Open(v.params.groups, v.params.connectedEntry(c, v.by)) {
				continue
			}
			if !s.Bind(v.link, s, connack, v.by) {
				return v.close(c.ID, mqtt.SessionTakenOver, "another connection with this client id took over immediately", nil)
			}
			return s
		}
		existing, ok := old.Session.(*session.MQTT)
		switch {
		case !ok:
			return v.reject(p, &mqtt.Error{Code: mqtt.ClientIdentifierNotValid, Rule: "the client id is the id of a connection of another protocol: choose another one"})
		case old.UserID != c.UserID:
			// MQTT identifies sessions by the client id alone, and leaves to the server
			// who may use which (sections 3.1.3.1 and 5.4.2). What the service does is not
			// documented. Microsoft's MQTT broker rejects another client that presents the
			// id of a session (Microsoft Learn, Event Grid, Establish multiple sessions),
			// and a session that could be taken would hand over the messages and the roles
			// of its user to anyone who knows the id.
			return v.reject(p, &mqtt.Error{Code: mqtt.NotAuthorized, Rule: "the client id belongs to the session of another user: choose another one, or wait until that session has ended"})
		case p.CleanStart || !existing.OutlivesLink():
			existing.TakeOver(v.by)
			continue
		}
		connack.SessionPresent = true
		if existing.Bind(v.link, s, connack, v.by) {
			return existing
		}
		connack.SessionPresent = false
		existing.Close(websocket.ClosePolicyViolation, "", "the session is about to end: its client gets a new one", v.by)
	}
}

// rejectByHandler rejects a client as its connect handler asks.
func (v *mqttHandshake) rejectByHandler(p *mqtt.Connect, f *rejection) *session.MQTT {
	r, ok := upstream.ParseMQTTRejection(f.answer)
	code := mqtt.CodeForStatus(f.status, p.Version)
	if ok {
		code = mqtt.Code(r.Code)
		if r.Code < 0 || r.Code > 0xff || !code.Rejects(p.Version) {
			// The reference promises "unspecified error" for an invalid value.
			f.why += fmt.Sprintf(", with the code %d, which rejects no client of MQTT version %d", r.Code, p.Version)
			code = rejectionCode(mqtt.UnspecifiedError, p.Version)
		}
	}
	props := mqtt.Properties{}
	if r.Reason != "" {
		props.AddData(mqtt.ReasonString, session.ClipReason(r.Reason))
	}
	for _, u := range r.UserProperties {
		props.AddUser(u.Name, u.Value)
	}
	return v.answer(p, code, props, f.why)
}

// rejectionCode is the code for a client that its handler rejects without one, or
// with one that is invalid. For MQTT 3.1.1 it is what the handler libraries of
// Microsoft send for an error of no certain kind.
func rejectionCode(c mqtt.Code, version mqtt.Version) mqtt.Code {
	if code, ok := c.Connack(version); ok {
		return code
	}
	return mqtt.V311ServerUnavailable
}

// reject responds to a CONNECT that breaks a rule. If the client's version has no
// code for it, the link is closed without a response.
func (v *mqttHandshake) reject(p *mqtt.Connect, e *mqtt.Error) *session.MQTT {
	code, ok := e.Code.Connack(p.Version)
	if !ok {
		return v.close(p.ClientID, e.Code, e.Rule, nil)
	}
	var props mqtt.Properties
	props.AddData(mqtt.ReasonString, session.ClipReason(e.Rule))
	return v.answer(p, code, props, e.Rule)
}

// answer responds to CONNECT with a code of the client's version.
func (v *mqttHandshake) answer(p *mqtt.Connect, code mqtt.Code, props mqtt.Properties, why string) *session.MQTT {
	packet, ok := session.EncodeRejection(v.Sessions, p, &mqtt.Connack{Code: code, Properties: props})
	if !ok {
		packet = nil
	}
	return v.close(p.ClientID, code, why, packet)
}

// close closes the link, with a last packet or without. It returns nil.
func (v *mqttHandshake) close(id string, code mqtt.Code, why string, packet []byte) *session.MQTT {
	v.Journal.Add(journal.Entry{Kind: journal.Rejected, Hub: v.hub.Name, ConnectionID: id, Name: "CONNECT", Status: int(code), Reason: why, Cause: v.by})
	f := frame.NewClose(websocket.ClosePolicyViolation, "")
	if packet != nil {
		f = frame.Join(frame.New(websocket.BinaryMessage, packet), f)
	}
	v.link.Close(f, false)
	return nil
}
