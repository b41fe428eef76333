package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

// lasting connects a client whose session outlives the connection for as long
// as the service allows.
func lasting(t *testing.T, srv *emulator.Server, p mqtt.Connect) (*mqttClient, *mqtt.Connack) {
	t.Helper()
	if p.ClientID == "" {
		p.ClientID = "a"
	}
	p.Properties.AddInt(mqtt.SessionExpiry, 30)
	return dialMQTT(t, srv, dialOptions{roles: anything}, &p)
}

// lose drops the connection without a word, and waits until the emulator knows.
func (c *mqttClient) lose(srv *emulator.Server, n int) {
	c.t.Helper()
	_ = c.ws.NetConn().Close()
	waitForNth(c.t, srv, emulator.EntryInterrupted, "a", n)
	waitIdle(c.t, srv)
}

func send(t *testing.T, srv *emulator.Server, path, text string) {
	t.Helper()
	if got := rest(t, srv, request{method: "POST", path: path, contentType: "text/plain", body: text}); got.status != 202 {
		t.Fatalf("send to %s: %d %s", path, got.status, got.body)
	}
}

// What the client did not acknowledge is sent again, what it missed comes
// behind, and a message of QoS 2 goes on where it stopped.
func TestMQTTResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		b := connectMQTT(t, srv, "b", anything...)
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 2)
		one, two, three := message("t", "", "1"), message("t", "", "2"), message("t", "", "3")
		for i, p := range []*mqtt.Publish{withQoS(1, 1, one), withQoS(2, 2, two)} {
			b.send(p)
			a.expect(withQoS(p.QoS, uint16(i+1), p))
		}
		b.expect(step(mqtt.TypePuback, 1), step(mqtt.TypePubrec, 2))
		a.send(withQoS(2, 7, message("other", "", "")))
		a.expect(step(mqtt.TypePubrec, 7))
		a.lose(srv, 1)

		b.send(message("t", "", "lost"), withQoS(1, 3, three))
		b.expect(step(mqtt.TypePuback, 3))
		a, answer := lasting(t, srv, mqtt.Connect{})
		if !answer.SessionPresent {
			t.Fatalf("answer %+v", answer)
		}
		a.expect(duplicate(withQoS(1, 1, one)), duplicate(withQoS(2, 2, two)), withQoS(1, 3, three))
		a.send(withQoS(2, 7, message("other", "", "")), step(mqtt.TypePubrel, 7)) // still the same message
		a.expect(step(mqtt.TypePubrec, 7), step(mqtt.TypePubcomp, 7))
		a.send(step(mqtt.TypePuback, 1), step(mqtt.TypePubrec, 2))
		a.expect(step(mqtt.TypePubrel, 2))
		a.lose(srv, 2)

		a, _ = lasting(t, srv, mqtt.Connect{})
		a.expect(step(mqtt.TypePubrel, 2), duplicate(withQoS(1, 3, three)))
		a.send(step(mqtt.TypePubcomp, 2), step(mqtt.TypePuback, 3))
		a.expectNothingElse()
		for _, e := range srv.Journal() {
			if e.Kind == emulator.EntrySent && e.Name == "other" && e.Receivers != 0 {
				t.Error(e)
			}
		}
	})
}

// Without an expiry a session ends with its connection; with one it waits 30 s
// at most, and a new client finds nothing of it.
func TestMQTTSessionExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		exists := func(want int) {
			t.Helper()
			if got := rest(t, srv, request{method: "HEAD", path: "connections/a"}); got.status != want {
				t.Errorf("the connection exists: %d, want %d", got.status, want)
			}
		}
		for i, p := range []mqtt.Connect{
			{Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 3600}}},
			{Version: mqtt.V311},
		} {
			p.ClientID = "a"
			c, _ := dialMQTT(t, srv, dialOptions{roles: anything}, &p)
			c.subscribe("t", 1)
			c.lose(srv, 2*i+1) // the end below detaches, too
			advance(29 * time.Second)
			exists(200)
			advance(time.Second)
			exists(404)
			p.KeepAlive = 60
			c, answer := dialMQTT(t, srv, dialOptions{roles: anything}, &p)
			if answer.SessionPresent {
				t.Error("the session outlived its expiry")
			}
			send(t, srv, "groups/t/:send", "x")
			c.expectNothingElse()
			c.send(&mqtt.Disconnect{})
			c.expectClosed()
			waitIdle(t, srv)
			if p.Version == mqtt.V5 {
				exists(200) // a normal end does not end the session
			}
			advance(30 * time.Second)
			exists(404)
		}
		for _, p := range []mqtt.Connect{{CleanStart: true}, {Version: mqtt.V311, CleanStart: true}} {
			p.ClientID = "a"
			c, _ := dialMQTT(t, srv, dialOptions{}, &p)
			c.send(&mqtt.Disconnect{})
			c.expectClosed()
			waitIdle(t, srv)
			exists(404)
		}
		// DISCONNECT may change the expiry.
		c, _ := lasting(t, srv, mqtt.Connect{})
		c.send(&mqtt.Disconnect{Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 0}}})
		c.expectClosed()
		waitIdle(t, srv)
		exists(404)
	})
}

// The second connection with a client id takes over.
func TestMQTTTakeover(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a, _ := lasting(t, srv, mqtt.Connect{})
	a.subscribe("t", 1)
	b, answer := lasting(t, srv, mqtt.Connect{})
	if !answer.SessionPresent {
		t.Error("no session")
	}
	a.expectEnd(mqtt.SessionTakenOver)
	send(t, srv, "groups/t/:send", "x")
	b.expect(withQoS(1, 1, message("t", "text/plain", "x")))

	c, answer := lasting(t, srv, mqtt.Connect{CleanStart: true})
	if answer.SessionPresent {
		t.Error("a clean start found a session")
	}
	b.expectEnd(mqtt.SessionTakenOver)
	send(t, srv, "groups/t/:send", "x")
	c.expectNothingElse()

	// A session without expiry ends with its connection, also in a take-over.
	for _, p := range []mqtt.Connect{{}, {Version: mqtt.V311, CleanStart: true}} {
		p.ClientID = "brief"
		first, _ := dialMQTT(t, srv, dialOptions{}, &p)
		p.CleanStart = false
		if _, answer := dialMQTT(t, srv, dialOptions{}, &p); answer.SessionPresent {
			t.Errorf("version %d: a session without expiry was taken over", p.Version)
		}
		if p.Version == mqtt.V5 {
			first.expectEnd(mqtt.SessionTakenOver)
		} else {
			first.expectClosed()
		}
	}

	// The session of another user cannot be taken over or ended, not even while
	// its client is away. It used to be handed over, with its roles and messages.
	alice, _ := dialMQTT(t, srv, dialOptions{user: "alice", roles: anything}, &mqtt.Connect{ClientID: "alice", Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 30}}})
	for _, user := range []string{"mallory", ""} {
		for _, p := range []mqtt.Connect{{}, {CleanStart: true}, {Version: mqtt.V311}, {Version: mqtt.V311, CleanStart: true}} {
			p.ClientID = "alice"
			want := mqtt.NotAuthorized
			if p.Version == mqtt.V311 {
				want = mqtt.V311NotAuthorized
			}
			if _, answer := dialMQTT(t, srv, dialOptions{user: user}, &p); answer.Code != want {
				t.Errorf("user %q, version %d: answer %+v", user, p.Version, answer)
			}
		}
	}
	alice.expectNothingElse()
	if _, answer := dialMQTT(t, srv, dialOptions{user: "alice"}, &mqtt.Connect{ClientID: "alice"}); !answer.SessionPresent {
		t.Errorf("alice herself: %+v", answer)
	}

	// The id of another client is not for the taking.
	_, hello := dialJSON(t, srv, dialOptions{})
	for strings.ContainsRune(hello.ConnectionID, '-') { // not a client id in the first place
		_, hello = dialJSON(t, srv, dialOptions{})
	}
	if _, answer := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{ClientID: hello.ConnectionID}); answer.Code != mqtt.ClientIdentifierNotValid {
		t.Errorf("answer %+v", answer)
	}
}

func TestMQTTKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, _ := lasting(t, srv, mqtt.Connect{KeepAlive: 10})
		advance(14 * time.Second)
		c.expectNothingElse()
		advance(15 * time.Second)
		c.expectNothingElse()
		advance(16 * time.Second)
		c.expectEnd(mqtt.KeepAliveTimeout)
		waitForReason(t, srv, "send PINGREQ in time")
		if _, answer := lasting(t, srv, mqtt.Connect{}); !answer.SessionPresent {
			t.Error("the session ended with the connection")
		}
	})
}

func TestMQTTWill(t *testing.T) {
	will := func(delay uint32) *mqtt.Will {
		w := &mqtt.Will{Topic: "will", Payload: []byte("gone"), QoS: 1}
		w.Properties.AddData(mqtt.ContentType, "text/plain")
		if delay > 0 {
			w.Properties.AddInt(mqtt.WillDelay, delay)
		}
		return w
	}
	for name, tt := range map[string]struct {
		connect mqtt.Connect
		end     func(c *mqttClient, srv *emulator.Server)
		sent    bool
	}{
		"lost":        {mqtt.Connect{Will: will(0)}, func(c *mqttClient, srv *emulator.Server) { c.lose(srv, 1) }, true},
		"normal end":  {mqtt.Connect{Will: will(0)}, func(c *mqttClient, _ *emulator.Server) { c.send(&mqtt.Disconnect{}) }, false},
		"end of 3.11": {mqtt.Connect{Version: mqtt.V311, Will: will(0)}, func(c *mqttClient, _ *emulator.Server) { c.send(&mqtt.Disconnect{}) }, false},
		"end with will": {mqtt.Connect{Will: will(0)}, func(c *mqttClient, _ *emulator.Server) {
			c.send(&mqtt.Disconnect{Code: mqtt.DisconnectWithWill})
		}, true},
		"violation": {mqtt.Connect{Will: will(0)}, func(c *mqttClient, _ *emulator.Server) {
			c.send(mqtt.Ping{Kind: mqtt.TypePingresp})
		}, true},
		"closed by REST": {mqtt.Connect{Will: will(9)}, func(c *mqttClient, srv *emulator.Server) {
			rest(c.t, srv, request{method: "DELETE", path: "connections/a"})
		}, true},
		"taken over": {mqtt.Connect{Will: will(0)}, func(c *mqttClient, srv *emulator.Server) {
			lasting(c.t, srv, mqtt.Connect{})
		}, true},
		"taken over in time": {mqtt.Connect{Will: will(9)}, func(c *mqttClient, srv *emulator.Server) {
			lasting(c.t, srv, mqtt.Connect{})
			advance(10 * time.Second)
		}, false},
		"back in time": {mqtt.Connect{Will: will(9)}, func(c *mqttClient, srv *emulator.Server) {
			c.lose(srv, 1)
			advance(8 * time.Second)
			lasting(c.t, srv, mqtt.Connect{})
			advance(10 * time.Second)
		}, false},
		"delay over": {mqtt.Connect{Will: will(9)}, func(c *mqttClient, srv *emulator.Server) {
			c.lose(srv, 1)
			advance(9 * time.Second)
		}, true},
		"session over first": {mqtt.Connect{Will: will(99)}, func(c *mqttClient, srv *emulator.Server) {
			c.lose(srv, 1)
			advance(30 * time.Second)
		}, true},
		"clean start": {mqtt.Connect{Will: will(9)}, func(c *mqttClient, srv *emulator.Server) {
			c.lose(srv, 1)
			lasting(c.t, srv, mqtt.Connect{CleanStart: true})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{})
				watcher, _ := dialJSON(t, srv, dialOptions{groups: []string{"will"}})
				tt.connect.KeepAlive = 60
				c, _ := lasting(t, srv, tt.connect)
				tt.end(c, srv)
				if tt.sent {
					watcher.expect(`{"type":"message","from":"group","fromUserId":null,"group":"will","dataType":"text","data":"gone"}`)
				}
				if !tt.sent && strings.Contains(name, "end") {
					c.expectClosed()
				}
				watcher.expectNothingElse()
			})
		})
	}
}

// A will needs the permission to publish, at the time when it is sent.
func TestMQTTWillForbidden(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialMQTT(t, srv, dialOptions{}, &mqtt.Connect{ClientID: "a", Will: &mqtt.Will{Topic: "will"}})
	_ = c.ws.Close()
	waitForReason(t, srv, "permission to send to group 'will'")
}

// No more messages are in flight than the client takes at once.
func TestMQTTReceiveMaximum(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialMQTT(t, srv, dialOptions{roles: anything}, &mqtt.Connect{ClientID: "a", Properties: mqtt.Properties{{ID: mqtt.ReceiveMaximum, Int: 2}}})
	c.subscribe("t", 1)
	for i := range 4 {
		send(t, srv, "groups/t/:send", fmt.Sprint(i))
	}
	p := func(id uint16) *mqtt.Publish { return withQoS(1, id, message("t", "text/plain", fmt.Sprint(id-1))) }
	c.expect(p(1), p(2))
	c.expectNothingElse()
	c.send(step(mqtt.TypePuback, 2))
	c.expect(p(3))
	c.send(step(mqtt.TypePuback, 1), &mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 3, Code: mqtt.UnspecifiedError})
	c.expect(p(4))
	c.send(step(mqtt.TypePuback, 99), step(mqtt.TypePubrec, 98), step(mqtt.TypePubrel, 97)) // of messages that never were
	c.expect(
		&mqtt.Ack{Kind: mqtt.TypePubrel, PacketID: 98, Code: mqtt.PacketIdentifierNotFound},
		&mqtt.Ack{Kind: mqtt.TypePubcomp, PacketID: 97, Code: mqtt.PacketIdentifierNotFound},
	)
	c.send(step(mqtt.TypePubrec, 4))
	c.expectEnd(mqtt.ProtocolError)
}

func TestMQTTMessageExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 1)
		b := connectMQTT(t, srv, "b", anything...)
		a.lose(srv, 1)
		for i, seconds := range []uint32{5, 20} {
			p := withQoS(1, uint16(i+1), message("t", "", fmt.Sprint(seconds)))
			p.Properties.AddInt(mqtt.MessageExpiry, seconds)
			b.send(p)
			b.expect(step(mqtt.TypePuback, p.PacketID))
		}
		send(t, srv, "groups/t/:send?messageTtlSeconds=7", "7")
		send(t, srv, "groups/t/:send?messageTtlSeconds=40", "40")
		advance(8 * time.Second)
		a, _ = lasting(t, srv, mqtt.Connect{})
		late := withQoS(1, 2, message("t", "", "20"))
		late.Properties.AddInt(mqtt.MessageExpiry, 12)
		fromREST := withQoS(1, 4, message("t", "", "40"))
		fromREST.Properties.AddInt(mqtt.MessageExpiry, 32)
		fromREST.Properties.AddData(mqtt.ContentType, "text/plain")
		a.expect(late, fromREST)
		a.expectNothingElse()
	})
}

// What is cut before its acknowledgement is written has happened, and what is
// cut when it is read has not; QoS 2 tells the two apart.
func TestMQTTFault(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	to := connectMQTT(t, srv, "to", anything...)
	to.subscribe("t", 0)
	for i, tt := range []struct {
		at    emulator.FaultPoint
		frame string
	}{{emulator.AtSend, "PUBREC"}, {emulator.AtReceive, "PUBLISH"}} {
		c, _ := lasting(t, srv, mqtt.Connect{CleanStart: true})
		f := srv.Inject(emulator.Fault{At: tt.at, Frame: tt.frame, Action: emulator.ResetConnection(), ConnectionID: "a", Times: 1})
		p := withQoS(2, 7, message("t", "", tt.frame))
		c.send(p)
		if got, err := c.next(); err == nil {
			t.Fatalf("got %+v, want the connection to be cut", got)
		}
		waitForNth(t, srv, emulator.EntryInterrupted, "a", i+1)
		f.Remove()
		c, _ = lasting(t, srv, mqtt.Connect{})
		c.send(duplicate(p))
		c.expect(step(mqtt.TypePubrec, 7))
		to.expect(message("t", "", tt.frame))
	}
	to.expectNothingElse()
	srv.Inject(emulator.Fault{At: emulator.AtHandshake, Action: emulator.CloseWith(1001, "later")})
	c, _, err := tryDialMQTT(t, srv, dialOptions{})
	if err != nil || c.ws.Subprotocol() != "mqtt" {
		t.Fatalf("a handshake that succeeds before the close: %v", err)
	}
	c.expectClosed()
}

// A session may keep as many messages as a connection; all of them, and the
// answer to CONNECT before them, go out at once when the client comes back.
// They used to overrun the queue of the link, which ended the session.
func TestMQTTResumeOfAFullSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 5
		srv := virtual(t, emulator.Options{MaxPendingMessages: most})
		a, _ := lasting(t, srv, mqtt.Connect{})
		a.subscribe("t", 2)
		a.lose(srv, 1)
		b := connectMQTT(t, srv, "b", anything...)
		for i := range uint16(most) {
			b.send(withQoS(2, i+1, message("t", "", "x")))
			b.expect(step(mqtt.TypePubrec, i+1))
		}
		a, _ = lasting(t, srv, mqtt.Connect{})
		for i := range uint16(most) {
			a.expect(withQoS(2, i+1, message("t", "", "x")))
		}
		for i := range uint16(most) {
			a.send(step(mqtt.TypePubrec, i+1))
			a.expect(step(mqtt.TypePubrel, i+1))
		}
		a.lose(srv, 2)
		a, _ = lasting(t, srv, mqtt.Connect{})
		for i := range uint16(most) {
			a.expect(step(mqtt.TypePubrel, i+1))
		}
		a.expectNothingElse()
	})
}
