package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// presence is a handler that gets group events beside those of upstream.
func presence(t *testing.T, groupFilters ...string) ([]emulator.EventHandler, chan event) {
	handlers, events := upstream(t, nil)
	handlers[0].GroupEvents = []string{"joined", "left"}
	handlers[0].GroupFilters = groupFilters
	return handlers, events
}

// wantEvents reads events and compares them as "name body".
func wantEvents(t *testing.T, events chan event, want ...string) {
	t.Helper()
	for i, w := range want {
		e := nextEvent(t, events)
		if got := strings.TrimSpace(e.Name + " " + e.Body); got != w {
			t.Fatalf("event %d is %q, want %q", i, got, w)
		}
	}
}

// Every way into and out of a group is told, in the order in which it happened
// and after the connected event.
func TestGroupPresence(t *testing.T) {
	handlers, events := presence(t)
	srv := startWith(t, handlers)
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", roles: anything, groups: []string{"token1", "token2"}})
	nextEvent(t, events) // connect
	wantEvents(t, events, "connected {}")
	e := nextEvent(t, events)
	if e.Type != "azure.webpubsub.gp.joined" || e.Name != "joined" || e.ID != "2" || e.User != "alice" ||
		e.Connection != hello.ConnectionID || e.ContentType != "application/json" || e.Body != `{"group":"token1"}` ||
		!strings.HasPrefix(e.Signature, "sha256=") {
		t.Errorf("joined event %+v", e)
	}
	wantEvents(t, events, `joined {"group":"token2"}`)

	c.send(`{"type":"joinGroup","group":"a","ackId":1}`)
	c.send(`{"type":"joinGroup","group":"a","ackId":2}`) // no change, no event
	c.send(`{"type":"leaveGroup","group":"a","ackId":3}`)
	wantEvents(t, events, `joined {"group":"a"}`, `left {"group":"a"}`)

	for _, r := range []request{
		{method: "PUT", path: "groups/b/connections/" + hello.ConnectionID},
		{method: "PUT", path: "users/alice/groups/c"},
		{method: "DELETE", path: "groups/b/connections/" + hello.ConnectionID},
	} {
		if got := rest(t, srv, r); got.status/100 != 2 {
			t.Fatalf("%s %s: %d", r.method, r.path, got.status)
		}
	}
	wantEvents(t, events, `joined {"group":"b"}`, `joined {"group":"c"}`, `left {"group":"b"}`)

	_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	wantEvents(t, events, `left {"group":"c"}`, `left {"group":"token1"}`, `left {"group":"token2"}`)
	if e := nextEvent(t, events); e.Name != "disconnected" || e.ID != "12" {
		t.Errorf("last event %+v", e)
	}
}

func TestGroupPresenceIsOptInAndFiltered(t *testing.T) {
	handlers, events := presence(t, "room.*")
	handlers[0].SystemEvents, handlers[0].GroupEvents = nil, []string{"joined"}
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"other", "room.1"}})
	c.send(`{"type":"leaveGroup","group":"room.1","ackId":1}`)
	c.send(`{"type":"joinGroup","group":"room.1.x","ackId":2}`)
	c.send(`{"type":"joinGroup","group":"room.2","ackId":3}`)
	wantEvents(t, events, `joined {"group":"room.1"}`, `joined {"group":"room.2"}`)
	_ = c.ws.Close()
	for _, e := range srv.Journal() {
		if e.Kind == emulator.EntryEventFailed {
			t.Error(e)
		}
	}
}

// Presence events that a handler does not take in time are bounded, and the
// journal records that one was left out. The end of a connection never is, and it
// does not wait for them.
func TestGroupPresenceIsBounded(t *testing.T) {
	release := make(chan struct{})
	handlers, events := upstream(t, func(_ http.ResponseWriter, e event) {
		if e.Name == "joined" {
			<-release
		}
	})
	handlers[0].GroupEvents = []string{"joined"}
	goOn := sync.OnceFunc(func() { close(release) })
	t.Cleanup(goOn)
	srv := emulator.StartT(t, emulator.Options{MaxPendingMessages: 3, Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: handlers}}})
	c, hello := dialJSON(t, srv, dialOptions{roles: anything})
	wantNames(t, events, "connect", "connected")
	waitIdle(t, srv) // an event counts until its response was read
	for i := range 4 {
		c.send(fmt.Sprintf(`{"type":"joinGroup","group":"g%d","ackId":%d}`, i, i))
		c.recv()
	}
	if e := waitFor(t, srv, emulator.EntryEventFailed, hello.ConnectionID); e.Name != "joined g3" {
		t.Errorf("the journal has %v", e)
	}
	_ = c.ws.NetConn().Close()
	wantNames(t, events, "joined", "joined", "joined", "disconnected")
	goOn()
}

func wantNames(t *testing.T, events chan event, want ...string) {
	t.Helper()
	for _, name := range want {
		if e := nextEvent(t, events); e.Name != name {
			t.Errorf("got %s, want %s", e.Name, name)
		}
	}
}

func TestSetHub(t *testing.T) {
	first, firstEvents := upstream(t, nil)
	second, secondEvents := upstream(t, nil)
	srv := startWith(t, first)
	c, _ := dialJSON(t, srv, dialOptions{})
	c.send(`{"type":"event","event":"e","ackId":1,"data":1}`)
	c.expect(`{"type":"ack","ackId":1,"success":true}`)
	wantEvents(t, firstEvents, nextEvent(t, firstEvents).Name+"ed {}", "e 1")

	second[0].UserEvents = "e"
	if err := srv.SetHub("CHAT", emulator.HubSettings{EventHandlers: second, AllowAnonymous: true}); err != nil {
		t.Fatal(err)
	}
	c.send(`{"type":"event","event":"e","ackId":2,"data":2}`)
	c.expect(`{"type":"ack","ackId":2,"success":true}`)
	wantEvents(t, secondEvents, "e 2")
	dial(t, srv, dialOptions{noToken: true}) // anonymous clients are let in from now on

	for name, h := range map[string]emulator.HubSettings{
		"bad name!": {},
		"chat":      {EventHandlers: []emulator.EventHandler{{URL: "ftp://x"}}},
		"other":     {KeepAlive: time.Hour},
	} {
		if err := srv.SetHub(name, h); err == nil {
			t.Errorf("%s: %+v was taken", name, h)
		}
	}
	c.send(`{"type":"event","event":"e","ackId":3,"data":3}`)
	c.expect(`{"type":"ack","ackId":3,"success":true}`)

	// A hub that no client has used yet.
	if err := srv.SetHub("later", emulator.HubSettings{AllowAnonymous: true}); err != nil {
		t.Fatal(err)
	}
	dial(t, srv, dialOptions{hub: "later", noToken: true})
}

// The pauses between attempts pass in virtual time.
func TestRetriesInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := make(chan event, 10)
		handlers, _ := upstreamInProcess(t, func(w http.ResponseWriter, e event) {
			if attempts <- e; e.Name == "e" {
				w.WriteHeader(503)
			}
		})
		handlers[0].SystemEvents = nil
		srv := virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: handlers}}})
		c, _ := dialJSON(t, srv, dialOptions{})
		c.send(`{"type":"event","event":"e","ackId":1,"data":1}`)
		first := nextEvent(t, attempts)
		for range 3 {
			if again := nextEvent(t, attempts); again != first {
				t.Errorf("attempt %+v differs from %+v", again, first)
			}
		}
		if got := c.recv(); !strings.Contains(got, "InternalServerError") {
			t.Errorf("got %s", got)
		}
	})
}
