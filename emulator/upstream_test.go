package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// recorded is an event handler that keeps whole requests, the preflights among
// them, and lets respond write the responses; nil is 204.
func recorded(t *testing.T, respond http.HandlerFunc) ([]emulator.EventHandler, chan *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		requests <- r
		w.Header().Set("WebHook-Allowed-Origin", "*")
		switch {
		case r.Method == http.MethodOptions:
		case respond == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			respond(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return []emulator.EventHandler{{URL: s.URL + "/{event}", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}}}, requests
}

// A pair of the query with a raw semicolon or a bad percent sign was missing in
// the connect event, without a word. Names have no case: the handler gets one
// list for each.
func TestConnectEventHasTheWholeQuery(t *testing.T) {
	handlers, requests := recorded(t, nil)
	srv := startWith(t, handlers)
	query := "a;b=c;d&x=100%&y=%zz&q=1&Q=2&empty&access_token=" + accessToken(t, srv, dialOptions{})
	ws, _, err := websocket.DefaultDialer.Dial(srv.ClientURL(hubName)+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	<-requests // the preflight
	var body struct{ Query map[string][]string }
	if err := json.NewDecoder((<-requests).Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"a;b": {"c;d"}, "x": {"100%"}, "y": {"%zz"}, "q": {"1", "2"}, "empty": {""}}
	if !reflect.DeepEqual(body.Query, want) {
		t.Errorf("the query is %q, want %q", body.Query, want)
	}
}

// What each request to a handler says of the client's: the host by which it
// reached the service, and its trace. The service names no User-Agent.
func TestEventsContinueTheClientsRequest(t *testing.T) {
	handlers, requests := recorded(t, nil)
	srv := startWith(t, handlers)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, host := range []string{"127.0.0.1", "localhost"} {
		target := strings.Replace(srv.ClientURL(hubName), "127.0.0.1", host, 1)
		c, _, err := websocket.DefaultDialer.Dial(target+"?access_token="+accessToken(t, srv, dialOptions{}), http.Header{"Traceparent": {trace}})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.WriteMessage(websocket.TextMessage, []byte("hi"))
		for _, path := range []string{"/validate", "/connect", "/connected", "/message"} {
			r := <-requests
			if r.URL.Path != path || r.Header.Get("WebHook-Request-Origin") != host {
				t.Errorf("%s has the origin %q, want %s with %s", r.URL.Path, r.Header.Get("WebHook-Request-Origin"), path, host)
			}
			if r.Header["User-Agent"] != nil {
				t.Errorf("%s has a User-Agent %q", path, r.Header["User-Agent"])
			}
			if got := r.Header.Get("traceparent"); path != "/validate" && (!strings.HasPrefix(got, trace[:36]) || got == trace) {
				t.Errorf("%s has the traceparent %q", path, got)
			}
		}
		_ = c.Close()
		if r := <-requests; r.URL.Path != "/disconnected" || r.Header.Get("WebHook-Request-Origin") != host {
			t.Errorf("got %s with the origin %s", r.URL.Path, r.Header.Get("WebHook-Request-Origin"))
		}
	}
}

// A client that the handler rejects is told so, as by the service, and the log
// says what the handler responded and where a redirect led.
func TestRejectedConnect(t *testing.T) {
	handlers, _ := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/elsewhere?code=secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	srv := startWith(t, handlers)
	_, resp, err := tryDial(t, srv, dialOptions{})
	if err == nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("got %v, %v", resp, err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "The connect event handler rejected the connection." {
		t.Errorf("the client gets %q", body)
	}
	if j := journalText(srv); !strings.Contains(j, "/elsewhere: redirects are not followed") || strings.Contains(j, "secret") {
		t.Errorf("the journal does not say what to do:\n%s", j)
	}
}

// The reason that a handler gives is in the journal and not in the response to the
// client, as far as a line of a log can hold it.
func TestReasonOfRejection(t *testing.T) {
	for _, tt := range []struct{ contentType, body, want string }{
		{"text/plain; charset=utf-8", "members only\n", `responded with 403 ("members only") to azure.webpubsub.sys.connect: the handler rejected`},
		{"", "\x1b[31mred\u202e", `("\x1b[31mred\u202e")`},
		{"application/json", strings.Repeat("é", 1<<20), `("` + strings.Repeat("é", 100) + `…")`},
		{"Text/HTML; charset=utf-8", "<p>no", "responded with 403 to"},
		{"text/plain", "\xff\xfe", "responded with 403 to"},
		{"text/plain", "", "responded with 403 to"},
	} {
		handlers, _ := recorded(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{tt.contentType}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, tt.body)
		})
		srv := startWith(t, handlers)
		_, resp, err := tryDial(t, srv, dialOptions{})
		if err == nil || resp.StatusCode != http.StatusForbidden {
			t.Fatalf("got %v, %v", resp, err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "The connect event handler rejected the connection." {
			t.Errorf("%q: the client gets %q", tt.body, body)
		}
		if j := journalText(srv); !strings.Contains(j, tt.want) {
			t.Errorf("%.20q: no %s in the journal:\n%.1000s", tt.body, tt.want, j)
		}
	}
}

// Only connect and user events set the connection state: the service does not read
// the response to a notification.
func TestStateOfNotificationsIsIgnored(t *testing.T) {
	handlers, requests := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ce-connectionState", strings.TrimPrefix(r.URL.Path, "/"))
		http.SetCookie(w, &http.Cookie{Name: "at", Value: strings.TrimPrefix(r.URL.Path, "/"), Path: "/"})
	})
	srv := startWith(t, handlers)
	c := dial(t, srv, dialOptions{})
	c.send("1")
	c.send("2")
	<-requests
	for _, want := range []struct{ path, state, cookie string }{
		{"/connect", "", ""},
		{"/connected", "connect", "at=connect"},
		{"/message", "connect", "at=connected"}, // cookies are of the transport: every response may set them
		{"/message", "message", "at=message"},
	} {
		r := <-requests
		if r.URL.Path != want.path || r.Header.Get("ce-connectionState") != want.state || r.Header.Get("Cookie") != want.cookie {
			t.Errorf("%s has the state %q and the cookies %q, want %+v", r.URL.Path, r.Header.Get("ce-connectionState"), r.Header.Get("Cookie"), want)
		}
	}
}

// A reply in application/x-protobuf goes to every kind of client; one that is no
// google.protobuf.Any is a failure of the handler, of which the client sees no
// details.
func TestProtobufReplies(t *testing.T) {
	const encodedAny = "\n\x01a"
	handlers, _ := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
		if strings.Contains(string(body), "bad") {
			_, _ = io.WriteString(w, "x")
			return
		}
		_, _ = io.WriteString(w, encodedAny)
	})
	handlers[0].SystemEvents = nil
	srv := startWith(t, handlers)
	c, _ := dialJSON(t, srv, dialOptions{})
	c.send(`{"type":"event","event":"e","ackId":1,"dataType":"text","data":"good"}`)
	c.expect(`{"type":"message","from":"server","dataType":"protobuf","data":"CgFh"}`, acked(1))
	c.send(`{"type":"event","event":"e","ackId":2,"dataType":"text","data":"bad"}`)
	c.expect(`{"type":"ack","ackId":2,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}`)
	if j := journalText(srv); !strings.Contains(j, "google.protobuf.Any") {
		t.Error("the journal does not say why")
	}
	simple := dial(t, srv, dialOptions{query: url.Values{}})
	simple.send("good")
	if kind, got, err := simple.next(); err != nil || kind != websocket.BinaryMessage || got != encodedAny {
		t.Errorf("a simple client gets %q (%d), %v", got, kind, err)
	}
}
