package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// What a client sees of a user event that fails, whatever the reason: an error
// acknowledgement where it asked for one and nothing where not, and the
// connection lives on, its state as it was; a simple client, which has no other way to hear of it, is
// closed with 1011. Nothing of the handler's answer reaches a client.
func TestUserEventFailureByProtocol(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"400":                func(w http.ResponseWriter) { http.Error(w, "secret detail", 400) },
		"429":                func(w http.ResponseWriter) { http.Error(w, "secret detail", http.StatusTooManyRequests) },
		"a redirect":         func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(307) },
		"bad JSON":           func(w http.ResponseWriter) { reply(w, "application/json", "secret detail") },
		"other content type": func(w http.ResponseWriter) { reply(w, "image/png", "secret detail") },
		"text not UTF-8":     func(w http.ResponseWriter) { reply(w, "text/plain", "secret detail\xff") },
		"no handler":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			handlers, events := upstream(t, func(w http.ResponseWriter, e event) {
				if e.Name == "e" || e.Name == "message" {
					w.Header().Set("ce-connectionState", "lost")
					fail(w)
				}
			})
			handlers[0].SystemEvents = nil
			if fail == nil {
				handlers[0].UserEvents = "after"
			}
			srv := startWith(t, handlers)
			c, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
			c.send(`{"type":"event","event":"e","data":1}`) // without ackId
			c.send(`{"type":"event","event":"e","ackId":1,"data":1}`)
			c.expect(`{"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`)
			c.send(`{"type":"invoke","invocationId":"1","target":"event","event":"e","data":1}`)
			c.expect(`{"type":"invokeResponse","invocationId":"1","success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`)
			c.send(`{"type":"event","event":"after","ackId":2,"data":1}`)
			c.expect(`{"type":"ack","ackId":2,"success":true}`)
			for e := nextEvent(t, events); ; e = nextEvent(t, events) {
				if e.State != "" {
					t.Errorf("event %s came with a state that a failed answer set", e.Name)
				}
				if e.Name == "after" {
					break
				}
			}

			simple := dial(t, srv, dialOptions{})
			simple.send("x")
			if name == "bad JSON" { // which it gets as it is: there is no frame around it
				simple.expect("secret detail")
				return
			}
			simple.expectClose(websocket.CloseInternalServerErr, "Internal server error")
		})
	}
}

func reply(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	_, _ = io.WriteString(w, body)
}

// A handler that does not let the service in gets no event: a client that
// connects is refused with 500.
func TestConnectNeedsValidation(t *testing.T) {
	for name, preflight := range map[string]http.HandlerFunc{
		"no answer to OPTIONS": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) },
		"another origin": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WebHook-Allowed-Origin", "other.example")
		},
		"a list in one line": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WebHook-Allowed-Origin", "other.example, "+r.Header.Get("WebHook-Request-Origin"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events atomic.Int32
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					events.Add(1)
				}
				preflight(w, r)
			}))
			defer web.Close()
			srv := startWith(t, []emulator.EventHandler{{URL: web.URL, UserEvents: "*", SystemEvents: []string{"connect"}}})
			if _, res, err := tryDial(t, srv, dialOptions{}); err == nil || res.StatusCode != 500 {
				t.Errorf("got %v %v, want 500", res, err)
			}
			if events.Load() != 0 {
				t.Error("an event came before the handler agreed")
			}
		})
	}
}

// A connection carries its state, its cookies and its messages' metadata from
// answer to event; the journal tells of attempts that failed.
func TestConnectionState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := make(chan *http.Request, 10)
		var broken atomic.Bool
		web := serveInProcess(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions {
				w.Header().Set("WebHook-Allowed-Origin", "*")
				return
			}
			if broken.CompareAndSwap(true, false) {
				w.WriteHeader(503)
				return
			}
			requests <- r
			switch r.Header.Get("ce-eventName") {
			case "connect":
				w.Header().Set("ce-connectionState", "one")
				http.SetCookie(w, &http.Cookie{Name: "ARRAffinity", Value: "node1", Path: "/"})
			case "clear":
				w.Header()["Ce-Connectionstate"] = []string{""}
				w.Header().Set("X-WebPubSub-Metadata-Trace", "t2")
				reply(w, "text/plain", "ok")
			}
		}))
		srv := virtual(t, emulator.Options{
			SecondaryKey: "second", SeparateSignatureHeaders: true,
			Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: []emulator.EventHandler{{URL: web, UserEvents: "*", SystemEvents: []string{"connect"}}}}},
		})
		next := func() *http.Request {
			t.Helper()
			select {
			case r := <-requests:
				return r
			case <-time.After(patience):
				t.Fatal("no event came")
				return nil
			}
		}
		c, hello := dialJSON(t, srv, dialOptions{})
		if r := next(); len(r.Header["Ce-Connectionstate"]) != 0 || r.Header.Get("Cookie") != "" || len(r.Header["Ce-Signature"]) != 2 {
			t.Errorf("connect came with %v", r.Header)
		}
		c.send(`{"type":"event","event":"clear","ackId":1,"data":1,"metadata":{"Trace":"t1"}}`)
		c.expect(`{"type":"message","from":"server","dataType":"text","data":"ok","metadata":{"trace":"t2"}}`, `{"type":"ack","ackId":1,"success":true}`)
		if h := next().Header; h.Get("ce-connectionState") != "one" || h.Get("Cookie") != "ARRAffinity=node1" || h.Get("X-WebPubSub-Metadata-trace") != "t1" {
			t.Errorf("the first event came with %v", h)
		}

		broken.Store(true)
		c.send(`{"type":"event","event":"e","ackId":2,"data":1}`)
		retried := waitFor(t, srv, emulator.EntryEventRetried, hello.ConnectionID)
		if got := fmt.Sprint(retried); !strings.Contains(got, "-> 503") || !strings.Contains(got, "attempt 1 of 4, the next one follows in 1s") || retried.Name != "e" {
			t.Errorf("the journal says %s", got)
		}
		c.expect(`{"type":"ack","ackId":2,"success":true}`)
		if h := next().Header; len(h["Ce-Connectionstate"]) != 1 || h.Get("ce-connectionState") != "" {
			t.Errorf("the second event came with state %q, want an empty one", h["Ce-Connectionstate"])
		}
	})
}

// The handlers hear why a connection ended in the words of who ended it. What
// the emulator has to add, of faults and of networks, is for the journal: a
// client that vanished once ended with "unexpected EOF", and one that a fault
// had cut with words that no handler gets in the cloud.
func TestReasonOfDisconnected(t *testing.T) {
	for name, tt := range map[string]struct {
		end          func(c *client, srv *emulator.Server, id string)
		heard, noted string
	}{
		"said goodbye": {end: func(c *client, _ *emulator.Server, _ string) {
			_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "see you"))
		}, heard: "see you", noted: "see you"},
		"said nothing": {end: func(c *client, _ *emulator.Server, _ string) {
			_ = c.ws.WriteMessage(websocket.CloseMessage, nil)
		}},
		"vanished": {end: func(c *client, _ *emulator.Server, _ string) { _ = c.ws.NetConn().Close() }, heard: "The connection ended."},
		"sent an invalid frame": {end: func(c *client, _ *emulator.Server, _ string) {
			_, _ = c.ws.NetConn().Write(rawFrame(fin|0x3, ""))
		}, heard: "The connection ended."},
		"cut by a fault": {end: func(_ *client, srv *emulator.Server, id string) {
			srv.InjectNow(emulator.Fault{Action: emulator.ResetConnection(), ConnectionID: id})
		}, heard: "The connection ended.", noted: "a fault reset the connection"},
		"closed by a fault": {end: func(_ *client, srv *emulator.Server, id string) {
			srv.InjectNow(emulator.Fault{Action: emulator.CloseWith(1001, "Service reload"), ConnectionID: id})
		}, heard: "Service reload", noted: "a fault closed the connection"},
		"closed by the application": {end: func(c *client, srv *emulator.Server, id string) {
			rest(c.t, srv, request{method: "DELETE", path: "connections/" + id + "?reason=r"})
		}, heard: "Application server closed the connection. Reason: r", noted: "Application server closed the connection. Reason: r"},
		"broke the protocol": {end: func(c *client, _ *emulator.Server, _ string) {
			c.send("[")
		}, heard: "The client message is not a valid JSON protocol message.", noted: "The client message is not a valid JSON protocol message."},
	} {
		t.Run(name, func(t *testing.T) {
			handlers, events := upstream(t, nil)
			handlers[0].SystemEvents = []string{"disconnected"}
			srv := startWith(t, handlers)
			c, hello := dialJSON(t, srv, dialOptions{})
			tt.end(c, srv, hello.ConnectionID)
			if e := nextEvent(t, events); e.Body != fmt.Sprintf(`{"reason":%q}`, tt.heard) {
				t.Errorf("the handler heard %s, want %q", e.Body, tt.heard)
			}
			if e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); e.Reason != tt.noted {
				t.Errorf("the journal has %q, want %q", e.Reason, tt.noted)
			}
		})
	}
}
