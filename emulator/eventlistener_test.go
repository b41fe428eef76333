package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/eventhub"
)

// A user event that only a listener gets has succeeded, for every kind of client, and
// all events of the connection have their ids.
func TestListenerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, events := recordEvents(nil)
		srv := virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {EventListeners: []emulator.EventListener{
			{UserEvents: "say, message", SystemEvents: []string{"connected", "disconnected"}, URL: serveInProcess(t, h)},
		}}}})
		expect := func(name, id, body string) {
			t.Helper()
			synctest.Wait()
			select {
			case e := <-events:
				if e.Name != name || e.ID != id || e.Body != body {
					t.Errorf("%+v, want %s %s %s", e, name, id, body)
				}
			default:
				t.Errorf("no %s", name)
			}
		}
		c, _ := dialJSON(t, srv, dialOptions{})
		expect("connected", "1", "{}")
		c.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"hello"}`)
		if got := c.recv(); !strings.Contains(got, `"success":true`) {
			t.Errorf("the ack is %s", got)
		}
		expect("say", "2", "hello")
		// A repeated ack ID is not an event.
		c.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"hello"}`)
		if got := c.recv(); !strings.Contains(got, "Duplicate") {
			t.Errorf("the second ack is %s", got)
		}
		// What no listener matches fails as before.
		c.send(`{"type":"event","event":"other","ackId":2,"dataType":"text","data":"hello"}`)
		if got := c.recv(); !strings.Contains(got, "InternalServerError") {
			t.Errorf("the ack of another event is %s", got)
		}
		_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "done"))
		expect("disconnected", "4", `{"reason":"done"}`)

		simple := dial(t, srv, dialOptions{})
		expect("connected", "1", "{}")
		simple.send("raw")
		expect("message", "2", "raw")
		if err := srv.WaitIdle(t.Context()); err != nil {
			t.Error(err)
		}
		simple.send("again") // it is still open
		expect("message", "3", "again")
		if len(events) > 0 {
			t.Errorf("one more event: %+v", <-events)
		}
	})
}

// A listener gets a copy in addition to the event handler, with the same id and the
// state of the connection, and every listener that matches gets one. The failure of
// the handler is that of the event.
func TestListenerBesideHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, copies := recordEvents(nil)
		url := serveInProcess(t, h)
		var settings emulator.HubSettings
		handler, events := recordEvents(func(w http.ResponseWriter, e event) {
			w.Header().Set("ce-connectionState", "state")
			if e.Name == "bad" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		inProcessHandlers.Store("handler.test", handler)
		t.Cleanup(func() { inProcessHandlers.Delete("handler.test") })
		settings.EventHandlers = handlersAt("http://handler.test")
		settings.EventListeners = []emulator.EventListener{{UserEvents: "*", URL: url}, {UserEvents: "say", URL: url + "/second"}}
		srv := virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: settings}})
		c, _ := dialJSON(t, srv, dialOptions{user: "alice"})
		c.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"hello"}`)
		c.recv()
		c.send(`{"type":"event","event":"bad","ackId":2,"dataType":"text","data":"x"}`)
		if got := c.recv(); !strings.Contains(got, "InternalServerError") {
			t.Errorf("the ack of an event whose handler fails is %s", got)
		}
		advance(time.Minute)
		got := make(map[string]int)
		for len(copies) > 0 {
			e := <-copies
			got[fmt.Sprint(e.Name, e.ID, e.User, e.State, e.Signature == "")]++
		}
		if len(got) != 2 || got["say2alicestatetrue"] != 2 || got["bad3alicestatetrue"] != 1 {
			t.Errorf("copies %v", got)
		}
		if e := <-events; e.Name != "connect" {
			t.Errorf("the handler got %+v first", e)
		}
	})
}

// The whole way to an event hub.
func TestListenerOfAnEventHub(t *testing.T) {
	peer := eventhub.Start(t, nil)
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {EventListeners: []emulator.EventListener{
		{UserEvents: "*", SystemEvents: []string{"connected"}, EventHub: emulator.EventHub{Name: "events", ConnectionString: peer.ConnectionString()}},
	}}}})
	c, hello := dialJSON(t, srv, dialOptions{user: "用户"})
	c.send(`{"type":"event","event":"say","ackId":1,"dataType":"binary","data":"/wA="}`)
	c.recv()
	for i, body := range []string{"{}", "\xff\x00"} {
		e := <-peer.Events()
		if e.MessageID != fmt.Sprint(hello.ConnectionID, "/", i+1) || string(e.Body) != body || e.PartitionKey != hello.ConnectionID || e.Properties["cloudEvents:userid"] != "用户" {
			t.Errorf("got %+v", e)
		}
	}
}

func TestInvalidListeners(t *testing.T) {
	for want, l := range map[string]emulator.EventListener{
		"has one endpoint":           {UserEvents: "*"},
		"is not for event listeners": {SystemEvents: []string{"connect"}, File: "-"},
	} {
		_, err := emulator.Start(emulator.Options{Hubs: map[string]emulator.HubSettings{"a": {EventListeners: []emulator.EventListener{l}}}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}
