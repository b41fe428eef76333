package control_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// rig is an emulator with the control API on a network in memory.
type rig struct {
	t       testing.TB
	srv     *emulator.Server
	network *emulator.MemoryListener
	http    *http.Client
	token   string
	spec    *spec // checks the responses
}

func start(t testing.TB, o emulator.Options) *rig {
	t.Helper()
	r := &rig{t: t, network: emulator.NewMemoryListener(), spec: newSpec(t)}
	o.Listener, o.Control = r.network, true
	r.srv = emulator.StartT(t, o)
	r.token = r.srv.ControlToken()
	transport := &http.Transport{DialContext: r.network.DialContext}
	r.http = &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

// do makes a call, whose response must be as it is described, and returns status
// and body.
func (r *rig) do(method, path, body string) (int, []byte) {
	r.t.Helper()
	return r.doWith(method, path, body, nil)
}

func (r *rig) doWith(method, path, body string, change func(*http.Request)) (int, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.srv.ControlURL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if change != nil {
		change(req)
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.spec.check(r.t, req, res, out)
	return res.StatusCode, out
}

// must is do that succeeds, and decodes the response into an object.
func (r *rig) must(method, path, body string) object {
	r.t.Helper()
	status, out := r.do(method, path, body)
	if status/100 != 2 {
		r.t.Fatalf("%s %s: %d %s", method, path, status, out)
	}
	if len(out) == 0 {
		return nil
	}
	return decode(r.t, out)
}

// fails is do that fails with the status, and returns the message.
func (r *rig) fails(status int, method, path, body string) string {
	r.t.Helper()
	got, out := r.do(method, path, body)
	if got != status {
		r.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, got, out, status)
		return ""
	}
	return decode(r.t, out).get("error.message").(string)
}

// object is decoded JSON.
type object map[string]any

func decode(t testing.TB, b []byte) object {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return o
}

// get returns the value at a path of names, nil if there is none.
func (o object) get(path string) any {
	var v any = map[string]any(o)
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (o object) text(path string) string {
	b, _ := json.Marshal(o.get(path))
	return strings.Trim(string(b), `"`)
}

// values returns the values of a page.
func (o object) values() []object {
	var out []object
	for _, v := range o["value"].([]any) {
		out = append(out, v.(map[string]any))
	}
	return out
}

// client is a WebSocket client.
type client struct {
	t  testing.TB
	ws *websocket.Conn
	id string
}

// token makes a client token with the API itself.
func (r *rig) clientURL(request string) string {
	r.t.Helper()
	return r.must("POST", "/tokens", request).text("url")
}

func (r *rig) dial(request, subprotocol string) *client {
	r.t.Helper()
	d := websocket.Dialer{NetDialContext: r.network.DialContext}
	if subprotocol != "" {
		d.Subprotocols = []string{subprotocol}
	}
	ws, _, err := d.Dial(r.clientURL(request), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &client{t: r.t, ws: ws}
	r.t.Cleanup(func() { _ = ws.Close() })
	if strings.HasPrefix(subprotocol, "json") {
		c.id = decode(r.t, []byte(c.read())).text("connectionId")
	}
	return c
}

// patience is how long a test waits for something that must come.
const patience = 10 * time.Second

func (c *client) read() string {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	_, b, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *client) send(frame string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// closed reads to the end and returns the close code.
func (c *client) closed() int {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			if e, ok := err.(*websocket.CloseError); ok {
				return e.Code
			}
			return 0
		}
	}
}

// handler is an event handler that records what it is called with.
type handler struct {
	*httptest.Server
	requests chan *http.Request
	bodies   chan string
}

func startHandler(t testing.TB, reply func(event string) (int, string)) *handler {
	h := &handler{requests: make(chan *http.Request, 100), bodies: make(chan string, 100)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		body, _ := io.ReadAll(r.Body)
		h.requests <- r
		h.bodies <- string(body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Set-Cookie", "session=secret-cookie")
		status, text := 204, ""
		if event := r.Header.Get("ce-eventName"); event != "connect" || rejects(reply(event)) {
			status, text = reply(event)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(h.Close)
	return h
}

// rejects reports whether a reply is one to connect: others are not JSON.
func rejects(status int, text string) bool { return status != 200 || text == "{}" }

func (h *handler) settings() map[string]emulator.HubSettings {
	return map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
		URL: h.URL + "/events?code=secret-key", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}}
}

func (r *rig) service() *service.Client {
	r.t.Helper()
	o := &service.ClientOptions{}
	o.Transport = r.http
	c, err := service.NewClientFromConnectionString(r.srv.ConnectionString(), "chat", o)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func escape(s string) string { return url.PathEscape(s) }

func (r *rig) dialer() *websocket.Dialer {
	return &websocket.Dialer{NetDialContext: r.network.DialContext}
}
