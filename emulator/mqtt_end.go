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
		if reason != "" && !s.terse {
			s.last.Properties.AddData(mqtt.ReasonString, clipReason(reason))
		}
	}
}

// farewell puts that packet before the close frame.
func (s *mqttSession) farewell(f *frame) *frame {
	if s.last == nil || s.byClient {
		return f
	}
	return joinFrames(newFrame(websocket.BinaryMessage, s.version.Append(nil, s.last)), f)
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
	c.mu.Unlock()
	c.journal(Entry{Kind: KindRefused, Name: mqttSubprotocol, Status: int(code), Reason: rule})
	c.lostMQTT(websocket.ClosePolicyViolation, rule, rule)
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
	c.mu.Unlock()
	why, _ := p.Properties.Data(mqtt.ReasonString)
	c.lostMQTT(websocket.CloseNormalClosure, why, why)
}

// lostMQTT is called when the session has lost its link: the session ends, or
// waits for its client. The handlers hear the one reason, the journal the other.
func (c *conn) lostMQTT(code int, heard, why string) {
	s, clock := c.mqtt, c.hub.srv.opts.Clock
	c.mu.Lock()
	expiry, delay, physical := s.expiry, s.willDelay, s.physical
	if s.will != nil && 0 < delay && delay < expiry && !c.ended && c.link == nil {
		s.willTimer = clock.afterFunc(delay, func() {
			c.mu.Lock()
			due := c.link == nil && s.physical == physical
			c.mu.Unlock()
			if due && c.hub.srv.enter() {
				defer c.hub.srv.leave()
				c.publishWill()
			}
		})
	}
	c.mu.Unlock()
	if expiry <= 0 {
		c.finish(code, heard, why)
		return
	}
	if delay == 0 {
		c.publishWill()
	}
	c.detach(code, why, expiry, heard, why)
}

// publishWill sends the will of a client that was lost, once. A session that
// ends takes its will delay with it (section 3.1.3.2.2).
func (c *conn) publishWill() {
	c.mu.Lock()
	will := c.mqtt.will
	c.mqtt.will = nil
	c.mqtt.willTimer.stop()
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
