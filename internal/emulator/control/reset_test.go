package control_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

func TestReset(t *testing.T) {
	h := startHandler(t, func(string) (int, string) { return 200, "" })
	settings := h.settings()
	settings["chat"] = emulator.HubSettings{EventHandlers: settings["chat"].EventHandlers, AllowAnonymous: true}
	r := start(t, emulator.Options{Hubs: settings})
	a := r.dial(`{"hub":"chat","userId":"alice","groups":["g"],"roles":["webpubsub.joinLeaveGroup"]}`, reliableProtocol)
	b := r.dial(`{"hub":"game","userId":"bob"}`, jsonProtocol)
	m := r.mqtt(&mqtt.Connect{Version: mqtt.V5, ClientID: "m"}, "")
	a.send(`{"type":"setGroupState","group":"g","state":{"k":"v"},"ackId":1}`)
	a.read()
	// Work that would last for ever: what a fault holds up.
	r.must("POST", "/faults", `{"at":"send","action":{"type":"stall"},"userId":"bob"}`)
	r.must("POST", "/hubs/game/send", `{"data":"x"}`)
	r.must("PUT", "/hubs/chat/settings", `{"anonymousConnectPolicy":"deny","eventHandlers":[{"urlTemplate":"`+h.URL+`","systemEvents":["disconnected"]}]}`)
	if status, _ := r.do("POST", "/idle?timeout=0", ""); status != 408 {
		t.Errorf("a stalled emulator is idle: %d", status)
	}

	got := r.must("POST", "/reset", "")
	if got.text("connections") != "3" || got.text("idle") != "true" {
		t.Errorf("got %v", got)
	}
	i := r.must("GET", "/info", "")
	for path, want := range map[string]string{
		"counts.hubs": "0", "counts.connections": "0", "counts.groups": "0", "counts.users": "0", "counts.faults": "0",
		"journal.entries": "0", "journal.oldest": "0", "journal.dropped": "0", "journal.detailBytes": "0",
	} {
		if got := i.text(path); got != want {
			t.Errorf("%s is %s", path, got)
		}
	}
	if hubs := r.must("GET", "/hubs", "").values(); len(hubs) != 1 || hubs[0].text("name") != "chat" || hubs[0].text("anonymous") != "true" || hubs[0].text("inUse") != "false" {
		t.Errorf("hubs are %v", hubs)
	}
	if code := a.closed(); code != 1000 {
		t.Errorf("alice was closed with %d", code)
	}
	b.closed()
	if _, _, err := m.ReadMessage(); err != nil && !strings.Contains(err.Error(), "close") {
		t.Error(err)
	}
	// The event handler has heard of the end.
	heard := 0
	for q := range h.drain() {
		if q.Header.Get("ce-eventName") == "disconnected" {
			heard++
		}
	}
	if heard != 2 {
		t.Errorf("the handler received %d disconnected events, want those of alice and the MQTT client", heard)
	}
	// And all works again.
	c := r.dial(`{"hub":"chat","userId":"alice"}`, jsonProtocol)
	if d := r.must("GET", "/hubs/chat/connections/"+c.id, ""); d.text("groupCount") != "0" {
		t.Errorf("got %v", d)
	}
	if page := r.must("GET", "/journal", "").values(); page[0].text("id") == "1" || page[0].text("kind") != "event" {
		t.Errorf("the journal begins with %v", page[0])
	}
}

// An event handler that does not answer holds up the reset no longer than asked, and
// its events do not come into the next test.
func TestResetCancelsWhatTakesTooLong(t *testing.T) {
	called := make(chan string, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		called <- r.Header.Get("ce-eventName")
		if r.Header.Get("ce-eventName") == "disconnected" {
			_, _ = io.Copy(io.Discard, r.Body) // or net/http does not notice that the caller has gone
			<-r.Context().Done()
		}
	}))
	t.Cleanup(web.Close)
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{URL: web.URL, SystemEvents: []string{"disconnected"}}}}}})
	r.dial(`{"hub":"chat"}`, jsonProtocol)
	if got := r.must("POST", "/reset?timeout=0.2", ""); got.text("idle") != "false" || got.text("connections") != "1" {
		t.Errorf("got %v", got)
	}
	if name := <-called; name != "disconnected" {
		t.Errorf("called for %s", name)
	}
	if page := r.must("GET", "/journal", "").values(); len(page) != 0 {
		t.Errorf("the journal has %v", page)
	}
	// Later events are delivered.
	r.dial(`{"hub":"chat"}`, jsonProtocol)
	r.must("POST", "/hubs/chat/close", "")
	if name := <-called; name != "disconnected" {
		t.Errorf("called for %s", name)
	}
}

// Idle waits for the delivery of an event, however long that takes.
func TestIdle(t *testing.T) {
	release := make(chan struct{})
	h := startHandler(t, func(event string) (int, string) {
		if event == "slow" {
			<-release
		}
		return 200, ""
	})
	r := start(t, emulator.Options{Hubs: h.settings()})
	c := r.dial(`{"hub":"chat"}`, jsonProtocol)
	c.send(`{"type":"event","event":"slow","data":1}`)
	for request := range h.requests {
		if request.Header.Get("ce-eventName") == "slow" {
			break
		}
	}
	if status, body := r.do("POST", "/idle?timeout=0.01", ""); status != 408 || decode(t, body).text("idle") != "false" {
		t.Errorf("%d %s", status, body)
	}
	done := make(chan int, 1)
	go func() {
		status, _ := r.do("POST", "/idle?timeout=60", "")
		done <- status
	}()
	close(release)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case status := <-done:
		if status != 200 {
			t.Errorf("answered %d", status)
		}
	case <-ctx.Done():
		t.Error("it is never idle")
	}
}
