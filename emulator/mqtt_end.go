package emulator

import (
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/upstream"
)

// part notes the DISCONNECT packet by which the service ends the link. MQTT
// 3.1.1 has none. It needs c.mu.
func (s *mqttSession) part(code mqtt.Code, reason string) {
	s.last, s.byClient = nil, false
	if s.version == mqtt.V5 {
		s.last = &mqtt.Disconnect{Code: code}
		if reason != "" {
			s.last.Properties.AddData(mqtt.ReasonString, clipReason(reason))
		}
	}
}

// farewell puts that packet before the close frame.
func (s *mqttSession) farewell(f *frame) *frame {
	if s.last == nil || s.byClient {
		return f
	}
	b, ok := s.encode(s.last)
	if !ok {
		return f
	}
	return joinFrames(newFrame(websocket.BinaryMessage, b), f)
}

// joinFrames makes one frame of two, of which the second closes the link. The
// queue never takes the one and leaves out the other.
func joinFrames(a, b *frame) *frame {
	return &frame{bytes: append(a.bytes, b.bytes...), opcode: b.opcode, size: a.size + b.size, closes: b.closes}
}

// hangUp closes the link and leaves the session without one. It needs c.mu.
func (c *conn) hangUp(code int) {
	c.push(item{frame: c.mqtt.farewell(closeFrame(code, ""))})
	c.forceClose()
	c.link = nil
}

// dropMQTT ends a link whose client broke a rule. The session lives on.
func (c *conn) dropMQTT(l *link, code mqtt.Code, rule string) {
	c.mu.Lock()
	if c.ended || c.link != l {
		c.mu.Unlock()
		return
	}
	c.mqtt.part(code, rule)
	c.hangUp(websocket.ClosePolicyViolation)
	legacy := c.loseMQTT()
	c.mu.Unlock()
	c.journal(Entry{Kind: KindRefused, Name: mqttSubprotocol, Status: int(code), Reason: rule})
	c.lostMQTT(legacy, websocket.ClosePolicyViolation, rule, rule)
}

// closeMQTT ends the session, and the link where it has one.
func (c *conn) closeMQTT(code mqtt.Code, reason, why string) {
	c.mu.Lock()
	if c.link != nil && !c.ended {
		c.mqtt.part(code, reason)
	}
	c.mu.Unlock()
	c.closeAs(websocket.CloseNormalClosure, reason, why, why)
}

// receiveDisconnect ends the link as its client wishes.
func (c *conn) receiveDisconnect(l *link, p *mqtt.Disconnect) {
	s := c.mqtt
	c.mu.Lock()
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok {
		if s.expiry == 0 && asked > 0 {
			c.mu.Unlock()
			c.dropMQTT(l, mqtt.ProtocolError, "DISCONNECT cannot give an expiry to a session that CONNECT gave none (section 3.14.2.2.2)")
			return
		}
		s.expiry = min(time.Duration(asked)*time.Second, c.hub.srv.opts.RecoveryWindow)
	}
	if p.Code == mqtt.Success {
		s.will = nil
	}
	s.last, s.byClient = p, true
	c.hangUp(websocket.CloseNormalClosure)
	legacy := c.loseMQTT()
	c.mu.Unlock()
	why, _ := p.Properties.Data(mqtt.ReasonString)
	c.lostMQTT(legacy, websocket.CloseNormalClosure, why, why)
}

// mqttLegacy is what follows from the loss of a link.
type mqttLegacy struct {
	expiry time.Duration // of the session
	will   *mqtt.Publish // to send at once
}

// loseMQTT belongs to the moment in which the link is lost: a client that comes
// back right after it brings a will and an expiry of its own. It needs c.mu.
func (c *conn) loseMQTT() mqttLegacy {
	s := c.mqtt
	legacy := mqttLegacy{expiry: s.expiry}
	switch {
	case s.will == nil || c.ended || s.willDelay >= s.expiry: // the end of the session sends it
	case s.willDelay == 0:
		legacy.will = s.takeWill()
	default:
		physical := s.physical
		s.willTimer = c.hub.srv.opts.Clock.afterFunc(s.willDelay, func() {
			if !c.hub.srv.enter() {
				return
			}
			defer c.hub.srv.leave()
			c.publishWill(func() bool { return c.link == nil && s.physical == physical })
		})
	}
	return legacy
}

// lostMQTT is called when the session has lost its link: the session ends, or
// waits for its client. The handlers hear the one reason, the journal the other.
func (c *conn) lostMQTT(legacy mqttLegacy, code int, heard, why string) {
	if legacy.expiry <= 0 {
		c.finish(code, heard, why)
		return
	}
	if legacy.will != nil {
		c.sendWill(legacy.will)
	}
	c.detach(code, why, legacy.expiry, heard, why)
}

// takeWill returns the will of a client that was lost, once. It needs c.mu.
func (s *mqttSession) takeWill() *mqtt.Publish {
	will := s.will
	s.will = nil
	s.willTimer.stop()
	return will
}

// publishWill sends the will if it is due, which is asked under c.mu. A session
// that ends takes its will delay with it (section 3.1.3.2.2).
func (c *conn) publishWill(due func() bool) {
	c.mu.Lock()
	var will *mqtt.Publish
	if due() {
		will = c.mqtt.takeWill()
	}
	c.mu.Unlock()
	if will != nil {
		c.sendWill(will)
	}
}

func (c *conn) sendWill(will *mqtt.Publish) {
	if e := c.acceptPublish(will); e != nil {
		c.journal(Entry{Kind: KindRefused, Name: "will", Status: int(e.Code), Reason: e.Rule})
	}
}

// keepAliveMQTT drops a client of which nothing was heard for one and a half
// times the interval that it promised (section 3.1.2.10).
func (c *conn) keepAliveMQTT(now time.Time) {
	c.mu.Lock()
	l, s := c.link, c.mqtt
	silent := l != nil && s.keepAlive > 0 && now.Sub(s.heard) > s.keepAlive*3/2
	c.mu.Unlock()
	if silent {
		c.dropMQTT(l, mqtt.KeepAliveTimeout, "no packet came within one and a half times the keep-alive: send PINGREQ in time")
	}
}

// disconnectedMQTT is the body of the disconnected event.
func (c *conn) disconnectedMQTT(reason string) upstream.MQTTDisconnected {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := upstream.MQTTDisconnected{Reason: reason, InitiatedByClient: c.mqtt.byClient}
	if p := c.mqtt.last; p != nil {
		d.Packet = &upstream.MQTTDisconnectPacket{Code: int(p.Code), UserProperties: userProperties(p.Properties)}
	}
	return d
}

// clipReason bounds a reason string, which is there for people.
func clipReason(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 1024)], "")
}
