package control_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

const (
	jsonProtocol     = "json.webpubsub.azure.v1"
	reliableProtocol = "json.reliable.webpubsub.azure.v1"
)

var emulatorOptions = emulator.Options{}

func TestInfo(t *testing.T) {
	r := start(t, emulator.Options{ControlLinks: []emulator.Link{{Title: "Chat", URL: "http://localhost:7071/"}}})
	r.dial(`{"hub":"chat","userId":"alice","groups":["a","b"]}`, jsonProtocol)
	i := r.must("GET", "/info", "")
	for path, want := range map[string]string{
		"url": r.srv.URL(), "controlUrl": r.srv.ControlURL(), "connectionString": r.srv.ConnectionString(), "access": "full",
		"counts.hubs": "1", "counts.connections": "1", "counts.groups": "2", "counts.users": "1", "counts.faults": "0",
		"journal.maxEntries": "1000", "journal.oldest": "1", "authorityHost": r.srv.AuthorityHost(),
	} {
		if got := i.text(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if links := fmt.Sprint(i["links"]); links != "[map[title:Chat url:http://localhost:7071/]]" {
		t.Errorf("links are %s", links)
	}
}

func TestHubs(t *testing.T) {
	h := startHandler(t, func(string) (int, string) { return 200, "" })
	r := start(t, emulator.Options{Hubs: h.settings()})
	if hubs := r.must("GET", "/hubs", "").values(); len(hubs) != 1 || hubs[0].text("name") != "chat" || hubs[0].text("inUse") != "false" || hubs[0].text("configured") != "true" {
		t.Errorf("before the first use: %v", hubs)
	}
	r.fails(404, "GET", "/hubs/game", "")
	r.dial(`{"hub":"Game"}`, "")
	r.dial(`{"hub":"chat","userId":"u","groups":["g"]}`, "")
	if err := r.srv.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hubs := r.must("GET", "/hubs?search=AM", "").values(); len(hubs) != 1 || hubs[0].text("name") != "game" || hubs[0].text("configured") != "false" {
		t.Errorf("found %v", hubs)
	}
	chat := r.must("GET", "/hubs/CHAT", "")
	if chat.text("connections") != "1" || chat.text("groups") != "1" || chat.text("users") != "1" {
		t.Errorf("got %v", chat)
	}
	handlers := chat["eventHandlers"].([]any)
	first := object(handlers[0].(map[string]any))
	if first.text("state") != "ok" || first.text("last.status") != "200" {
		t.Errorf("the event handler is %v", first)
	}
	if _, err := r.service().ConnectionExists(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	if last := r.must("GET", "/hubs/chat", ""); last.text("lastCall.status") != "404" || last.get("lastCall.entry") == nil {
		t.Errorf("the last call is %v", last["lastCall"])
	}
	r.fails(400, "GET", "/hubs/1", "")
}

// A listener is shown with what became of its events, and never with a key.
func TestListenerStates(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer web.Close()
	hub := emulator.EventHub{Name: "e", ConnectionString: "Endpoint=sb://localhost:1;SharedAccessKeyName=a;SharedAccessKey=secret;UseDevelopmentEmulator=true"}
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventListeners: []emulator.EventListener{
		{SystemEvents: []string{"connected"}, URL: web.URL + "/?code=secret"}, {UserEvents: "none", EventHub: hub},
	}}}})
	r.dial(`{"hub":"chat"}`, "")
	if err := r.srv.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, state := r.do("GET", "/hubs/chat", "")
	if want := `"eventListeners":[{"endpoint":"` + web.URL + `/","userEventPattern":"","systemEvents":["connected"],"sent":1,"dropped":0,"waiting":0},` +
		`{"endpoint":"event hub e of localhost:1","userEventPattern":"none"`; !strings.Contains(string(state), want) {
		t.Errorf("got %s\nwant %s", state, want)
	}
	_, settings := r.do("GET", "/hubs/chat/settings", "")
	if s := string(settings); strings.Contains(s, "SharedAccessKey=secret") || !strings.Contains(s, "SharedAccessKey=***") {
		t.Errorf("settings %s", s)
	}
}

// A handler that cannot be reached, and one that rejects, is shown as such.
func TestHandlerStates(t *testing.T) {
	for status, want := range map[int]string{403: "rejected", 200: "ok"} {
		h := startHandler(t, func(string) (int, string) { return status, "" })
		r := start(t, emulator.Options{Hubs: h.settings()})
		c := r.clientURL(`{"hub":"chat"}`)
		if ws, _, err := r.dialer().Dial(c, nil); err == nil {
			_ = ws.Close()
		}
		if got := r.must("GET", "/hubs/chat", "")["eventHandlers"].([]any)[0].(map[string]any)["state"]; got != want {
			t.Errorf("%d: the handler is %v, want %s", status, got, want)
		}
	}
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{URL: "tunnel:///events", UserEvents: "*"}}}}})
	if got := r.must("GET", "/hubs/chat", ""); got["eventHandlers"].([]any)[0].(map[string]any)["state"] != "unknown" || got.text("tunnels") != "0" {
		t.Errorf("got %v", got)
	}
}

func TestSettings(t *testing.T) {
	r := start(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {AllowAnonymous: true}}})
	if s := r.must("GET", "/hubs/chat/settings", ""); s.text("anonymousConnectPolicy") != "allow" || s.text("webSocketKeepAliveIntervalInSeconds") != "20" {
		t.Errorf("got %v", s)
	}
	// What is read can be written.
	const whole = `{"eventHandlers":[{"urlTemplate":"http://localhost:7071/api/{event}","userEventPattern":"*","systemEvents":["connect"],` +
		`"groupPresenceEvents":{"eventNames":["joined"],"groupFilters":["a.*"]},"auth":{"type":"ManagedIdentity","managedIdentity":{"resource":"api://x"}}}],` +
		`"eventListeners":[{"filter":{"type":"EventName","systemEvents":["connected"],"userEventPattern":"*"},"endpoint":{"type":"Http","url":"http://localhost:9000/"}},` +
		`{"filter":{"type":"EventName"},"endpoint":{"type":"EventHub","fullyQualifiedNamespace":"a.servicebus.windows.net","eventHubName":"e"}}],` +
		`"anonymousConnectPolicy":"deny","webSocketKeepAliveIntervalInSeconds":5,"applicationFirewall":{` +
		`"clientConnectionCountRules":[{"type":"ThrottleByUserIdRule","maxCount":5}],` +
		`"clientTrafficControlRules":[{"type":"TrafficThrottleByJwtCustomClaimRule","claimName":"tenant","maxInboundMessageBytes":1000,"aggregationWindowInSeconds":60}],` +
		`"maxClientConnectionLifetimeInSeconds":3600}}`
	if _, body := r.do("PUT", "/hubs/chat/settings", whole); strings.TrimSpace(string(body)) != whole {
		t.Errorf("got %s", body)
	}
	if _, body := r.do("GET", "/hubs/chat/settings", ""); strings.TrimSpace(string(body)) != whole {
		t.Errorf("got %s", body)
	}
	for body, want := range map[string]string{
		`{"webSocketKeepAliveIntervalInSeconds":500}`: "1 to 120",
		`{"nonsense":1}`: "no such setting",
		`{"applicationFirewall":{"clientConnectionCountRules":[{"type":"x"}]}}`: "is not one of ThrottleByUserIdRule",
		`{"eventHandlers":[{"urlTemplate":"ftp://x"}]}`:                         "urlTemplate",
		`{"anonymousConnectPolicy":"maybe"}`:                                    "neither allow nor deny",
		`{`:                                                                     "JSON",
		``:                                                                      "",
		`null`:                                                                  "object",
		`{"eventListeners":[{"endpoint":{"type":"File","path":"/tmp/x"}}]}`:                                                                                       "in Go only",
		`{"eventListeners":[{"endpoint":{"type":"EventHub","eventHubName":"e","connectionString":"Endpoint=sb://x;SharedAccessKeyName=a;SharedAccessKey=***"}}]}`: "give the whole connection string",
		`{"anonymousConnectPolicy":"allow"} {"x":"more"}`:                                                                                                         "",
	} {
		if got := r.fails(400, "PUT", "/hubs/chat/settings", body); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
	r.must("POST", "/reset", "")
	if s := r.must("GET", "/hubs/chat/settings", ""); s.text("anonymousConnectPolicy") != "allow" {
		t.Errorf("after the reset: %v", s)
	}
}

func TestConnections(t *testing.T) {
	r := start(t, emulator.Options{})
	c := r.dial(`{"hub":"chat","userId":"alice","groups":["g"],"roles":["webpubsub.joinLeaveGroup","webpubsub.sendToGroups.a*"]}`, reliableProtocol)
	r.dial(`{"hub":"chat","userId":"bob"}`, jsonProtocol)
	r.dial(`{"hub":"game"}`, "")

	list := func(query string) string {
		t.Helper()
		var users []string
		for _, v := range r.must("GET", "/connections?"+query, "").values() {
			users = append(users, v.text("hub")+"/"+v.text("userId")+"/"+v.text("protocol")+"/"+v.text("state"))
		}
		return strings.Join(users, " ")
	}
	alice, bob, simple := "chat/alice/jsonReliable/open", "chat/bob/json/open", "game/null/simple/open"
	for query, want := range map[string]string{
		"sort=userId&order=desc": bob + " " + alice + " " + simple,
		"hub=Chat&sort=userId":   alice + " " + bob,
		"sort=groups&order=desc": alice,
		"hub=nowhere":            "",
		"userId=bob":             bob,
		"group=g":                alice,
		"protocol=simple":        simple,
		"state=interrupted":      "",
		"search=ALI":             alice,
		"search=" + c.id[:10]:    alice,
		"sort=connectedAt":       alice + " " + bob + " " + simple,
	} {
		if got := list(query); got != want && !(strings.HasPrefix(query, "sort=groups") && strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"sort=x", "order=x", "protocol=x", "state=x", "limit=0", "limit=1001", "limit=x", "continue=*", "x=1", "hub=a&hub=b", "sort=", "%zz"} {
		r.fails(400, "GET", "/connections?"+query, "")
	}

	path := "/hubs/chat/connections/" + c.id
	r.must("POST", path+"/send", `{"data":"x"}`)
	r.must("POST", path+"/revoke", `{"permission":"joinLeaveGroup","group":"secret"}`)
	r.must("POST", path+"/grant", `{"permission":"sendToGroup","group":"z"}`)
	c.send(`{"type":"setGroupState","group":"g","state":{"k":"v"},"ackId":1}`)
	c.read()
	c.read()
	d := r.must("GET", path, "")
	if d.text("unacked") != "1" || d.text("keptBytes") == "0" || fmt.Sprint(d["roles"]) != "[webpubsub.joinLeaveGroup webpubsub.sendToGroup.z webpubsub.sendToGroups.a*]" ||
		fmt.Sprint(d["revoked"]) != "[map[group:secret permission:joinLeaveGroup]]" || !strings.Contains(fmt.Sprint(d["groupState"]), "map[k:v]") {
		t.Errorf("got %v", d)
	}
	if g := r.must("GET", "/hubs/chat/groups/g", ""); g.text("connections") != "1" || !strings.Contains(fmt.Sprint(g["state"]), "map[k:v]") {
		t.Errorf("got %v", g)
	}
	r.fails(404, "GET", "/hubs/chat/connections/nobody", "")
	r.fails(404, "GET", "/hubs/chat/groups/nothing", "")
	r.fails(404, "GET", "/hubs/chat/users/nobody", "")
	if u := r.must("GET", "/hubs/chat/users/alice", ""); u.text("connections") != "1" {
		t.Errorf("got %v", u)
	}
}

// Pages do not depend on what comes and goes between them.
func TestPages(t *testing.T) {
	r := start(t, emulator.Options{})
	for i := range 25 {
		r.dial(fmt.Sprintf(`{"hub":"chat","userId":"u%02d","groups":["g%02d","a/b & ü"]}`, i, i), "")
	}
	for _, tt := range []struct {
		path string
		want int
	}{
		{"/connections?sort=userId&hub=chat&", 25},
		{"/users?", 26}, // one was on the first page and has gone, one came behind it
		{"/groups?search=G&", 24},
	} {
		path := tt.path
		next, n := r.srv.ControlURL()+path+"limit=10", 0
		var names []string
		for next != "" {
			page := r.must("GET", strings.TrimPrefix(next, r.srv.ControlURL()), "")
			for _, v := range page.values() {
				names = append(names, v.text("userId")+v.text("name"))
			}
			if n++; n == 1 && path == "/users?" {
				r.must("POST", "/hubs/chat/users/u03/close", "")
				r.dial(`{"hub":"chat","userId":"u09a"}`, "")
			}
			next, _ = page["nextLink"].(string)
		}
		if n != 3 || len(names) != tt.want {
			t.Errorf("%s: %d pages with %v", path, n, names)
		}
	}
}

// Names are hostile: slashes, quotes, dots, percent signs and everything else that
// a path can break at.
func TestHostileNames(t *testing.T) {
	r := start(t, emulator.Options{})
	for _, name := range []string{"a/b", `"><script>alert(1)</script>`, "%2F", "ü 🎈", "a?b#c", "a;b=c", "...", "x\u202ey"} {
		c := r.dial(fmt.Sprintf(`{"hub":"chat","userId":%q,"groups":[%q]}`, name, name), jsonProtocol)
		for _, path := range []string{"/hubs/chat/groups/" + escape(name), "/hubs/chat/users/" + escape(name)} {
			if got := r.must("GET", path, ""); got.text("connections") != "1" {
				t.Errorf("%s: %v", path, got)
			}
			if got := r.must("POST", path+"/send", `{"data":"hi"}`); got.text("receivers") != "1" {
				t.Errorf("%s: %v", path, got)
			}
			if got := c.read(); !strings.Contains(got, "hi") {
				t.Error(got)
			}
		}
	}
}

func TestActions(t *testing.T) {
	r := start(t, emulator.Options{})
	a := r.dial(`{"hub":"chat","userId":"alice","groups":["g"]}`, jsonProtocol)
	b := r.dial(`{"hub":"chat","userId":"bob","groups":["g"]}`, reliableProtocol)
	for _, tt := range []struct{ path, body, receivers, frame string }{
		{"", `{"data":"to all"}`, "2", `"from":"server","dataType":"text","data":"to all"`},
		{"", `{"data":{"n":[1, 2]},"excluded":["` + b.id + `"]}`, "1", `"from":"server","dataType":"json","data":{"n":[1,2]}`},
		{"/groups/g", `{"data":"AQID","dataType":"binary","filter":"userId eq 'alice'"}`, "1", `"from":"group","fromUserId":null,"group":"g","dataType":"binary","data":"AQID"`},
		{"/users/alice", `{"data":"\"x\"","dataType":"json"}`, "1", `"dataType":"json","data":"\"x\""`},
		{"/connections/" + a.id, `{"data":null,"dataType":"json","ttlSeconds":300}`, "1", `"dataType":"json","data":null`},
		{"/groups/none", `{"data":"x"}`, "0", ""},
	} {
		if got := r.must("POST", "/hubs/chat"+tt.path+"/send", tt.body).text("receivers"); got != tt.receivers {
			t.Errorf("%s %s: %s receivers, want %s", tt.path, tt.body, got, tt.receivers)
		}
		if tt.frame != "" {
			if got := a.read(); !strings.Contains(got, tt.frame) {
				t.Errorf("%s %s: got %s", tt.path, tt.body, got)
			}
		}
	}
	for body, want := range map[string]string{
		`{}`: "data is missing", `{"data":1,"dataType":"text"}`: "string", `{"data":"!","dataType":"binary"}`: "base64",
		`{"data":"x","dataType":"protobuf"}`: "text, json or binary", `{"data":"x","ttlSeconds":301}`: "300", `{"data":"x","filter":"x"}`: "filter",
		`{"data":"x","x":1}`: "unknown field", `[]`: "", `{"data":"x"}1`: "after", ``: "empty", `{"data":"x"`: "too early", `{"data":"x","ttlSeconds":"1"}`: "ttlSeconds",
	} {
		if got := r.fails(400, "POST", "/hubs/chat/send", body); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
	r.fails(413, "POST", "/hubs/chat/send", `{"data":"`+strings.Repeat("x", 1<<20+1)+`"}`)
	r.fails(413, "POST", "/hubs/chat/send", `{"data":"`+strings.Repeat("x", 9<<20)+`"}`)
	r.fails(400, "POST", "/hubs/chat/groups/"+strings.Repeat("x", 1025)+"/send", `{"data":"x"}`)
	r.fails(400, "POST", "/hubs/chat/connections/"+a.id+"/send", `{"data":"x","filter":"userId eq 'alice'"}`)
	r.fails(404, "POST", "/hubs/chat/connections/x/send", `{"data":"x"}`)

	path := "/hubs/chat/connections/" + a.id
	count := func(path, body, want string) {
		t.Helper()
		if got := r.must("POST", path, body).text("count"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	count(path+"/join", `{"group":"x"}`, "1")
	count("/hubs/chat/users/bob/join", `{"group":"x"}`, "1")
	count("/hubs/chat/users/nobody/join", `{"group":"x"}`, "0")
	if got := r.must("GET", "/hubs/chat/groups/x", "").text("connections"); got != "2" {
		t.Errorf("the group has %s members", got)
	}
	count(path+"/leave", `{"group":"x"}`, "1")
	count("/hubs/chat/users/bob/leave", `{"group":"x"}`, "1")
	r.fails(400, "POST", path+"/join", `{"group":""}`)
	r.fails(400, "POST", path+"/grant", `{"permission":"x","group":"g"}`)
	r.fails(400, "POST", path+"/grant", `{"permission":"sendToGroup"}`)
	r.must("POST", path+"/grant", `{"permission":"sendToGroup","group":"g"}`)
	a.send(`{"type":"sendToGroup","group":"g","ackId":1,"data":"mine","noEcho":true}`)
	if got := a.read(); !strings.Contains(got, `"success":true`) {
		t.Errorf("got %s", got)
	}
	r.must("POST", path+"/revoke", `{"permission":"sendToGroup","group":"g"}`)
	a.send(`{"type":"sendToGroup","group":"g","ackId":2,"data":"mine"}`)
	if got := a.read(); !strings.Contains(got, "Forbidden") {
		t.Errorf("got %s", got)
	}

	count("/hubs/chat/users/bob/reset", "", "1")
	b.closed()
	waitFor(t, r, emulator.EntryInterrupted, b.id)
	if got := r.must("GET", "/connections?state=interrupted", "").values(); len(got) != 1 || got[0].text("id") != b.id {
		t.Errorf("interrupted are %v", got)
	}
	count("/hubs/chat/users/bob/reset", "", "0")
	count("/hubs/chat/groups/g/close", `{"reason":"enough"}`, "2")
	if got := a.read(); !strings.Contains(got, "enough") {
		t.Errorf("got %s", got)
	}
	if code := a.closed(); code != 1000 {
		t.Errorf("closed with %d", code)
	}
	c := r.dial(`{"hub":"chat"}`, jsonProtocol)
	count("/hubs/chat/connections/"+c.id+"/close", `{"code":4001,"reason":"mine"}`, "1")
	if code := c.closed(); code != 4001 {
		t.Errorf("closed with %d", code)
	}
	r.fails(404, "POST", "/hubs/chat/connections/"+c.id+"/close", "")
	c = r.dial(`{"hub":"chat"}`, jsonProtocol)
	r.fails(400, "POST", "/hubs/chat/close", `{"code":1006}`)
	count("/hubs/chat/groups/none/reset", "", "0")
	count("/hubs/chat/connections/"+c.id+"/reset", "", "1")
	if code := c.closed(); code != 0 && code != 1006 {
		t.Errorf("closed with %d", code)
	}
	waitFor(t, r, emulator.EntryDisconnected, c.id)
	c = r.dial(`{"hub":"chat"}`, jsonProtocol)
	count("/hubs/chat/reset", "", "1")
	waitFor(t, r, emulator.EntryDisconnected, c.id)
	c = r.dial(`{"hub":"chat","userId":"u"}`, jsonProtocol)
	count("/hubs/chat/users/u/close", "", "1")
	c.closed()
	count("/hubs/chat/close", "", "0")
	count("/hubs/unused/close", "", "0")
}

func waitFor(t *testing.T, r *rig, kind emulator.EntryKind, id string) {
	t.Helper()
	if _, err := r.srv.WaitFor(t.Context(), func(e emulator.Entry) bool { return e.Kind == kind && e.ConnectionID == id }); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	r := start(t, emulator.Options{})
	c := r.dial(`{"hub":"chat","userId":"u","roles":["webpubsub.joinLeaveGroup"]}`, jsonProtocol)
	f := r.must("POST", "/faults", `{"at":"receive","action":{"type":"close","code":4000,"reason":"x"},"hub":"Chat","userId":"u","frame":"joinGroup","skip":1,"times":1}`)
	if f.text("text") != "close with 4000 at receive of joinGroup" || f.text("hits") != "0" {
		t.Errorf("injected %v", f)
	}
	c.send(`{"type":"joinGroup","group":"g","ackId":1}`)
	c.read()
	c.send(`{"type":"joinGroup","group":"g","ackId":2}`)
	if code := c.closed(); code != 4000 {
		t.Errorf("closed with %d", code)
	}
	if got := r.must("GET", "/faults/"+f.text("id"), ""); got.text("hits") != "1" {
		t.Errorf("got %v", got)
	}
	for _, action := range []string{
		`"receive","action":{"type":"resetConnection"}`, `"send","action":{"type":"stall"}`, `"send","action":{"type":"delay","delayMs":0.5}`,
		`"handshake","action":{"type":"rejectHandshake","status":503}`, `"recovery","action":{"type":"failRecovery"}`,
	} {
		r.must("POST", "/faults", `{"at":`+action+`,"hub":"other"}`)
	}
	if all := r.must("GET", "/faults?limit=1000", "").values(); len(all) != 6 || all[2].text("action.type") != "stall" || all[3].text("action.delayMs") != "0.5" || all[4].text("action.status") != "503" {
		t.Errorf("faults are %v", all)
	}
	r.must("DELETE", "/faults/"+f.text("id"), "")
	r.fails(404, "DELETE", "/faults/"+f.text("id"), "")
	r.fails(404, "GET", "/faults/"+f.text("id"), "")
	r.fails(400, "GET", "/faults/x", "")
	r.must("DELETE", "/faults", "")
	if all := r.must("GET", "/faults", "").values(); len(all) != 0 {
		t.Errorf("faults are %v", all)
	}
	for body, want := range map[string]string{
		`{"at":"x","action":{"type":"stall"}}`:                                       "handshake, recovery, receive and send",
		`{"at":"send","action":{"type":"x"}}`:                                        "resetConnection",
		`{"at":"send"}`:                                                              "resetConnection",
		`{"at":"send","action":{"type":"delay","delayMs":-1}}`:                       "delayMs",
		`{"at":"send","action":{"type":"stall","delayMs":1}}`:                        "does not take",
		`{"at":"send","action":{"type":"rejectHandshake","status":500}}`:             "handshake",
		`{"at":"handshake","action":{"type":"rejectHandshake"}}`:                     "400 to 599",
		`{"at":"send","action":{"type":"close","code":1}}`:                           "close frame",
		`{"at":"send","action":{"type":"failRecovery"}}`:                             "recovery",
		`{"at":"handshake","action":{"type":"stall"},"connectionId":"x"}`:            "ConnectionID",
		`{"at":"send","action":{"type":"stall"},"times":-1}`:                         "must not be negative",
		`{"at":"send","action":{"type":"stall"},"times":99999999999999999999999999}`: "times",
	} {
		if got := r.fails(400, "POST", "/faults", body); !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
}

func TestTokens(t *testing.T) {
	r := start(t, emulator.Options{})
	got := r.must("POST", "/tokens", `{"hub":"chat","userId":"a/b","roles":["webpubsub.nonsense"],"groups":["g"],"minutes":5}`)
	if u := got.text("url"); u != got.text("baseUrl")+"?access_token="+got.text("token") || got.text("baseUrl") != r.srv.ClientURL("chat") {
		t.Errorf("got %v", got)
	}
	if expires, err := time.Parse(time.RFC3339, got.text("expiresAt")); err != nil || time.Until(expires) > 5*time.Minute {
		t.Errorf("expires at %s", got.text("expiresAt"))
	}
	if warnings := fmt.Sprint(got["warnings"]); !strings.Contains(warnings, "nonsense") || !strings.Contains(warnings, "a/b") {
		t.Errorf("warnings are %s", warnings)
	}
	if got := r.must("POST", "/tokens", `{"hub":"chat","clientType":"mqtt"}`); got.text("baseUrl") != r.srv.MQTTURL("chat") {
		t.Errorf("got %v", got)
	}
	if got := r.must("POST", "/tokens", `{"hub":"chat","clientType":"socketIO"}`); got.text("baseUrl") != r.srv.URL()+"/clients/socketio/hubs/chat" {
		t.Errorf("got %v", got)
	}
	for _, body := range []string{`{}`, `{"hub":"1"}`, `{"hub":"a","minutes":0}`, `{"hub":"a","minutes":999999999}`, `{"hub":"a","clientType":"x"}`, `{"hub":"a","groups":[""]}`} {
		r.fails(400, "POST", "/tokens", body)
	}
	target := r.srv.URL() + "/api/hubs/chat/:send?api-version=2024-01-01"
	rest := r.must("POST", "/tokens/rest", fmt.Sprintf(`{"url":%q}`, target)).text("token")
	req, err := http.NewRequest("POST", target, strings.NewReader("hi"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+rest)
	req.Header.Set("Content-Type", "text/plain")
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 202 {
		t.Errorf("the REST call was answered %s", res.Status)
	}
	r.fails(400, "POST", "/tokens/rest", `{"url":"/api/hubs/chat/:send"}`)
	// Tokens change nothing, so that the journal does not record them.
	for _, e := range r.must("GET", "/journal", "").values() {
		if e.text("kind") == "control" {
			t.Errorf("the journal has %s", e.text("text"))
		}
	}
}
