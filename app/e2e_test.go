package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

// startChat runs the chat behind the emulator, and returns the URL of negotiate.
func startChat(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	em := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
		URL: web.URL + "/api/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}}})
	log := &testlog.Buffer{}
	a, err := app.New(webapp.Config{ConnectionString: em.ConnectionString(), AllowUserIDQuery: true, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", a.Handler())
	return web.URL + "/api/negotiate"
}

// member is a user of the chat, as far as the wire shows.
type member struct {
	t    *testing.T
	ws   *websocket.Conn
	acks int
}

func enter(t *testing.T, negotiate, user string, rooms ...string) *member {
	t.Helper()
	resp, err := http.Get(negotiate + "?userId=" + url.QueryEscape(user))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.URL == "" {
		t.Fatalf("negotiate answered %s without a URL: %v", resp.Status, err)
	}
	for _, room := range rooms {
		answer.URL += "&room=" + url.QueryEscape(room)
	}
	d := websocket.Dialer{Subprotocols: []string{"json.webpubsub.azure.v1"}}
	ws, _, err := d.Dial(answer.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ws.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	m := &member{t: t, ws: ws}
	m.until(`"event":"connected"`)
	return m
}

// do sends a frame, and returns what came before its acknowledgement, which is the
// last.
func (m *member) do(format string, args ...any) []string {
	m.t.Helper()
	m.acks++
	frame := fmt.Sprintf(`{"ackId":%d,`, m.acks) + fmt.Sprintf(format, args...) + "}"
	if err := m.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		m.t.Fatal(err)
	}
	return m.until(fmt.Sprintf(`"ackId":%d,`, m.acks))
}

func (m *member) event(name, data string) []string {
	m.t.Helper()
	return m.do(`"type":"event","event":%q,"dataType":"json","data":%s`, name, data)
}

func (m *member) publish(room, data string) []string {
	m.t.Helper()
	return m.do(`"type":"sendToGroup","group":"room.%s","noEcho":true,"dataType":"json","data":%s`, room, data)
}

// until reads on to a frame with all these parts, and returns all that came.
func (m *member) until(parts ...string) []string {
	m.t.Helper()
	var frames []string
	for {
		_, frame, err := m.ws.ReadMessage()
		if err != nil {
			m.t.Fatalf("no frame with %q: %v; got %q", parts, err, frames)
		}
		frames = append(frames, string(frame))
		missing := func(part string) bool { return !strings.Contains(string(frame), part) }
		if !slices.ContainsFunc(parts, missing) {
			return frames
		}
	}
}

func last(frames []string) string { return frames[len(frames)-1] }

// A client receives the messages of all rooms that the connection is in. It used to
// be in one room at a time, and messages of the others were lost.
func TestSeveralRooms(t *testing.T) {
	negotiate := startChat(t)
	alice := enter(t, negotiate, "alice", "general", "help")
	bob := enter(t, negotiate, "Bób", "help")
	alice.until(`"type":"presence"`, `"room":"help"`, `"name":"Bób"`, `"event":"joined"`)
	bob.event("message", `{"id":"m1","room":"help","text":"anybody here?"}`)
	alice.until(`"type":"message"`, `"room":"help"`, `"user":"B%C3%B3b"`, `"name":"Bób"`, "anybody here?")

	bob.event("join", `{"room":"general"}`)
	alice.until(`"type":"presence"`, `"room":"general"`, `"event":"joined"`)
	alice.event("message", `{"id":"m2","room":"general","text":"hello"}`)
	bob.until(`"type":"message"`, `"room":"general"`, "hello")

	bob.event("leave", `{"room":"help"}`)
	alice.until(`"type":"presence"`, `"room":"help"`, `"event":"left"`)
	alice.event("message", `{"id":"m3","room":"help","text":"gone?"}`)
	alice.event("message", `{"id":"m4","room":"general","text":"there you are"}`)
	if frames := bob.until("there you are"); slices.ContainsFunc(frames, func(f string) bool { return strings.Contains(f, "gone?") }) {
		t.Errorf("bob has left the room and got %q", frames)
	}
	_ = bob.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	alice.until(`"type":"presence"`, `"room":"general"`, `"event":"left"`)
}

// A user who enters a room receives its last messages.
func TestHistoryOnEntry(t *testing.T) {
	negotiate := startChat(t)
	alice := enter(t, negotiate, "alice", "general")
	alice.event("message", `{"id":"m1","text":"is anybody here?"}`)
	bob := enter(t, negotiate, "bob", "general")
	if frames := bob.event("join", `{"room":"general"}`); !slices.ContainsFunc(frames, func(f string) bool {
		return strings.Contains(f, `"members":["alice","bob"]`) && strings.Contains(f, `"text":"is anybody here?"`)
	}) {
		t.Errorf("got %q", frames)
	}
}

// A client can publish typing notices to the rooms that it is in, and to no other. It
// used to get the permission for all rooms with the first one.
func TestPublishing(t *testing.T) {
	negotiate := startChat(t)
	alice := enter(t, negotiate, "alice", "general")
	bob := enter(t, negotiate, "bob", "general", "help")
	const notice = `{"type":"typing"}`
	refused := func(m *member, room string) {
		t.Helper()
		if ack := last(m.publish(room, notice)); !strings.Contains(ack, `"name":"Forbidden"`) {
			t.Errorf("publishing to %s: %s", room, ack)
		}
	}
	if ack := last(alice.publish("general", notice)); !strings.Contains(ack, `"success":true`) {
		t.Errorf("its own room: %s", ack)
	}
	bob.until(`"fromUserId":"alice"`, `"typing"`)
	refused(alice, "help")
	if ack := last(alice.do(`"type":"joinGroup","group":"room.help"`)); !strings.Contains(ack, `"name":"Forbidden"`) {
		t.Errorf("joining a group without the event handler: %s", ack)
	}
	alice.event("join", `{"room":"help"}`)
	alice.publish("help", notice)
	bob.until(`"group":"room.help"`, `"fromUserId":"alice"`, `"typing"`)
	alice.event("leave", `{"room":"help"}`)
	refused(alice, "help")
}
