package handler_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// notifications are the non-blocking events.
var notifications = map[string]func(o *handlertest.Options) *http.Request{
	"connected":    func(o *handlertest.Options) *http.Request { return handlertest.Connected("chat", "conn1", o) },
	"disconnected": func(o *handlertest.Options) *http.Request { return handlertest.Disconnected("chat", "conn1", "bye", o) },
	"joined": func(o *handlertest.Options) *http.Request {
		return handlertest.GroupJoined("chat", "conn1", "group1", o)
	},
	"left": func(o *handlertest.Options) *http.Request { return handlertest.GroupLeft("chat", "conn1", "group1", o) },
}

// onNotification registers f for all of them.
func onNotification(h *handler.Handler, f func(e *handler.Event, detail string) error) {
	h.OnConnected(func(_ context.Context, e *handler.ConnectedEvent) error { return f(&e.Event, "") })
	h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error { return f(&e.Event, e.Reason) })
	h.OnGroupJoined(func(_ context.Context, e *handler.GroupEvent) error { return f(&e.Event, e.Group) })
	h.OnGroupLeft(func(_ context.Context, e *handler.GroupEvent) error { return f(&e.Event, e.Group) })
}

func TestNotifications(t *testing.T) {
	for name, request := range notifications {
		t.Run(name, func(t *testing.T) {
			o := &handlertest.Options{UserID: "alice", Subprotocol: "json.webpubsub.azure.v1", State: map[string]any{"n": 1}}
			h, _ := newHandler(t, nil)
			wantStatus(t, handlertest.Do(h, request(o)), 204) // without callbacks

			called := 0
			onNotification(h, func(e *handler.Event, detail string) error {
				called++
				if e.Name != name || e.Hub != "chat" || e.UserID != "alice" || e.ConnectionID != "conn1" || e.ID != "1" ||
					e.Subprotocol != "json.webpubsub.azure.v1" {
					t.Errorf("event %+v", e)
				}
				if want := map[string]string{"disconnected": "bye", "joined": "group1", "left": "group1"}[name]; detail != want {
					t.Errorf("detail %q, want %q", detail, want)
				}
				var n int
				if found, err := e.State().Get("n", &n); !found || err != nil || n != 1 {
					t.Errorf("state: %v %v %d", found, err, n)
				}
				return nil
			})
			res := handlertest.Do(h, request(o))
			wantStatus(t, res, 204)
			if called != 1 || res.Header.Get("ce-connectionState") != "" {
				t.Errorf("called %d times, header %v", called, res.Header)
			}
		})
	}
}

// The response to an error is 500, so that the service retries; after a rejection
// with 4xx it does not.
func TestNotificationErrors(t *testing.T) {
	for name, request := range notifications {
		for _, tt := range []struct {
			err  error
			want int
		}{
			{errors.New("no database"), 500},
			{handler.Reject(400, "never"), 400},
		} {
			h, log := newHandler(t, nil)
			onNotification(h, func(*handler.Event, string) error { return tt.err })
			wantStatus(t, handlertest.Do(h, request(nil)), tt.want)
			if !strings.Contains(log.String(), tt.err.Error()) {
				t.Errorf("%s: log %s", name, log)
			}
		}
		h, log := newHandler(t, nil)
		onNotification(h, func(*handler.Event, string) error { panic("boom") })
		wantStatus(t, handlertest.Do(h, request(nil)), 500)
		if !strings.Contains(log.String(), "boom") {
			t.Errorf("%s: log %s", name, log)
		}
	}
}

func TestNotificationBodies(t *testing.T) {
	for _, tt := range []struct {
		event, body string
		want        int
	}{
		{"connected", "{}", 204},
		{"connected", "", 204},
		{"disconnected", "", 204},
		{"disconnected", "{}", 204}, // .NET fails here, but nothing is lost without a reason
		{"disconnected", `{"reason":null}`, 204},
		{"disconnected", `{"reason":1}`, 400},
		{"disconnected", `{`, 400},
		{"joined", `{}`, 400},
		{"joined", ``, 400},
		{"left", `{"group":""}`, 400},
		{"left", `[]`, 400},
	} {
		h, _ := newHandler(t, nil)
		onNotification(h, func(*handler.Event, string) error { return nil })
		if res := handlertest.Do(h, withBody(notifications[tt.event](nil), tt.body)); res.Status != tt.want {
			t.Errorf("%s %q: status %d, want %d", tt.event, tt.body, res.Status, tt.want)
		}
	}
}

func TestSystemContentType(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json":                204,
		"application/json; charset=utf-8": 204,
		"Application/JSON ; x=y":          204,
		"":                                204,
		"text/plain":                      415,
		"application/jsonp":               415,
	} {
		h, _ := newHandler(t, nil)
		r := handlertest.Connect("chat", "conn1", nil)
		r.Header.Set("Content-Type", contentType)
		if contentType == "" {
			r.Header.Del("Content-Type")
		}
		if res := handlertest.Do(h, r); res.Status != want {
			t.Errorf("%q: status %d, want %d", contentType, res.Status, want)
		}
	}
}

// One handler for several hubs: a hub's own callback wins, what it lacks goes
// to the handler's, and names have no case.
func TestHubs(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnEvent("message", replyText("all message"))
	h.OnEvent("*", replyText("all other"))
	chat := h.Hub("Chat")
	chat.OnEvent("Join", replyText("chat join"))
	news := h.Hub("news")
	news.OnEvent("*", replyText("news other"))
	if h.Hub("CHAT") != chat {
		t.Error("hub names have a case")
	}

	for _, tt := range []struct{ hub, event, want string }{
		{"chat", "join", "chat join"},
		{"CHAT", "JOIN", "chat join"},
		{"chat", "message", "all message"},
		{"chat", "else", "all other"},
		{"news", "message", "news other"},
		{"third", "Message", "all message"},
		{"third", "join", "all other"},
	} {
		res := handlertest.Do(h, handlertest.UserEvent(tt.hub, "conn1", tt.event, webpubsub.Text("x"), nil))
		if got := string(res.Body); got != tt.want {
			t.Errorf("%s/%s: %q, want %q", tt.hub, tt.event, got, tt.want)
		}
	}

	var order []string
	note := func(s string) { order = append(order, s) }
	h.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		note("all")
		return nil, nil
	})
	chat.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		note("chat")
		return nil, nil
	})
	h.OnConnected(func(context.Context, *handler.ConnectedEvent) error { note("all"); return nil })
	chat.OnConnected(func(context.Context, *handler.ConnectedEvent) error { note("chat"); return nil })
	chat.OnDisconnected(func(context.Context, *handler.DisconnectedEvent) error { note("chat"); return nil })
	chat.OnGroupJoined(func(context.Context, *handler.GroupEvent) error { note("chat"); return nil })
	chat.OnGroupLeft(func(context.Context, *handler.GroupEvent) error { note("chat"); return nil })
	for _, r := range []*http.Request{
		handlertest.Connect("chat", "c", nil), handlertest.Connect("news", "c", nil),
		handlertest.Connected("chat", "c", nil), handlertest.Connected("news", "c", nil),
		handlertest.Disconnected("chat", "c", "", nil), handlertest.Disconnected("news", "c", "", nil),
		handlertest.GroupJoined("chat", "c", "g", nil), handlertest.GroupLeft("chat", "c", "g", nil),
	} {
		wantStatus(t, handlertest.Do(h, r), 204)
	}
	if got := strings.Join(order, " "); got != "chat all chat all chat chat chat" {
		t.Errorf("called %s", got)
	}
}

// Registering wrongly is a mistake in the program and shows at its start.
func TestRegistrationPanics(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Hubs = []string{"chat"} })
	connect := func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return nil, nil }
	connected := func(context.Context, *handler.ConnectedEvent) error { return nil }
	h.OnConnect(connect)
	h.OnConnected(connected)
	h.OnEvent("message", replyText(""))
	h.Hub("CHAT").OnConnect(connect) // not a duplicate: another hub
	for name, f := range map[string]func(){
		"connect twice":     func() { h.OnConnect(connect) },
		"connected twice":   func() { h.OnConnected(connected) },
		"event twice":       func() { h.OnEvent("MESSAGE", replyText("")) },
		"nil":               func() { h.OnDisconnected(nil) },
		"nil event":         func() { h.OnEvent("e", nil) },
		"no name":           func() { h.OnEvent("", replyText("")) },
		"invalid hub":       func() { h.Hub("1 2") },
		"hub not served":    func() { h.Hub("news") },
		"nil group joined":  func() { h.OnGroupJoined(nil) },
		"nil group left":    func() { h.OnGroupLeft(nil) },
		"hub connect twice": func() { h.Hub("chat").OnConnect(connect) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "handler: ") {
					t.Errorf("panic %q", v)
				}
			}()
			f()
		})
	}
}

// The path is the user's business, and middleware sees a plain http.Handler.
func TestMounting(t *testing.T) {
	h, _ := newHandler(t, nil)
	h.OnEvent("message", replyText("ok"))
	mux := http.NewServeMux()
	mux.Handle("/a/b/{event}", http.StripPrefix("/a", h))
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), &handlertest.Options{URL: "/a/b/message?code=key"})
	wantStatus(t, handlertest.Do(mux, r), 200)
}
