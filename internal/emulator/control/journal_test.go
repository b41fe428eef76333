package control_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/service"
)

// entry returns the newest entry that has all parts in its text, whole.
func (r *rig) entry(parts ...string) object {
	r.t.Helper()
	for _, e := range r.must("GET", "/journal?order=desc&limit=1000", "").values() {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(e.text("text"), p)
		}
		if found {
			return r.must("GET", "/journal/"+e.text("id"), "")
		}
	}
	r.t.Fatalf("no entry has %q", parts)
	return nil
}

// idle waits until the emulator is, with the API itself.
func (r *rig) idle() {
	r.t.Helper()
	r.must("POST", "/idle", "")
}

// An event shows the frame that raised it and the request and the response of the
// event handler, and has the cause of what followed from it.
func TestEventIsShownWhole(t *testing.T) {
	h := startHandler(t, func(event string) (int, string) { return 200, "reply to " + event })
	r := start(t, emulator.Options{Hubs: h.settings()})
	c := r.dial(`{"hub":"chat","userId":"alice"}`, jsonProtocol)
	c.send(`{"type":"event","event":"ask","dataType":"text","data":"what?","ackId":1}`)
	c.read()
	c.read()
	r.idle()
	e := r.entry("event alice", "ask")
	for path, want := range map[string]string{
		"kind": "event", "causeKind": "frame", "detail": "kept", "status": "200",
		"content.frame.type": "event", "content.frame.protocol": "json", "content.frame.raw.truncated": "false",
		"content.upstream.method": "POST", "content.upstream.status": "200",
		"content.upstream.requestBody.data": "what?", "content.upstream.requestBody.encoding": "utf8", "content.upstream.requestBody.bytes": "5",
		"content.upstream.responseBody.data": "reply to ask", "content.upstream.responseBody.contentType": "text/plain",
		"content.upstream.url": h.URL + "/events?code=[removed]",
	} {
		if got := e.text(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if raw := e.get("content.frame.raw.data"); raw != `{"type":"event","event":"ask","dataType":"text","data":"what?","ackId":1}` {
		t.Errorf("the frame is %v", raw)
	}
	if got := fmt.Sprint(e.get("content.upstream.requestHeaders.ce-eventName")); got != "[ask]" {
		t.Errorf("ce-eventName is %s", got)
	}

	// The connection's beginning is one cause: the handshake, its events and what the
	// handler said.
	connected := r.entry("connected alice")
	followed := r.must("GET", "/journal?cause="+connected.text("cause"), "").values()
	var kinds []string
	for _, f := range followed {
		kinds = append(kinds, f.text("kind")+" "+f.text("name"))
	}
	if got := strings.Join(kinds, ", "); got != "event connect, connected "+jsonProtocol+", event connected" {
		t.Errorf("the handshake led to %s", got)
	}
	if connected.text("content.request.status") != "101" || connected.text("content.request.method") != "GET" || !strings.Contains(connected.text("content.request.url"), "access_token=[removed]") {
		t.Errorf("the handshake is %v", connected.get("content.request"))
	}
}

// Nothing that the API shows proves to anybody who somebody is.
func TestJournalHasNoSecrets(t *testing.T) {
	h := startHandler(t, func(string) (int, string) { return 200, `{}` })
	settings := h.settings()["chat"]
	settings.EventHandlers[0].Audience = "api://app"
	settings.AllowAnonymous = true
	const control = "control-token-of-this-test"
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": settings}, ControlToken: control})
	u := r.clientURL(`{"hub":"chat","userId":"alice"}`)
	_, access, _ := strings.Cut(u, "access_token=")
	d := r.dialer()
	d.Subprotocols = []string{reliableProtocol}
	ws, _, err := d.Dial(u+"&extra=1", http.Header{"Cookie": {"id=secret-cookie"}, "X-Api-Key": {"secret-api-key"}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_, hello, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	reconnection := decode(t, hello).text("reconnectionToken")
	if reconnection == "null" {
		t.Fatal("there is no reconnection token")
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"event","event":"e","data":1}`)); err != nil {
		t.Fatal(err)
	}
	again, _, err := d.Dial(r.srv.ClientURL("chat")+"?awps_connection_id=x&awps_reconnection_token="+reconnection, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	// A token of the REST API, and the one that it makes.
	made, err := r.service().GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{UserID: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	target := r.srv.URL() + "/api/hubs/chat/:generateToken?api-version=2024-01-01"
	rest := r.must("POST", "/tokens/rest", fmt.Sprintf(`{"url":%q}`, target)).text("token")
	req, _ := http.NewRequest("POST", target, nil)
	req.Header.Set("Authorization", "Bearer "+rest)
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var generated struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&generated); err != nil || generated.Token == "" {
		t.Fatal(err)
	}
	res.Body.Close()
	r.mqtt(&mqtt.Connect{Version: mqtt.V5, ClientID: "m1", Password: []byte("secret-password"), Username: new("user")}, "")
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	r.idle()
	_, all := r.do("GET", "/journal/export", "")
	if n := strings.Count(string(all), "\n"); n < 8 {
		t.Fatalf("there are %d entries: %s", n, all)
	}
	for name, secret := range map[string]string{
		"access token": access, "reconnection token": reconnection, "token of the REST API": rest, "generated token": generated.Token,
		"token of the service client": made.Token, "control token": control, "access key": emulator.DefaultAccessKey,
		"cookie": "secret-cookie", "key header": "secret-api-key", "function key": "secret-key", "MQTT password": "secret-password",
		"MQTT password in base64": "c2VjcmV0LXBhc3N3b3Jk", "signature": "sha256=",
	} {
		if i := strings.Index(string(all), secret); i >= 0 {
			t.Errorf("the journal has the %s: …%s…", name, all[max(0, i-300):min(len(all), i+40)])
		}
	}
	for request := range h.drain() {
		if bearer := request.Header.Get("Authorization"); bearer == "" || strings.Contains(string(all), strings.TrimPrefix(bearer, "Bearer ")) {
			t.Errorf("the journal has the token of the managed identity: %q", bearer)
		}
	}
}

// drain returns the requests so far.
func (h *handler) drain() func(func(*http.Request) bool) {
	return func(yield func(*http.Request) bool) {
		for len(h.requests) > 0 {
			if !yield(<-h.requests) {
				return
			}
		}
	}
}

// A REST call shows request and response, and what it sent has its cause. Of a
// large payload the beginning is kept.
func TestRESTCallIsShownWhole(t *testing.T) {
	r := start(t, emulator.Options{})
	r.dial(`{"hub":"chat","groups":["g"]}`, reliableProtocol)
	large := strings.Repeat("é", 40<<10)
	if err := r.service().SendToGroup(t.Context(), "g", webpubsub.Text(large), nil); err != nil {
		t.Fatal(err)
	}
	call := r.entry("rest POST /api/hubs/chat/groups/g/:send")
	sent := r.entry("sent g")
	if call.text("cause") != sent.text("cause") || call.text("causeKind") != "rest" {
		t.Errorf("the call has cause %s and the message %s", call.text("cause"), sent.text("cause"))
	}
	for path, want := range map[string]string{
		"content.request.method": "POST", "content.request.status": "202", "content.request.requestBody.bytes": fmt.Sprint(len(large)),
		"content.request.requestBody.truncated": "true", "content.request.requestBody.encoding": "utf8",
	} {
		if got := call.text(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if got := fmt.Sprint(call.get("content.request.requestHeaders.Authorization")); got != "[[removed]]" {
		t.Errorf("Authorization is %s", got)
	}
	if data := call.text("content.request.requestBody.data"); len(data) != 64<<10 {
		t.Errorf("%d bytes are kept", len(data))
	}
	if sent.text("content.message.truncated") != "true" || sent.get("content.delivered") != nil {
		t.Errorf("the message is %v", sent.get("content.delivered"))
	}
	if _, err := r.service().ConnectionExists(t.Context(), "nobody", nil); err != nil {
		t.Fatal(err)
	}
	_ = r.service().CloseConnection(t.Context(), "nobody", nil)
	if e := r.entry("HEAD", "/connections/nobody"); e.text("content.request.status") != "404" {
		t.Errorf("got %v", e)
	}
}

func TestJournalFilters(t *testing.T) {
	r := start(t, emulator.Options{})
	c := r.dial(`{"hub":"chat","userId":"alice","roles":["webpubsub.joinLeaveGroup"]}`, jsonProtocol)
	c.send(`{"type":"joinGroup","group":"a b","ackId":1}`)
	c.read()
	c.send(`{"type":"sendToGroup","group":"x","ackId":2,"data":1}`)
	c.read()
	r.dial(`{"hub":"game","userId":"bob"}`, "")
	for query, want := range map[string]string{
		"kind=joined":             "joined",
		"kind=joined&kind=sent":   "joined",
		"warning=true":            "rejected",
		"hub=GAME":                "connected",
		"userId=bob":              "connected",
		"connectionId=" + c.id:    "connected joined rejected",
		"name=a%20b":              "joined",
		"search=JOINED":           "joined",
		"after=2":                 "rejected connected",
		"after=2&order=desc":      "connected rejected",
		"limit=1":                 "connected",
		"order=desc&limit=1":      "connected",
		"cause=999":               "",
		"kind=disconnected":       "",
		"hub=chat&warning=false":  "connected joined rejected",
		"after=99999999999999999": "",
	} {
		var kinds []string
		page := r.must("GET", "/journal?"+query, "")
		for _, e := range page.values() {
			kinds = append(kinds, e.text("kind"))
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		if more := page.get("nextLink") != nil; more != strings.Contains(query, "limit=1") {
			t.Errorf("%s: nextLink is %v", query, page.get("nextLink"))
		}
	}
	for _, query := range []string{"kind=x", "after=-1", "cause=x", "warning=yes", "order=up"} {
		r.fails(400, "GET", "/journal?"+query, "")
	}
	r.fails(400, "GET", "/journal/x", "")
	r.fails(404, "GET", "/journal/999", "")
	r.fails(404, "GET", "/journal/0", "")
}

// What was removed to make room is said.
func TestDropped(t *testing.T) {
	r := start(t, emulator.Options{JournalSize: 3, JournalDetailBytes: 100 << 10})
	for i := range 5 {
		r.must("POST", "/hubs/chat/groups/g"+fmt.Sprint(i)+"/send", `{"data":"`+strings.Repeat("x", 60<<10)+`"}`)
	}
	page := r.must("GET", "/journal", "")
	if page.text("journal.dropped") != "7" || page.text("journal.oldest") != "8" || page.text("journal.entries") != "3" {
		t.Errorf("got %v", page["journal"])
	}
	var states []string
	for _, e := range page.values() {
		states = append(states, e.text("detail"))
	}
	if got := strings.Join(states, " "); got != "none kept none" && got != "dropped kept none" {
		t.Errorf("details are %s", got)
	}
	r.fails(404, "GET", "/journal/1", "")
}

func TestReplay(t *testing.T) {
	status := 200
	h := startHandler(t, func(string) (int, string) { return status, "reply" })
	r := start(t, emulator.Options{Hubs: h.settings()})
	c := r.dial(`{"hub":"chat","userId":"alice"}`, jsonProtocol)
	c.send(`{"type":"event","event":"ask","dataType":"json","data":{"n":1},"ackId":1}`)
	c.read()
	c.read()
	r.idle()
	first := r.entry("event alice", "ask")
	got := r.must("POST", "/journal/"+first.text("id")+"/replay", "")
	if got.text("status") != "200" || got.get("error") != nil {
		t.Errorf("got %v", got)
	}
	again := r.must("GET", "/journal/"+got.text("entry"), "")
	if again.text("repeats") != first.text("id") || again.text("causeKind") != "control" || again.text("kind") != "event" || again.text("userId") != "alice" {
		t.Errorf("the entry is %v", again)
	}
	var ids, bodies []string
	for request := range h.drain() {
		body := <-h.bodies
		if request.Header.Get("ce-eventName") == "ask" {
			ids, bodies = append(ids, request.Header.Get("ce-id")), append(bodies, body)
			if request.Header.Get("ce-signature") == "" || request.Header.Get("ce-userId") != "alice" {
				t.Errorf("the request has %v", request.Header)
			}
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] || bodies[0] != bodies[1] {
		t.Errorf("the handler was called with the ids %v and %v", ids, bodies)
	}
	// A replay of the replay is another event again, and a client learns of neither.
	status = 403
	got = r.must("POST", "/journal/"+got.text("entry")+"/replay", "")
	if got.text("status") != "403" || !strings.Contains(got.text("error"), "403") {
		t.Errorf("got %v", got)
	}
	c.send(`{"type":"ping"}`)
	if pong := c.read(); !strings.Contains(pong, "pong") {
		t.Errorf("the client received %s", pong)
	}
	r.fails(409, "POST", "/journal/"+r.entry("connected alice").text("id")+"/replay", "")
	r.fails(404, "POST", "/journal/12345/replay", "")
	r.must("PUT", "/hubs/chat/settings", `{}`)
	if got := r.fails(409, "POST", "/journal/"+first.text("id")+"/replay", ""); !strings.Contains(got, "No event handler") {
		t.Error(got)
	}
}

// What one emulator exports another one imports.
func TestExportAndImport(t *testing.T) {
	h := startHandler(t, func(string) (int, string) { return 200, "reply" })
	r := start(t, emulator.Options{Hubs: h.settings()})
	c := r.dial(`{"hub":"chat","userId":"alice","groups":["g"]}`, jsonProtocol)
	c.send(`{"type":"event","event":"ask","dataType":"text","data":"what?"}`)
	c.read()
	r.must("POST", "/hubs/chat/groups/g/send", `{"data":"AP8=","dataType":"binary"}`)
	c.read()
	r.idle()
	r.must("POST", "/journal/"+r.entry("event alice", "ask").text("id")+"/replay", "")
	_, exported := r.do("GET", "/journal/export", "")
	other := start(t, emulator.Options{})
	other.must("POST", "/hubs/x/send", `{"data":"before"}`)
	got := other.must("POST", "/journal/import", string(exported))
	n := strings.Count(string(exported), "\n")
	if got.text("entries") != fmt.Sprint(n) || got.text("first") != "3" || got.text("last") != fmt.Sprint(n+2) {
		t.Errorf("imported %v of %d", got, n)
	}
	_, again := other.do("GET", "/journal/export?after=2", "")
	strip := func(line []byte) string {
		o := decode(t, line)
		if o["importedFrom"] != nil {
			o["id"] = o["importedFrom"]
		}
		delete(o, "importedFrom")
		delete(o, "cause")
		delete(o, "repeats")
		b, _ := json.Marshal(o)
		return string(b)
	}
	a, b := strings.Split(strings.TrimSpace(string(exported)), "\n"), strings.Split(strings.TrimSpace(string(again)), "\n")
	for i := range a {
		if x, y := strip([]byte(a[i])), strip([]byte(b[i])); x != y {
			t.Errorf("entry %d:\n%s\nbecame\n%s", i, x, y)
		}
	}
	// Entries of one cause still have one, and the replay names the same event.
	ask, replayed := other.entry("event alice", "ask"), object(nil)
	for _, e := range other.must("GET", "/journal?limit=1000", "").values() {
		if e.get("repeats") != nil {
			replayed = e
		}
	}
	if replayed == nil || ask.text("id") != replayed.text("id") {
		t.Fatalf("the replay is %v", replayed)
	}
	if original := other.must("GET", "/journal/"+replayed.text("repeats"), ""); original.text("name") != "ask" || original.get("repeats") != nil {
		t.Errorf("the replay repeats %v", original)
	}
	if got := other.fails(409, "POST", "/journal/"+replayed.text("repeats")+"/replay", ""); !strings.Contains(got, "imported") {
		t.Error(got)
	}

	before := other.must("GET", "/info", "").text("journal.newest")
	good, _, _ := strings.Cut(string(exported), "\n")
	for body, want := range map[string]string{
		good + "\n{":              "Line 2",
		"[]":                      "Line 1",
		`{"id":1,"kind":"event"}`: "no time",
		`{"id":1,"kind":"x","time":"2020-01-01T00:00:00Z"}`:                                                                      "kind",
		`{"kind":"event","time":"2020-01-01T00:00:00Z"}`:                                                                         "no id",
		`{"id":1,"kind":"event","time":"2020-01-01T00:00:00Z","causeKind":"x"}`:                                                  "causeKind",
		`{"id":1,"kind":"event","time":"2020-01-01T00:00:00Z","content":{"message":{"encoding":"base64","data":"!","bytes":1}}}`: "base64",
	} {
		if got := other.fails(400, "POST", "/journal/import", body); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
	other.fails(413, "POST", "/journal/import", strings.Repeat("x", 9<<20))
	for _, e := range other.must("GET", "/journal?after="+before, "").values() {
		if e.text("kind") != "control" {
			t.Errorf("a rejected import added %v", e)
		}
	}
	if got := other.must("POST", "/journal/import", ""); got.text("entries") != "0" {
		t.Errorf("imported %v", got)
	}
}
