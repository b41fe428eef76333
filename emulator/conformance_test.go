package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

// The rest of the client protocol's rules, as Microsoft's emulator tests them
// too, that no other test here is about.

// A role with a pattern counts wherever one with a name would.
func TestPatternRoles(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	roles := []string{
		"webpubsub.joinLeaveGroups.room-?.*", "webpubsub.sendToGroups.room-**",
		"webpubsub.sendToGroup.*",                    // the group of that name, no pattern
		"webpubsub.sendToGroups.a*b*c*d*e*f*",        // too many stars: ignored
		"webpubsub.JOINLEAVEGROUP", "webpubsub.sing", // unknown: ignored
	}
	c, _ := dialJSON(t, srv, dialOptions{roles: roles})
	try := func(frame string) string {
		c.send(frame)
		got := c.recv()
		if strings.Contains(got, `"Forbidden"`) {
			return "no"
		}
		return "yes"
	}
	for i, tt := range []struct{ group, join, send string }{
		{"room-1.x", "yes", "yes"},
		{"room-1.", "yes", "yes"},
		{"room-12.x", "no", "yes"},
		{"room-1.x.y", "no", "yes"}, // * ends at a dot, ** does not
		{"Room-1.x", "no", "no"},    // letters of groups have a case
		{"*", "no", "yes"},
		{"other", "no", "no"},
		{"abcdef", "no", "no"},
	} {
		for k, verb := range []string{"joinGroup", "sendToGroup", "leaveGroup"} {
			want := tt.join
			if verb == "sendToGroup" {
				want = tt.send
			}
			frame := fmt.Sprintf(`{"type":%q,"group":%q,"ackId":%d,"noEcho":true,"data":1}`, verb, tt.group, 3*i+k)
			if got := try(frame); got != want {
				t.Errorf("%s of %s: %s, want %s", verb, tt.group, got, want)
			}
		}
		stream := try(fmt.Sprintf(`{"type":"sendToGroup","group":%q,"stream":{"streamId":"%d"}}`, tt.group, i))
		if stream != tt.send {
			t.Errorf("stream to %s: %s, want %s", tt.group, stream, tt.send)
		}
		raw := dial(t, srv, dialOptions{roles: roles, groups: []string{tt.group}, query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {tt.group}}})
		raw.send("hello")
		if tt.send == "yes" {
			raw.expect("hello")
		} else {
			raw.expectClose(websocket.ClosePolicyViolation, "The connection is not authorized for raw sendToGroup mode.")
		}
	}
	if j := journalText(srv); !strings.Contains(j, "is ignored") {
		t.Error("the journal says nothing of the roles that were ignored")
	}
}

func journalText(srv *emulator.Server) string {
	var b strings.Builder
	for _, e := range srv.Journal() {
		b.WriteString(e.String() + "\n")
	}
	return b.String()
}

// Each simple sender publishes to the group of its own address, and of a
// parameter that is there twice the last value counts.
func TestSimpleSendersHaveTheirOwnGroup(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a := dial(t, srv, dialOptions{groups: []string{"a"}})
	b := dial(t, srv, dialOptions{groups: []string{"b"}})
	for group, to := range map[string]*client{"a": a, "b": b} {
		from := dial(t, srv, dialOptions{roles: anything, query: url.Values{"webpubsub_mode": {"sendEvent", "sendToGroup"}, "group": {"x", group}}})
		from.send("to " + group)
		to.expect("to " + group)
	}
}

// The access token is looked at when a client connects, and never again.
func TestTokenExpiresAtConnectOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		o := dialOptions{}
		expired := accessToken(t, srv, o) // an hour from now
		c, _ := dialJSON(t, srv, o)
		for range 2 * 60 * 4 {
			advance(15 * time.Second)
			c.expectNothingElse() // which reads the pings of the keep-alive
		}
		if _, resp, err := tryDial(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {expired}}}); err == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v, want 401", err)
		}
	})
}

// The token's audience may name this server in any of its spellings.
func TestAudiences(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	hub := "chat[1]"
	port := srv.URL()[strings.LastIndex(srv.URL(), ":"):]
	for audience, ok := range map[string]bool{
		srv.URL() + "/client/hubs/chat%5B1%5D":               true,
		srv.URL() + "/client/hubs/CHAT[1]":                   true,
		"https://LOCALHOST" + port + "/client/hubs/chat[1]":  true,
		"ws://127.0.0.1" + port + "/client/hubs/chat[1]/":    false,
		"ftp://127.0.0.1" + port + "/client/hubs/chat[1]":    false,
		"http://127.0.0.1:1/client/hubs/chat[1]":             false,
		"http://example.com" + port + "/client/hubs/chat[1]": false,
		srv.URL() + "/client/hubs/chat":                      false,
		srv.URL():                                            false,
		"":                                                   false,
	} {
		compact, err := token.Sign(emulator.DefaultAccessKey, token.Claims{Audience: audience, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		_, resp, err := tryDial(t, srv, dialOptions{hub: hub, noToken: true, query: url.Values{"access_token": {compact}}})
		if ok != (err == nil) || !ok && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("audience %q: %v", audience, err)
		}
	}
}

// A recovery keeps the protocol that the connection began with, whatever is
// offered, and finds its hub in any spelling.
func TestRecoveryKeepsTheProtocol(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	_, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
	for _, offered := range []string{"", jsonProtocol, "JSON.Reliable.WebPubSub.Azure.V1," + jsonProtocol} {
		o := recovery(hello)
		o.subprotocol, o.hub = offered, "CHAT"
		c := dial(t, srv, o)
		if got := c.ws.Subprotocol(); !strings.EqualFold(got, reliableProtocol) {
			t.Errorf("offered %q: selected %q", offered, got)
		}
		c.expectNothingElse()
	}
}

// What the service itself has closed cannot be recovered.
func TestNoRecoveryAfterServiceClose(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "ann", subprotocol: reliableProtocol})
	rest(t, srv, request{method: "DELETE", path: "connections/" + hello.ConnectionID + "?reason=Enough."})
	if got := c.recv(); got != `{"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: Enough."}` {
		t.Errorf("got %s", got)
	}
	c.expectClose(websocket.CloseNormalClosure, "")
	expectNotRecovered(t, srv, hello)
}

// The reliable buffer is bounded in bytes too, and the queue of other clients
// in both.
func TestBuffersAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		o        emulator.Options
		protocol string
		reason   string
	}{
		"reliable, bytes":    {emulator.Options{MaxPendingBytes: 5000}, reliableProtocol, "The reliable message buffer is full."},
		"other, bytes":       {emulator.Options{MaxPendingBytes: 5000}, jsonProtocol, "The outbound message queue is full."},
		"other, messages":    {emulator.Options{MaxPendingMessages: 10}, jsonProtocol, "The outbound message queue is full."},
		"simple, messages":   {emulator.Options{MaxPendingMessages: 10}, "", "The outbound message queue is full."},
		"reliable, messages": {emulator.Options{MaxPendingMessages: 10}, reliableProtocol, "The reliable message buffer is full."},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, tt.o, func(t *testing.T, srv *emulator.Server, o dialOptions) {
				from, _ := dialJSON(t, srv, o)
				slow := dial(t, srv, dialOptions{user: "slow", subprotocol: tt.protocol, groups: []string{"g"}, network: o.network})
				f := srv.Inject(emulator.Fault{At: emulator.AtSend, UserID: "slow", Action: emulator.Stall()})
				for range 30 {
					from.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","dataType":"text","data":"%0500d"}`, 1))
				}
				from.expectNothingElse()
				synctest.Wait()
				f.Remove()
				var err error
				for err == nil {
					_, _, err = slow.next()
				}
				if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), tt.reason) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A failed event without an ack id is invisible, and harms nothing.
func TestUnacknowledgedFailuresAreSilent(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{})
	for _, frame := range []string{
		`{"type":"event","event":"e","data":1}`,
		`{"type":"joinGroup","group":"g"}`,
		`{"type":"leaveGroup","group":"g"}`,
		`{"type":"sendToGroup","group":"g","data":1}`,
		`{"type":"setGroupState","group":"g","state":{}}`,
		`{"type":"subscribeGroupState","group":"g"}`,
		`{"type":"cancelInvocation","invocationId":"1"}`,
	} {
		c.send(frame)
	}
	waitIdle(t, srv)
	c.expectNothingElse()
}

// A handler may select a subprotocol that is none of the service's: then the
// client sends and gets bare messages.
func TestHandlerSelectsAnUnknownSubprotocol(t *testing.T) {
	handlers, _ := upstream(t, func(w http.ResponseWriter, e event) {
		if e.Name == "connect" {
			_, _ = w.Write([]byte(`{"subprotocol":"Custom.V1"}`))
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("re: " + e.Body))
	})
	srv := startWith(t, handlers)
	c := dial(t, srv, dialOptions{subprotocol: jsonProtocol + ",custom.v1"})
	if got := c.ws.Subprotocol(); got != "custom.v1" {
		t.Errorf("selected %q, want it in the spelling of the client", got)
	}
	c.send("hi")
	c.expect("re: hi")
}

// What is past its time is neither delivered nor replayed, and leaves a gap in
// the numbers, which a client does not mind.
func TestTimeToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"g"}})
		from, _ := dialJSON(t, srv, dialOptions{roles: anything})
		_ = c.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		for i, ttl := range []int{0, 5, 300} {
			from.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","ttlSeconds":%d,"data":%d}`, ttl, i))
		}
		from.expectNothingElse()
		advance(5 * time.Second)
		back := dial(t, srv, recovery(hello))
		back.expect(sequenced(1, "g", "null", 0), sequenced(3, "g", "null", 2))
		back.expectNothingElse()
		from.send(`{"type":"sendToGroup","group":"g","ttlSeconds":301,"data":1}`)
		from.expectClose(websocket.CloseInvalidFramePayloadData, "The client message is not a valid JSON protocol message.")
	})
}

// What is no WebSocket handshake gets an ordinary answer.
func TestPlainRequests(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for path, status := range map[string]int{
		"/client/hubs/chat": http.StatusBadRequest,
		"/client/?hub=chat": http.StatusBadRequest,
		"/client/nowhere":   http.StatusNotFound,
	} {
		if a := raw(t, request{method: http.MethodGet}, srv.URL()+path, ""); a.status != status {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, status)
		}
	}
}

// A handler that responds with JSON null has succeeded, and null is a JSON value,
// which the client gets. The ack once said that it had failed, and later the reply
// was left out.
func TestHandlerAnswersNull(t *testing.T) {
	handlers, _ := upstream(t, func(w http.ResponseWriter, e event) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(" null "))
	})
	handlers[0].SystemEvents = nil
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{})
	c.send(`{"type":"event","event":"e","data":1,"ackId":1}`)
	c.expect(`{"type":"message","from":"server","dataType":"json","data": null }`, acked(1))
	simple := dial(t, srv, dialOptions{})
	simple.send("x")
	simple.expect(" null ")
}
