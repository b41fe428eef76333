package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// event is a request that an event handler got.
type event struct {
	Type, Name, ID, Connection, User, State, Signature, ContentType, Body string
}

// upstream is an event handler of the test's own. It grants every validation.
// answer may be nil: then every event is answered with 204.
func upstream(t *testing.T, answer func(w http.ResponseWriter, e event)) (handlers []emulator.EventHandler, events chan event) {
	t.Helper()
	h, events := recordEvents(answer)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return handlersAt(s.URL), events
}

// upstreamInProcess is upstream for an emulator of virtual.
func upstreamInProcess(t *testing.T, answer func(w http.ResponseWriter, e event)) (handlers []emulator.EventHandler, events chan event) {
	t.Helper()
	h, events := recordEvents(answer)
	return handlersAt(serveInProcess(t, h)), events
}

func handlersAt(url string) []emulator.EventHandler {
	return []emulator.EventHandler{{URL: url + "/{hub}/{event}", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}}}
}

func recordEvents(answer func(w http.ResponseWriter, e event)) (http.Handler, chan event) {
	events := make(chan event, 1000)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		body, _ := io.ReadAll(r.Body)
		h := r.Header.Get
		e := event{h("ce-type"), h("ce-eventName"), h("ce-id"), h("ce-connectionId"), h("ce-userId"), h("ce-connectionState"), h("ce-signature"), h("Content-Type"), string(body)}
		events <- e
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, e)
	}), events
}

func startWith(t *testing.T, handlers []emulator.EventHandler) *emulator.Server {
	return emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: handlers}}})
}

func nextEvent(t *testing.T, events chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
		return event{}
	}
}

func TestEventsOfAConnection(t *testing.T) {
	handlers, events := upstream(t, func(w http.ResponseWriter, e event) {
		switch e.Name {
		case "connect":
			w.Header().Set("ce-connectionState", "s1")
			_, _ = io.WriteString(w, `{"userId":"bob","groups":["g"],"roles":["webpubsub.sendToGroup.g"]}`)
		case "echo":
			w.Header().Set("Content-Type", e.ContentType)
			_, _ = io.WriteString(w, e.Body)
		}
	})
	srv := startWith(t, handlers)
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", roles: anything, query: url.Values{"room": {"1"}}})
	if *hello.UserID != "bob" {
		t.Errorf("user %q, want the one that the handler gave", *hello.UserID)
	}

	connect := nextEvent(t, events)
	if connect.Type != "azure.webpubsub.sys.connect" || connect.ID != "0" || connect.User != "alice" {
		t.Errorf("connect event %+v", connect)
	}
	var body struct {
		Claims, Query, Headers map[string][]string
		Subprotocols           []string
		ClientCertificates     []any
	}
	if err := json.Unmarshal([]byte(connect.Body), &body); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(body.Query) != "map[room:[1]]" || body.Subprotocols[0] != jsonProtocol || body.ClientCertificates == nil || len(body.Claims["exp"]) != 1 {
		t.Errorf("connect body %s", connect.Body)
	}
	if strings.Contains(connect.Body, "eyJ") {
		t.Error("the connect body holds the access token")
	}

	if e := nextEvent(t, events); e.Type != "azure.webpubsub.sys.connected" || e.ID != "1" || e.User != "bob" || e.State != "s1" || e.Body != "{}" {
		t.Errorf("connected event %+v", e)
	}

	for _, m := range []struct{ kind, data, contentType, body string }{
		{"text", `"hi"`, "text/plain; charset=utf-8", "hi"},
		{"json", `{"a":1}`, "application/json", `{"a":1}`},
		{"binary", `"AQID"`, "application/octet-stream", "\x01\x02\x03"},
	} {
		c.send(fmt.Sprintf(`{"type":"event","event":"echo","ackId":%d,"dataType":%q,"data":%s}`, len(m.body), m.kind, m.data))
		c.expect(
			fmt.Sprintf(`{"type":"message","from":"server","dataType":%q,"data":%s}`, m.kind, m.data),
			fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, len(m.body)),
		)
		e := nextEvent(t, events)
		if e.Type != "azure.webpubsub.user.echo" || e.ContentType != m.contentType || e.Body != m.body || e.State != "s1" {
			t.Errorf("user event %+v", e)
		}
		if !strings.HasPrefix(e.Signature, "sha256=") {
			t.Errorf("signature %q", e.Signature)
		}
	}

	// The roles and groups of the token were replaced by the handler's.
	c.send(`{"type":"joinGroup","group":"x","ackId":90}`)
	if got := c.recv(); !strings.Contains(got, "Forbidden") {
		t.Errorf("joined with a role that the handler took away: %s", got)
	}
	c.send(`{"type":"sendToGroup","group":"g","data":1}`)
	c.expect(`{"type":"message","from":"group","fromUserId":"bob","group":"g","dataType":"json","data":1}`)

	_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "see you"))
	if e := nextEvent(t, events); e.Type != "azure.webpubsub.sys.disconnected" || e.ID != "5" || e.Body != `{"reason":"see you"}` {
		t.Errorf("disconnected event %+v", e)
	}
}

func TestConnectIsRefusedByHandler(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		status int
	}{
		"401":               {func(w http.ResponseWriter) { w.WriteHeader(401) }, 401},
		"403":               {func(w http.ResponseWriter) { w.WriteHeader(403) }, 403},
		"429, not repeated": {func(w http.ResponseWriter) { w.WriteHeader(429) }, 429},
		"broken JSON":       {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{") }, 500},
		"a null group":      {func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"groups":[null]}`) }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			handlers, events := upstream(t, func(w http.ResponseWriter, _ event) { tt.answer(w) })
			srv := startWith(t, handlers)
			_, resp, err := tryDial(t, srv, dialOptions{})
			if err == nil || resp.StatusCode != tt.status {
				t.Fatalf("got %v %v, want %d", resp, err, tt.status)
			}
			if e := nextEvent(t, events); e.Name != "connect" || len(events) != 0 {
				t.Errorf("after %+v, %d more events came: a refused client has no others", e, len(events))
			}
		})
	}
}

func TestConnectKeepsTheTokensDefaults(t *testing.T) {
	for _, body := range []string{"", "null", "{}", `{"groups":[]}`, `{"roles":null,"userId":null}`} {
		t.Run(body, func(t *testing.T) {
			handlers, _ := upstream(t, func(w http.ResponseWriter, _ event) { _, _ = io.WriteString(w, body) })
			srv := startWith(t, handlers)
			c, hello := dialJSON(t, srv, dialOptions{user: "alice", roles: anything, groups: []string{"g"}})
			if *hello.UserID != "alice" {
				t.Errorf("user %q", *hello.UserID)
			}
			c.send(`{"type":"sendToGroup","group":"g","data":1}`)
			c.expect(`{"type":"message","from":"group","fromUserId":"alice","group":"g","dataType":"json","data":1}`)
		})
	}
}

func TestUserEventFailure(t *testing.T) {
	fail := true
	handlers, _ := upstream(t, func(w http.ResponseWriter, e event) {
		if e.Name == "message" && fail {
			fail = false
			w.WriteHeader(400)
		}
	})
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{})
	frame := `{"type":"event","event":"message","ackId":1,"data":1}`
	c.send(frame)
	c.expect(`{"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`)
	c.send(frame) // the same ack id gets another chance
	c.expect(`{"type":"ack","ackId":1,"success":true}`)
	c.send(frame)
	c.expect(`{"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}`)
}

func TestSimpleClientTalksToHandler(t *testing.T) {
	handlers, events := upstream(t, func(w http.ResponseWriter, e event) {
		switch e.Body {
		case "text":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "answer")
		case "bytes":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write([]byte{1})
		case "fail":
			w.WriteHeader(400)
		}
	})
	srv := startWith(t, handlers)
	c := dial(t, srv, dialOptions{})
	for _, s := range []string{"text", "bytes", "nothing"} {
		c.send(s)
	}
	if kind, got, err := c.next(); kind != websocket.TextMessage || got != "answer" {
		t.Errorf("got %q (frame type %d, %v)", got, kind, err)
	}
	if kind, got, err := c.next(); kind != websocket.BinaryMessage || got != "\x01" {
		t.Errorf("got %q (frame type %d, %v)", got, kind, err)
	}
	c.send("fail")
	c.expectClose(websocket.CloseInternalServerErr, "Internal server error")
	var names []string
	for range 7 {
		names = append(names, nextEvent(t, events).Name)
	}
	if got := strings.Join(names, " "); got != "connect connected message message message message disconnected" {
		t.Errorf("events %s", got)
	}
}

// A slow handler does not keep a client from being read: its WebSocket pings are
// answered. Its frames wait, and are carried out in order.
func TestSlowHandler(t *testing.T) {
	release := make(chan struct{})
	handlers, events := upstream(t, func(_ http.ResponseWriter, e event) {
		if e.Body == "1" {
			<-release
		}
	})
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{roles: anything})
	nextEvent(t, events)
	nextEvent(t, events)
	c.send(`{"type":"event","event":"e","ackId":1,"data":1}`)
	c.send(`{"type":"event","event":"e","ackId":2,"data":2}`)
	c.send(`{"type":"joinGroup","group":"g","ackId":3}`)
	ponged := false
	c.ws.SetPongHandler(func(string) error { ponged = true; close(release); return nil })
	if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c.expect(acked(1), acked(2), acked(3))
	if !ponged {
		t.Error("the ping was answered after the event")
	}
	if a, b := nextEvent(t, events), nextEvent(t, events); a.Body != "1" || b.Body != "2" {
		t.Errorf("events came as %s, %s", a.Body, b.Body)
	}
}

func TestInvoke(t *testing.T) {
	release := make(chan struct{})
	handlers, _ := upstream(t, func(w http.ResponseWriter, e event) {
		switch e.Name {
		case "add":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "3")
		case "fail":
			w.WriteHeader(400)
		case "hang":
			<-release
		}
	})
	t.Cleanup(func() { close(release) }) // before the handler's server waits for its requests
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{})
	c.send(`{"type":"invoke","invocationId":"1","target":"event","event":"add","dataType":"json","data":[1,2]}`)
	c.expect(`{"type":"invokeResponse","invocationId":"1","success":true,"dataType":"json","data":3}`)
	c.send(`{"type":"invoke","invocationId":"2","target":"event","event":"fail","dataType":"text","data":""}`)
	c.expect(`{"type":"invokeResponse","invocationId":"2","success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`)
	c.send(`{"type":"invoke","invocationId":"3","target":"event","event":"hang","dataType":"text","data":""}`)
	c.send(`{"type":"invoke","invocationId":"3","target":"event","event":"add","dataType":"text","data":""}`)
	c.expect(`{"type":"invokeResponse","invocationId":"3","success":false,"error":{"name":"BadRequest","message":"An invocation with this invocationId is in progress."}}`)
	// A cancelled call gets no answer, and does not hold up the next.
	c.send(`{"type":"cancelInvocation","invocationId":"3"}`)
	c.send(`{"type":"invoke","invocationId":"4","target":"event","event":"add","dataType":"text","data":""}`)
	c.expect(`{"type":"invokeResponse","invocationId":"4","success":true,"dataType":"json","data":3}`)
}
