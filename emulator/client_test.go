package emulator_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

func TestConnectedFrame(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	tests := []struct {
		name, subprotocol, user string
		wantToken               bool
	}{
		{"json", jsonProtocol, "alice", false},
		{"reliable json", reliableProtocol, "alice", true},
		{"anonymous", jsonProtocol, "", false},
		{"spelled differently", "JSON.WebPubSub.Azure.V1", "alice", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, hello := dialJSON(t, srv, dialOptions{user: tt.user, subprotocol: tt.subprotocol})
			if got := c.ws.Subprotocol(); got != tt.subprotocol {
				t.Errorf("subprotocol %q, want it in the spelling of the client, %q", got, tt.subprotocol)
			}
			if (hello.ReconnectionToken != "") != tt.wantToken {
				t.Errorf("reconnection token given: %v, want %v", !tt.wantToken, tt.wantToken)
			}
			if tt.user == "" && hello.UserID != nil || tt.user != "" && (hello.UserID == nil || *hello.UserID != tt.user) {
				t.Errorf("user %v, want %q", hello.UserID, tt.user)
			}
			if len(hello.ConnectionID) != 31 || !strings.HasSuffix(hello.ConnectionID, "K02") {
				t.Errorf("connection id %q has not the service's form", hello.ConnectionID)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	alice, _ := dialJSON(t, srv, dialOptions{user: "alice", roles: anything})
	bob, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"news"}})

	alice.send(`{"type":"joinGroup","group":"news","ackId":1}`)
	alice.expect(`{"type":"ack","ackId":1,"success":true}`)

	// The sender gets its own message before the ack, unless it says noEcho.
	alice.send(`{"type":"sendToGroup","group":"news","ackId":2,"data":{"a":[1,2]}}`)
	message := `{"type":"message","from":"group","fromUserId":"alice","group":"news","dataType":"json","data":{"a":[1,2]}}`
	alice.expect(message, `{"type":"ack","ackId":2,"success":true}`)
	bob.expect(message)

	alice.send(`{"type":"sendToGroup","group":"news","noEcho":true,"dataType":"text","data":"a<b&\"c\"","metadata":{"k":"v"}}`)
	alice.expectNothingElse()
	bob.expect(`{"type":"message","from":"group","fromUserId":"alice","group":"news","dataType":"text","data":"a<b&\"c\"","metadata":{"k":"v"}}`)

	// Who has no user is null, and binary travels as base64.
	bob.send(`{"type":"sendToGroup","group":"news","dataType":"binary","data":"AQID"}`)
	message = `{"type":"message","from":"group","fromUserId":null,"group":"news","dataType":"binary","data":"AQID"}`
	alice.expect(message)
	bob.expect(message)

	// After the ack of a leave nothing comes any more.
	alice.send(`{"type":"leaveGroup","group":"news","ackId":3}`)
	alice.expect(`{"type":"ack","ackId":3,"success":true}`)
	bob.send(`{"type":"sendToGroup","group":"news","ackId":9,"metadata":{"only":"metadata"}}`)
	bob.recv()
	alice.expectNothingElse()
}

func TestAcks(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: []string{"webpubsub.joinLeaveGroup.a", "webpubsub.sendToGroup.a"}})
	steps := []struct{ name, send, want string }{
		{"no role to join", `{"type":"joinGroup","group":"b","ackId":1}`, `{"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to join group 'b'."}}`},
		{"a failed ack id may be used again", `{"type":"joinGroup","group":"a","ackId":1}`, `{"type":"ack","ackId":1,"success":true}`},
		{"one that succeeded may not, whatever the frame", `{"type":"sendToGroup","group":"a","ackId":1,"data":1}`, `{"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}`},
		{"no role to leave", `{"type":"leaveGroup","group":"b","ackId":2}`, `{"type":"ack","ackId":2,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to leave group 'b'."}}`},
		{"no role to send", `{"type":"sendToGroup","group":"b","ackId":3,"data":1}`, `{"type":"ack","ackId":3,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to send to group 'b'."}}`},
		{"zero is an ack id", `{"type":"joinGroup","group":"a","ackId":0}`, `{"type":"ack","ackId":0,"success":true}`},
		{"and so is the largest", `{"type":"joinGroup","group":"a","ackId":18446744073709551615}`, `{"type":"ack","ackId":18446744073709551615,"success":true}`},
		{"no handler for an event", `{"type":"event","event":"e","ackId":4,"data":1}`, `{"type":"ack","ackId":4,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`},
		{"leaving a group one is not in succeeds", `{"type":"leaveGroup","group":"a","ackId":5}`, `{"type":"ack","ackId":5,"success":true}`},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			c := &client{t, c.ws}
			c.send(s.send)
			c.expect(s.want)
		})
	}
	c.send(`{"type":"sequenceAck","sequenceId":7}`)
	c.send(`{"type":"sendToGroup","group":"b","data":1}`) // refused, and silently so without an ack id
	c.expectNothingElse()
}

func TestBrokenFramesCloseTheConnection(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	const invalid = "The client message is not a valid JSON protocol message."
	tests := []struct {
		name  string
		kind  int
		frame string
		code  int
		why   string
	}{
		{"not JSON", websocket.TextMessage, `{`, 1007, invalid},
		{"not an object", websocket.TextMessage, `[]`, 1007, invalid},
		{"two objects", websocket.TextMessage, `{"type":"ping"}{"type":"ping"}`, 1007, invalid},
		{"no type", websocket.TextMessage, `{}`, 1007, invalid},
		{"unknown type", websocket.TextMessage, `{"type":"shout"}`, 1007, invalid},
		{"blank group", websocket.TextMessage, `{"type":"joinGroup","group":" "}`, 1007, invalid},
		{"group too long", websocket.TextMessage, `{"type":"joinGroup","group":"` + strings.Repeat("g", 1025) + `"}`, 1007, invalid},
		{"ack id as text", websocket.TextMessage, `{"type":"joinGroup","group":"g","ackId":"1"}`, 1007, invalid},
		{"no data", websocket.TextMessage, `{"type":"sendToGroup","group":"g"}`, 1007, invalid},
		{"bad event name", websocket.TextMessage, `{"type":"event","event":"1st","data":1}`, 1007, invalid},
		{"bad base64", websocket.TextMessage, `{"type":"event","event":"e","dataType":"binary","data":"*"}`, 1007, invalid},
		{"metadata twice", websocket.TextMessage, `{"type":"event","event":"e","data":1,"metadata":{"a":"1","a":"2"}}`, 1007, invalid},
		{"nested too deeply", websocket.TextMessage, `{"type":"event","event":"e","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, 1007, invalid},
		{"bad UTF-8", websocket.TextMessage, "{\"type\":\"ping\xff\"}", 1007, "The client message is not valid UTF-8."},
		{"binary on JSON", websocket.BinaryMessage, `{"type":"ping"}`, 1003, "The JSON subprotocol requires text messages."},
		{"too large", websocket.TextMessage, `{"type":"sendToGroup","group":"g","data":"` + strings.Repeat("x", 1<<20) + `"}`, 1009, "The client message is too large."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, hello := dialJSON(t, srv, dialOptions{})
			if err := c.ws.WriteMessage(tt.kind, []byte(tt.frame)); err != nil {
				t.Fatal(err)
			}
			c.expectClose(tt.code, tt.why)
			refused := false
			for _, e := range srv.Journal() {
				refused = refused || e.Kind == emulator.EntryRejected && e.ConnectionID == hello.ConnectionID && e.Reason != ""
			}
			if !refused {
				t.Error("the journal does not say which rule was broken")
			}
		})
	}
}

func TestRejectedHandshakes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"open": {AllowAnonymous: true}}})
	tests := []struct {
		name   string
		o      dialOptions
		status int
	}{
		{"no token", dialOptions{noToken: true}, 401},
		{"damaged token", dialOptions{noToken: true, query: url.Values{"access_token": {"a.b.c"}}}, 401},
		{"token of another hub", dialOptions{noToken: true, query: url.Values{"access_token": {accessToken(t, srv, dialOptions{hub: "other"})}}}, 401},
		{"bad hub", dialOptions{hub: "1hub"}, 400},
		{"bad group in the token", dialOptions{groups: []string{" "}}, 400},
		{"unknown mode", dialOptions{query: url.Values{"webpubsub_mode": {"shout"}}}, 400},
		{"mode without group", dialOptions{query: url.Values{"webpubsub_mode": {"sendToGroup"}}}, 400},
		{"bad noEcho", dialOptions{query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}, "noEcho": {"2"}}}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, resp, err := tryDial(t, srv, tt.o)
			if err == nil || resp == nil || resp.StatusCode != tt.status {
				t.Fatalf("got %v %v, want status %d", resp, err, tt.status)
			}
		})
	}
	t.Run("anonymous where allowed", func(t *testing.T) {
		dial(t, srv, dialOptions{hub: "open", noToken: true})
		_, _, err := tryDial(t, srv, dialOptions{hub: "open", noToken: true, query: url.Values{"access_token": {"a.b.c"}}})
		if err == nil {
			t.Error("a bad token was taken for none")
		}
	})
	for _, e := range srv.Journal() {
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, "eyJ") || strings.Contains(s, emulator.DefaultAccessKey) {
			t.Errorf("the journal holds a secret: %s", s)
		}
	}
}

func TestLegacyURLAndHeaderToken(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for _, path := range []string{"/client/?hub=chat", "/client?hub=CHAT", "/client/hubs/CHAT", "/Client/?Hub=chat", "/CLIENT/Hubs/chat/"} {
		d := websocket.Dialer{}
		ws, _, err := d.Dial("ws"+strings.TrimPrefix(srv.URL(), "http")+path, map[string][]string{
			"Authorization": {"Bearer " + accessToken(t, srv, dialOptions{})},
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		_ = ws.Close()
	}
}

func TestSubprotocolChoice(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	if c := dial(t, srv, dialOptions{subprotocol: "unknown," + reliableProtocol + "," + jsonProtocol}); c.ws.Subprotocol() != reliableProtocol {
		t.Errorf("selected %q, want the first offered one that is supported", c.ws.Subprotocol())
	}
	if c := dial(t, srv, dialOptions{subprotocol: "unknown"}); c.ws.Subprotocol() != "" {
		t.Errorf("selected %q, want none", c.ws.Subprotocol())
	}
}

func TestSimpleClients(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	simple := dial(t, srv, dialOptions{groups: []string{"g"}})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything})
	for _, m := range []struct{ kind, data, want string }{
		{"text", `"plain"`, "plain"},
		{"json", `"quoted"`, `"quoted"`},
		{"json", `{"a":1}`, `{"a":1}`},
		{"binary", `"AQID"`, "\x01\x02\x03"},
	} {
		c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","dataType":%q,"data":%s}`, m.kind, m.data))
		kind, got, err := simple.next()
		if err != nil || got != m.want || (kind == websocket.BinaryMessage) != (m.kind == "binary") {
			t.Errorf("%s %s arrived as %q (frame type %d, %v), want %q", m.kind, m.data, got, kind, err, m.want)
		}
	}

	t.Run("publish to a group", func(t *testing.T) {
		sender := dial(t, srv, dialOptions{roles: anything, groups: []string{"g"}, query: url.Values{
			"WebPubSub_Mode": {"sendToGroup"}, "group": {"x", "g"}, "noEcho": {"true"},
		}})
		if err := sender.ws.WriteMessage(websocket.BinaryMessage, []byte{9}); err != nil {
			t.Fatal(err)
		}
		if kind, got, err := simple.next(); kind != websocket.BinaryMessage || got != "\x09" {
			t.Errorf("got %q (frame type %d, %v)", got, kind, err)
		}
	})
	t.Run("publish without the role", func(t *testing.T) {
		sender := dial(t, srv, dialOptions{query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}})
		sender.send("hello")
		sender.expectClose(websocket.ClosePolicyViolation, "The connection is not authorized for raw sendToGroup mode.")
	})
	t.Run("event without a handler", func(t *testing.T) {
		sender := dial(t, srv, dialOptions{})
		sender.send("hello")
		sender.expectClose(websocket.CloseInternalServerErr, "Internal server error")
	})
}

// A client that does not read is closed and told why; the message that did not
// fit is not dropped from a connection that goes on.
func TestSlowClientIsClosed(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{MaxPendingMessages: 10})
	slow, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"g"}})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything})
	for i := range 11 {
		c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","ackId":%d,"data":%d}`, i, i))
		c.recv()
	}
	for range 10 {
		if _, data, err := slow.next(); err != nil {
			break
		} else if !strings.Contains(data, `"sequenceId"`) {
			t.Fatalf("unexpected %s", data)
		}
	}
	// What it had not read when it was closed may be lost; the close is not.
	for {
		_, _, err := slow.next()
		if err == nil {
			continue
		}
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), "The reliable message buffer is full.") {
			t.Fatalf("got %v", err)
		}
		break
	}
	if _, _, err := tryDial(t, srv, recovery(hello)); err == nil {
		expectNotRecovered(t, srv, hello)
	}
}

// The answer to a close frame was once answered with a second one. Go clients
// did not notice; browsers report such a close as 1006, lost, and a reliable
// client then tries for half a minute to recover what the service has ended.
func TestCloseIsSentOnce(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{})
	c.send("{")
	c.expectClose(1007, "The client message is not a valid JSON protocol message.")
	// The client has answered by now. The rest is silence.
	rest, err := io.ReadAll(c.ws.NetConn())
	if err != nil || len(rest) > 0 {
		t.Errorf("after the close came % x, %v", rest, err)
	}
}

// The length of a frame is written in three forms; these sizes lie on both
// sides of their borders, and at the largest message.
func TestFrameSizes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	receiver := dial(t, srv, dialOptions{groups: []string{"g"}})
	sender := dial(t, srv, dialOptions{roles: anything, query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}})
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		want := strings.Repeat("x", n)
		sender.send(want)
		if got := receiver.recv(); got != want {
			t.Errorf("a message of %d bytes arrived with %d", n, len(got))
		}
	}
}

// A close frame holds 123 bytes of reason; a longer one is cut between
// characters, not within one.
func TestLongCloseReason(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := dial(t, srv, dialOptions{user: "alice"})
	rest(t, srv, request{method: "POST", path: "users/alice/:closeConnections?reason=" + url.QueryEscape("a"+strings.Repeat("é", 100))})
	c.expectClose(websocket.CloseNormalClosure, "a"+strings.Repeat("é", 61))
}

// The newest thousand ack ids are remembered; the one before may come again.
func TestAckMemoryIsBounded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything})
	join := func(id int) string {
		c.send(fmt.Sprintf(`{"type":"joinGroup","group":"g","ackId":%d}`, id))
		return c.recv()
	}
	for id := range 1001 {
		if got := join(id); !strings.Contains(got, `"success":true`) {
			t.Fatal(got)
		}
	}
	if got := join(1); !strings.Contains(got, "Duplicate") {
		t.Errorf("the thousandth newest was forgotten: %s", got)
	}
	if got := join(0); !strings.Contains(got, `"success":true`) {
		t.Errorf("an older one is still remembered: %s", got)
	}
}

// What passes here must not fail in Azure, where System.Text.Json stops at 64
// levels; and an empty object of metadata is not the same as none.
func TestDepthAndEmptyMetadata(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for n, status := range map[int]int{64: 202, 65: 400} {
		if a := rest(t, srv, request{method: "POST", path: "groups/none/:send", contentType: "application/json", body: deep(n)}); a.status != status {
			t.Errorf("a REST body of %d levels: %d, want %d", n, a.status, status)
		}
	}
	c.send(`{"type":"sendToGroup","group":"g","data":` + deep(63) + `}`)
	c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"json","data":` + deep(63) + `}`)
	c.send(`{"type":"sendToGroup","group":"g","data":1,"metadata":{}}`)
	c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"json","data":1,"metadata":{}}`)
}
