package emulator

import (
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/upstream"
)

// mqttSession is what a connection has beside where its client speaks MQTT. A
// session of MQTT is a connection of the service, the client id is its id, and
// a subscription is the membership of a group (Microsoft Learn, MQTT overview).
// While the client is away the connection has no link. All but id is guarded by
// the connection's mutex.
type mqttSession struct {
	id string // ce-sessionId

	mqttLink
	outbox
	subscriptions map[string]subscription // by topic
	serverTopics  int                     // how many of them are topics of the service's own
	received      map[uint16]struct{}     // messages of QoS 2 that the client has not released
	willTimer     *timer
}

// subscription is what a client wants of the messages of a topic. A group that
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
	window    int           // unacknowledged messages that the client takes at once
	maxPacket int
	terse     bool // the client wants no reason strings (Request Problem Information)
	will      *mqtt.Publish
	willDelay time.Duration
	heard     time.Time // when its last packet came

	// The DISCONNECT packet that ended the link, if one did.
	last     *mqtt.Disconnect
	byClient bool
}

func newMQTTLink(p *mqtt.Connect, s *Server) mqttLink {
	l := mqttLink{
		physical: newID(), version: p.Version, maxPacket: 1 << 28,
		keepAlive: time.Duration(p.KeepAlive) * time.Second,
		window:    min(s.opts.MaxMessages, 1<<16-1), // no more packet identifiers
	}
	// The service preserves sessions for up to 30 seconds (MQTT support status).
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok {
		l.expiry = min(time.Duration(asked)*time.Second, s.opts.RecoveryWindow)
	} else if p.Version == mqtt.V311 && !p.CleanStart {
		l.expiry = s.opts.RecoveryWindow
	}
	if p.Version == mqtt.V5 && (p.KeepAlive == 0 || p.KeepAlive > maxKeepAlive) {
		// MQTT 5.0 lets the server choose. That the service does so is not
		// documented; its limit is, for MQTT 3.1.1, which has no such way.
		l.keepAlive = maxKeepAlive * time.Second
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

// connack is the answer to a client that is let in: what it gets of what it
// asked for, and what the service does not support (MQTT support status).
func (s *mqttSession) connack(p *mqtt.Connect, user []upstream.MQTTProperty) *mqtt.Connack {
	a := &mqtt.Connack{}
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok && time.Duration(asked)*time.Second != s.expiry {
		a.Properties.AddInt(mqtt.SessionExpiry, uint32(s.expiry/time.Second))
	}
	if seconds := s.keepAlive / time.Second; seconds != time.Duration(p.KeepAlive) {
		a.Properties.AddInt(mqtt.ServerKeepAlive, uint32(seconds))
	}
	a.Properties.AddInt(mqtt.MaximumPacketSize, maxMessage)
	for _, missing := range []mqtt.PropertyID{mqtt.RetainAvailable, mqtt.WildcardAvailable, mqtt.SharedSubscriptionAvailable} {
		a.Properties.AddInt(missing, 0)
	}
	for _, u := range user {
		a.Properties.AddUser(u.Name, u.Value)
	}
	return a
}

// outlivesLink reports whether the session goes on when another connection takes
// it over: then the link that it has is lost, and with it a session without
// expiry (section 3.1.4).
func (c *conn) outlivesLink() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mqtt.expiry > 0
}

// bindMQTT gives the session the link of a client that has just connected, and
// sends the answer and all that waits. It takes the session away from a link
// that it may still have. It reports false where the session has ended.
func (c *conn) bindMQTT(l *link, next mqttLink, connack *mqtt.Connack) bool {
	s := c.mqtt
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.mu.Lock()
	if c.ended || c.doomed {
		c.mu.Unlock()
		return false
	}
	var will *mqtt.Publish
	if c.link != nil {
		if s.part(mqtt.SessionTakenOver, takenOver); s.willDelay == 0 {
			will = s.will
		}
		c.hangUp(websocket.CloseNormalClosure)
	}
	// A will that waits is not sent: the client came back in time (section 3.1.3.2).
	s.willTimer.stop()
	c.recovery.stop()
	c.recovery = nil
	s.mqttLink = next
	s.heard = c.hub.srv.opts.Clock.Now()
	s.progress = s.heard
	c.link = l
	c.pushPacket(connack)
	c.resend()
	c.mu.Unlock()
	if will != nil {
		c.sendWill(will)
	}
	return true
}

// identifyMQTT puts into an event what tells apart the links and the sessions
// of a client id.
func (c *conn) identifyMQTT(e *upstream.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Subprotocol = mqttSubprotocol
	e.PhysicalConnectionID = c.mqtt.physical
	if e.Kind != upstream.Connect {
		e.SessionID = c.mqtt.id
	}
}
