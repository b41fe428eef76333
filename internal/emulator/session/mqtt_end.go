package session

import (
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/upstream"
)

// setDisconnect notes the DISCONNECT packet by which the service ends the link. MQTT
// 3.1.1 has none. s.mu must be held.
func (s *MQTT) setDisconnect(code mqtt.Code, reason string) {
	s.last, s.byClient = nil, false
	if s.version == mqtt.V5 {
		s.last = &mqtt.Disconnect{Code: code}
		if reason != "" {
			s.last.Properties.AddData(mqtt.ReasonString, ClipReason(reason))
		}
	}
}

// lastFrame puts that packet before the close frame.
func (s *MQTT) lastFrame(f *frame.Frame) *frame.Frame {
	if s.last == nil || s.byClient {
		return f
	}
	b, ok := s.encode(s.last)
	if !ok {
		return f
	}
	return frame.Join(frame.New(websocket.BinaryMessage, b), f)
}

// closeLink closes the link and leaves the session without one. s.mu must be held.
func (s *MQTT) closeLink(code int) {
	s.link.Close(s.lastFrame(frame.NewClose(code, "")), false)
	s.link = nil
}

func (s *MQTT) tooSlow(reason string) { s.setDisconnect(mqtt.QuotaExceeded, reason) }

// CloseByServer implements [broker.Session].
func (s *MQTT) CloseByServer(reason string, by *journal.Cause) {
	s.end(mqtt.AdministrativeAction, reason, closedByServer(reason), by)
}

// dropLink ends a link whose client broke a rule. The session lives on.
func (s *MQTT) dropLink(l *transport.Link, code mqtt.Code, rule string, by *journal.Cause) {
	s.mu.Lock()
	if s.ended || s.link != l {
		s.mu.Unlock()
		return
	}
	s.setDisconnect(code, rule)
	s.closeLink(websocket.ClosePolicyViolation)
	loss := s.lose()
	s.mu.Unlock()
	s.conn.Journal(journal.Entry{Kind: journal.Rejected, Name: MQTTSubprotocol, Status: int(code), Reason: rule, Cause: by})
	s.lost(loss, websocket.ClosePolicyViolation, rule, rule, by)
}

// end ends the session, and the link if it has one.
func (s *MQTT) end(code mqtt.Code, reason, why string, by *journal.Cause) {
	s.mu.Lock()
	if s.link != nil && !s.ended {
		s.setDisconnect(code, reason)
	}
	s.mu.Unlock()
	s.closeWithReasons(websocket.CloseNormalClosure, reason, why, why, by)
}

// receiveDisconnect ends the link as its client wishes.
func (s *MQTT) receiveDisconnect(l *transport.Link, p *mqtt.Disconnect, by *journal.Cause) {
	s.mu.Lock()
	if asked, ok := p.Properties.Int(mqtt.SessionExpiry); ok {
		if s.expiry == 0 && asked > 0 {
			s.mu.Unlock()
			s.dropLink(l, mqtt.ProtocolError, "DISCONNECT cannot give an expiry to a session that CONNECT gave none (section 3.14.2.2.2)", by)
			return
		}
		s.expiry = min(time.Duration(asked)*time.Second, s.srv.RecoveryWindow)
	}
	if p.Code == mqtt.Success {
		s.will = nil
	}
	s.last, s.byClient = p, true
	s.closeLink(websocket.CloseNormalClosure)
	loss := s.lose()
	s.mu.Unlock()
	why, _ := p.Properties.Data(mqtt.ReasonString)
	s.lost(loss, websocket.CloseNormalClosure, why, why, by)
}

// mqttLoss is what follows from the loss of a link.
type mqttLoss struct {
	expiry time.Duration // of the session
	will   *mqtt.Publish // to send immediately
}

// lose belongs to the moment in which the link is lost: a client that comes
// back right after it brings a will and an expiry of its own. s.mu must be held.
func (s *MQTT) lose() mqttLoss {
	loss := mqttLoss{expiry: s.expiry}
	switch {
	case s.will == nil || s.ended || s.willDelay >= s.expiry: // the end of the session sends it
	case s.willDelay == 0:
		loss.will = s.takeWill()
	default:
		physical := s.physical
		s.willTimer = s.srv.Tasks.AfterFunc(s.willDelay, func() {
			s.publishWill(func() bool { return s.link == nil && s.physical == physical })
		})
	}
	return loss
}

// lost is called when the session has lost its link: the session ends, or
// waits for its client. eventReason is for the event handlers, why for the journal.
func (s *MQTT) lost(loss mqttLoss, code int, eventReason, why string, by *journal.Cause) {
	if loss.expiry <= 0 {
		s.finish(code, eventReason, why, by)
		return
	}
	if loss.will != nil {
		s.sendWill(loss.will)
	}
	s.detach(code, why, loss.expiry, eventReason, why, by)
}

// takeWill returns the will of a client that was lost, once. s.mu must be held.
func (s *MQTT) takeWill() *mqtt.Publish {
	will := s.will
	s.will = nil
	stop(s.willTimer)
	return will
}

// publishWill sends the will if it is due, which is asked under s.mu. A session
// that ends takes its will delay with it (section 3.1.3.2.2).
func (s *MQTT) publishWill(due func() bool) {
	s.mu.Lock()
	var will *mqtt.Publish
	if due() {
		will = s.takeWill()
	}
	s.mu.Unlock()
	if will != nil {
		s.sendWill(will)
	}
}

func (s *MQTT) sendWill(will *mqtt.Publish) {
	raise, e := s.accept(will, nil)
	if raise != nil {
		s.srv.Tasks.Go(raise) // the response is not awaited
	}
	if e != nil {
		s.conn.Journal(journal.Entry{Kind: journal.Rejected, Name: "will", Status: int(e.Code), Reason: e.Rule})
	}
}

// linkLost implements client.
func (s *MQTT) linkLost(l *transport.Link, code int, reason, why string, by *journal.Cause) {
	s.mu.Lock()
	if s.link != l {
		s.mu.Unlock()
		return
	}
	s.link = nil
	loss, ended := s.lose(), s.ended
	s.mu.Unlock()
	if reason == connectionEnded {
		reason = "" // the reason of an MQTT client may be absent
	}
	if !ended {
		s.lost(loss, code, reason, why, by)
	}
}

// completed sends the will of a session that ends.
func (s *MQTT) completed() { s.publishWill(func() bool { return true }) }

// KeepAlive implements [broker.Session]. It also drops a client that sent nothing
// for one and a half times the interval that it promised (section 3.1.2.10).
func (s *MQTT) KeepAlive(now time.Time) {
	s.base.KeepAlive(now)
	s.mu.Lock()
	l := s.link
	silent := l != nil && s.keepAlive > 0 && now.Sub(s.heard) > s.keepAlive*3/2 && !l.Paused()
	s.mu.Unlock()
	if silent {
		s.dropLink(l, mqtt.KeepAliveTimeout, "no packet came within one and a half times the keep-alive: send PINGREQ in time", nil)
	}
}

// outlived drops the link: the session may continue with another.
func (s *MQTT) outlived(now time.Time, most time.Duration) {
	s.mu.Lock()
	l := s.link
	old := l != nil && now.Sub(s.since) > most
	s.mu.Unlock()
	if old {
		s.dropLink(l, mqtt.MaximumConnectTime, lifetimeRule(most), nil)
	}
}

// Status implements [broker.Session].
func (s *MQTT) Status() broker.Status {
	st := s.base.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Unacked = len(s.inFlight)
	st.Queued += len(s.waiting)
	return st
}

// disconnected is the body of the disconnected event.
func (s *MQTT) disconnected(reason string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := upstream.MQTTDisconnected{Reason: reason, InitiatedByClient: s.byClient}
	if p := s.last; p != nil {
		d.Packet = &upstream.MQTTDisconnectPacket{Code: int(p.Code), UserProperties: UserProperties(p.Properties)}
	}
	return d
}

// ClipReason bounds a reason string, which is for people.
func ClipReason(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 1024)], "")
}
