package session

import (
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/upstream"
)

// MQTTSubprotocol is the WebSocket subprotocol of MQTT clients.
const MQTTSubprotocol = "mqtt"

// MaxMQTTKeepAlive is the longest keep-alive of a client in seconds (Microsoft
// Learn, How to connect MQTT clients, Connection parameters).
const MaxMQTTKeepAlive = 180

// MQTT is the session of an MQTT client, in the sense of MQTT too: it is a
// connection of the service, the client id is its id, and a subscription is the
// membership of a group (Microsoft Learn, MQTT overview). While the client is
// not connected there is no link. All but id is guarded by base.mu.
type MQTT struct {
	base
	id string // ce-sessionId

	mqttLink
	outbox
	subscriptions map[string]subscription // by topic
	serverTopics  int                     // how many of them are topics of the service's own
	received      map[uint16]struct{}     // messages of QoS 2 that the client has not released
	willTimer     *time.Timer
}

// NewMQTT returns the session for a client's CONNECT.
func NewMQTT(srv *Server, c *broker.Conn, src *events.Source, p *mqtt.Connect) *MQTT {
	s := &MQTT{id: broker.NewID(), mqttLink: newMQTTLink(p, srv)}
	s.init(srv, c, src, s)
	src.Identify = s.identify
	return s
}

// Count has the client's connection counted by its ticket, for as long as it is that
// of the session. Call it before Bind. The ticket is not released.
func (s *MQTT) Count(t *limits.Ticket) { s.mqttLink.ticket = t }

// subscription is how a client receives the messages of a topic. A group that
// it joined in another way has none.
type subscription struct {
	qos     byte
	noLocal bool
	id      uint32 // zero: none
}

// mqttLink is what the client's present connection brought with it. A client
// that comes back replaces it as a whole.
type mqttLink struct {
	physical  string // ce-physicalConnectionId
	version   mqtt.Version
	keepAlive time.Duration // zero: none
	expiry    time.Duration // how long the session outlives the link
	window    int           // unacknowledged messages that the client accepts
	maxPacket int
	terse     bool // the client requests no reason strings (Request Problem Information)
	will      *mqtt.Publish
	willDelay time.Duration
	heard     time.Time // when its last packet came
	since     time.Time // when its CONNECT came
	ticket    *limits.Ticket

	// The DISCONNECT packet that ended the link, if one did.
	last     *mqtt.Disconnect
	byClient bool
}

func newMQTTLink(p *mqtt.Connect, s *Server) mqttLink {
	l := mqttLink{
		physical: broker.NewID(), version: p.Version, maxPacket: 1 << 28, since: time.Now(),
		keepAlive: time.Duration(p.KeepAlive) * time.Second,
		window:    min(s.MaxMessages, 1<<16-1), // no more packet identifiers
	}
	// The service preserves sessions for up to 30 seconds (MQTT support status).
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok {
		l.expiry = min(time.Duration(asked)*time.Second, s.RecoveryWindow)
	} else if p.Version == mqtt.V311 && !p.CleanStart {
		l.expiry = s.RecoveryWindow
	}
	if p.Version == mqtt.V5 && (p.KeepAlive == 0 || p.KeepAlive > MaxMQTTKeepAlive) {
		// MQTT 5.0 lets the server choose. That the service does so is not
		// documented; its limit is, for MQTT 3.1.1, which has no such way.
		l.keepAlive = MaxMQTTKeepAlive * time.Second
	}
	if n, ok := p.Properties.Int(mqtt.ReceiveMaximum); ok {
		l.window = min(int(n), l.window)
	}
	if n, ok := p.Properties.Int(mqtt.MaximumPacketSize); ok {
		l.maxPacket = int(min(n, 1<<28))
	}
	if n, ok := p.Properties.Int(mqtt.RequestProblem); ok {
		l.terse = n == 0
	}
	if w := p.Will; w != nil {
		delay, _ := w.Properties.Int(mqtt.WillDelay)
		l.willDelay = time.Duration(delay) * time.Second
		l.will = &mqtt.Publish{QoS: w.QoS, Topic: w.Topic, Payload: w.Payload, Properties: w.Properties}
	}
	return l
}

// encode returns the bytes of any packet but PUBLISH. A reason string and user
// properties are left out if the client has no room for them, or does not want
// them (section 3.1.2.11.7). It reports false if the packet is too large even so.
func (l *mqttLink) encode(p mqtt.Packet) ([]byte, bool) {
	if t := p.Type(); l.terse && t != mqtt.TypeConnack && t != mqtt.TypeDisconnect {
		p = mqtt.Brief(p)
	}
	b := l.version.Append(nil, p)
	if len(b) > l.maxPacket {
		b = l.version.Append(nil, mqtt.Brief(p))
	}
	return b, len(b) <= l.maxPacket
}

// Connack returns the response to a client that is accepted: what it gets of what
// it asked for, and what the service does not support (MQTT support status). It
// reports false if the response is larger than the client's Maximum Packet Size.
func (s *MQTT) Connack(p *mqtt.Connect, user []upstream.MQTTProperty, assignedID string) (*mqtt.Connack, bool) {
	a := &mqtt.Connack{}
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok && time.Duration(asked)*time.Second != s.expiry {
		a.Properties.AddInt(mqtt.SessionExpiry, uint32(s.expiry/time.Second))
	}
	if seconds := s.keepAlive / time.Second; seconds != time.Duration(p.KeepAlive) {
		a.Properties.AddInt(mqtt.ServerKeepAlive, uint32(seconds))
	}
	a.Properties.AddInt(mqtt.MaximumPacketSize, transport.MaxMessage)
	for _, missing := range []mqtt.PropertyID{mqtt.RetainAvailable, mqtt.WildcardAvailable, mqtt.SharedSubscriptionAvailable} {
		a.Properties.AddInt(missing, 0)
	}
	for _, u := range user {
		a.Properties.AddUser(u.Name, u.Value)
	}
	if assignedID != "" {
		a.Properties.AddData(mqtt.AssignedClientID, assignedID)
	}
	_, ok := s.encode(a)
	return a, ok
}

// EncodeRejection returns the bytes of the CONNACK that rejects a client. It
// reports false if the packet is larger than the client accepts.
func EncodeRejection(srv *Server, p *mqtt.Connect, a *mqtt.Connack) ([]byte, bool) {
	l := newMQTTLink(p, srv)
	return l.encode(a)
}

// OutlivesLink reports whether the session continues when another connection
// takes it over: then its link is lost, and with it a session without expiry
// (section 3.1.4).
func (s *MQTT) OutlivesLink() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiry > 0
}

const takenOver = "another connection with the same client id took over"

// TakeOver ends the session because its client id connected again.
func (s *MQTT) TakeOver(by *journal.Cause) { s.end(mqtt.SessionTakenOver, takenOver, takenOver, by) }

// Open brings a new session into its hub, with its first groups. It reports
// false if the client id is in use.
func (s *MQTT) Open(groups []string, connected journal.Entry) bool {
	if !s.conn.Hub.Add(s.conn, groups, connected.Cause) {
		return false
	}
	s.conn.Journal(connected)
	s.raiseConnected(connected.Cause)
	return true
}

// Bind gives the session the link of a client that has just connected with what
// next brought, and sends the response and all that waits. It takes the session
// away from a link that it may still have. It reports false if the session has
// ended.
func (s *MQTT) Bind(l *transport.Link, next *MQTT, connack *mqtt.Connack, by *journal.Cause) bool {
	incoming := next.mqttLink
	s.mu.Lock()
	if s.ended || s.closing {
		s.mu.Unlock()
		return false
	}
	var will *mqtt.Publish
	if s.link != nil {
		if s.setDisconnect(mqtt.SessionTakenOver, takenOver); s.willDelay == 0 {
			will = s.will
		}
		s.closeLink(websocket.CloseNormalClosure)
	}
	// A will that waits is not sent: the client came back in time (section 3.1.3.2).
	stop(s.willTimer)
	s.stopRecovery()
	s.mqttLink = incoming
	s.heard = time.Now()
	s.progress = s.heard
	s.adopt(l)
	s.link = l
	s.pushPacket(connack)
	s.resend()
	s.mu.Unlock()
	if will != nil {
		s.sendWill(will)
	}
	if connack.SessionPresent {
		s.conn.Journal(journal.Entry{Kind: journal.Recovered, Name: MQTTSubprotocol, Cause: by})
	}
	return true
}

// stop stops a timer that may never have been started.
func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// identify adds to an event what distinguishes the links and the sessions of a
// client id.
func (s *MQTT) identify(e *upstream.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Subprotocol = MQTTSubprotocol
	e.PhysicalConnectionID = s.physical
	if e.Kind != upstream.Connect {
		e.SessionID = s.id
	}
}
