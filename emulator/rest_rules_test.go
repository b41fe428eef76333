package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// call makes a request whose query is sent as it is: an HTTP client would escape
// some of it.
func call(t *testing.T, srv *emulator.Server, method, path, contentType, body string) answer {
	t.Helper()
	path, query, _ := strings.Cut(path, "?")
	r := httptest.NewRequest(method, "/api/hubs/chat/"+path, strings.NewReader(body))
	r.URL.RawQuery = query
	r.Host = strings.TrimPrefix(srv.URL(), "http://")
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	r.Header.Set("Authorization", "Bearer "+serviceToken(t, emulator.DefaultAccessKey, srv.URL()+r.URL.EscapedPath(), time.Now().Add(time.Minute)))
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// A parameter with a raw semicolon or a bad percent sign vanished. Without its
// filter, a message for one user went to everybody. No parameter is lost now, and
// one that cannot be read rejects the request.
func TestNoParameterVanishes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "a;b", groups: []string{"g"}})
	other, _ := dialJSON(t, srv, dialOptions{user: "other", groups: []string{"g"}})
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"POST", ":send?filter=userId eq 'a;b'", 202},
		{"POST", "groups/g/:send?filter=userId+eq+'a;b'", 202},
		{"POST", ":send?FILTER=userId eq 'a;b'", 202}, // names have no case
		{"POST", ":send?filter=%zz", 400},
		{"POST", ":send?filter=userId eq 'x&filter=;", 400},
		{"POST", ":send?filter=userId eq 'a;b'&messageTtlSeconds=1;0", 400},
		{"POST", ":send?filter=userId eq 'a;b'&api-version=2024-12-01;", 400},
		{"POST", ":send?filter=userId eq '100%' or userId eq 'a;b'", 202},
		{"POST", ":generateToken?minutesToExpire=1;", 400},
		{"POST", ":generateToken?clientType=mqtt;", 400},
		{"GET", "groups/g/connections?top=1;", 400},
		{"GET", "groups/g/connections?continuationToken=a;b", 400},
		{"PUT", "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=x;y", 200},
		{"HEAD", "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=x;y", 200},
		{"HEAD", "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=x", 404},
	} {
		if a := call(t, srv, tt.method, tt.path, typeText, tt.path); a.status != tt.status {
			t.Errorf("%s %s: %d %s, want %d", tt.method, tt.path, a.status, a.body, tt.status)
		} else if a.status == 202 {
			if got := c.recv(); !strings.Contains(got, tt.path) {
				t.Errorf("%s: got %s", tt.path, got)
			}
		}
	}
	c.expectNothingElse()
	other.expectNothingElse()

	a := call(t, srv, "POST", ":generateToken?userId=a;b&role=r;s&group=g%", "", "")
	var body struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatal(err)
	}
	_, claims := parts(t, body.Token)
	if claims["sub"] != "a;b" || fmt.Sprint(claims["role"], claims["webpubsub.group"]) != "[r;s] [g%]" {
		t.Errorf("claims %v", claims)
	}

	call(t, srv, "POST", "users/a;b/:closeConnections?reason=a;b", "", "")
	c.expect(`{"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: a;b"}`)
	call(t, srv, "POST", "users/other/:closeConnections?reason=%20", "", "")
	other.expect(`{"type":"system","event":"disconnected","message":"Application server closed the connection."}`)
}

// JSON null reached the simple clients, and then the request was rejected. A
// request that is rejected reaches nobody, whatever protocol is spoken.
func TestRejectedSendsHaveNoEffect(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	simple := dial(t, srv, dialOptions{groups: []string{"g"}})
	js, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
	pb := dial(t, srv, dialOptions{subprotocol: "protobuf.webpubsub.azure.v1", groups: []string{"g"}})
	_, _, _ = pb.next() // connected
	mqtt := connectMQTT(t, srv, "m", anything...)
	mqtt.subscribe("g", 0)
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tt := range []struct {
		contentType, body string
		header            http.Header
		status            int
	}{
		{typeJSON, "{", nil, 400},
		{typeJSON, "", nil, 400},
		{typeJSON, "\"\xff\"", nil, 400},
		{typeJSON, deep(65), nil, 400},
		{"application/x-protobuf", "x", nil, 400},
		{typeText, "x", http.Header{"X-WebPubSub-Metadata-A": {"\u00fc"}}, 400},
		{"image/png", "x", nil, 415},
		{"text/plain; charset=klingon", "x", nil, 415},
	} {
		for _, path := range []string{":send", "groups/g/:send"} {
			r := request{"POST", path, tt.contentType, tt.body, tt.header}
			if tt.body == "" {
				r.header = http.Header{"Content-Length": {"0"}}
			}
			if a := rest(t, srv, r); a.status != tt.status {
				t.Errorf("%s %q: %d %s, want %d", tt.contentType, tt.body, a.status, a.body, tt.status)
			}
		}
	}
	for _, body := range []string{"null", " null\n", deep(64)} {
		if a := rest(t, srv, request{"POST", "groups/g/:send", typeJSON, body, nil}); a.status != 202 {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
		simple.expect(body)
		js.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"json","data":` + body + `}`)
		mqtt.expect(message("g", "application/json", body))
		if kind, _, err := pb.next(); err != nil || kind != websocket.BinaryMessage {
			t.Errorf("protobuf: %d %v", kind, err)
		}
	}
	// Whatever else had been delivered would have come first.
}

// Each of several rejected requests would have changed something.
func TestRejectedRequestsChangeNothing(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "u", roles: anything, groups: []string{"g"}})
	for _, r := range []request{
		{method: "POST", path: ":closeConnections?reason=a&reason=b"},
		{method: "POST", path: "groups/g/:closeConnections?reason=a&reason=b"},
		{method: "POST", path: "users/u/:closeConnections?reason=a&reason=b"},
		{method: "DELETE", path: "connections/" + hello.ConnectionID + "?reason=a&reason=b"},
		{method: "DELETE", path: "connections/" + hello.ConnectionID + "?api-version=1"},
		{"POST", ":addToGroups", typeJSON, `{"groups":["h",""]}`, nil},
		{"POST", ":addToGroups", typeJSON, `{"groups":["h"],"filter":"x"}`, nil},
		{"POST", ":removeFromGroups", typeJSON, `{"groups":["g"," "]}`, nil},
		{"POST", ":removeFromGroups", typeJSON, `{"groups":["g"],"filter":7}`, nil},
		{method: "PUT", path: "groups/%20/connections/" + hello.ConnectionID},
		{method: "DELETE", path: "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=g&targetName=h"},
		{method: "DELETE", path: "permissions/fly/connections/" + hello.ConnectionID + "?targetName=g"},
	} {
		if a := rest(t, srv, r); a.status != 400 {
			t.Errorf("%s %s: %d", r.method, r.path, a.status)
		}
	}
	c.send(`{"type":"sendToGroup","group":"g","data":1,"ackId":1}`)
	c.expect(`{"type":"message","from":"group","fromUserId":"u","group":"g","dataType":"json","data":1}`, acked(1))
	if a := rest(t, srv, request{method: "HEAD", path: "groups/h"}); a.status != 404 {
		t.Errorf("the group h: %d", a.status)
	}
}

// A continuation token that was not given out for the listing was taken for a place
// in it, and showed an empty page.
func TestForeignContinuationTokens(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	var hello connected
	for range 3 {
		_, hello = dialJSON(t, srv, dialOptions{groups: []string{"g", "h"}})
	}
	next := func(group string) string {
		var page struct{ NextLink string }
		a := rest(t, srv, request{method: "GET", path: "groups/" + group + "/connections?maxpagesize=1"})
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(page.NextLink)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("continuationToken")
	}
	for token, status := range map[string]int{
		next("g"):                         200,
		next("h"):                         400, // of another group
		hello.ConnectionID:                400,
		"x":                               400,
		"!":                               400,
		next("g") + "A":                   400,
		next("g")[:20]:                    400,
		"AAAAAAAAAAAAAAAAAAAAAA":          400,
		strings.Repeat("A", 10_000):       400,
		url.QueryEscape("' or 1 eq 1 --"): 400,
	} {
		a := rest(t, srv, request{method: "GET", path: "groups/g/connections?continuationToken=" + token})
		if a.status != status {
			t.Errorf("%.40s: %d %s, want %d", token, a.status, a.body, status)
		}
		if status == 400 && !strings.Contains(a.body, `"target":"continuationToken"`) {
			t.Errorf("%.40s: %s", token, a.body)
		}
	}
	// The member at which a page ended may have left since.
	token := next("g")
	rest(t, srv, request{method: "POST", path: ":closeConnections"})
	if a := rest(t, srv, request{method: "GET", path: "groups/g/connections?continuationToken=" + token}); a.status != 200 {
		t.Errorf("after the member has left: %d %s", a.status, a.body)
	}
}

// Of several values of a metadata header the last counts, in lines or in one.
func TestMetadataHeaderWithCommas(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{})
	for _, values := range [][]string{{"1, 2, 3"}, {"1", "2,3"}, {"3"}, {"1,, 3 "}} {
		rest(t, srv, request{"POST", ":send", typeText, "x", http.Header{"X-WebPubSub-Metadata-K": values}})
		c.expect(`{"type":"message","from":"server","dataType":"text","data":"x","metadata":{"k":"3"}}`)
	}
}

// The fixed parts of a path have no case, and a slash may follow, as in the ASP.NET
// Core routes of the service. Names have a case.
func TestPathsHaveNoCase(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	for path, status := range map[string]int{
		"/api/Hubs/CHAT/Users/alice":   200,
		"/api/hubs/chat/users/alice/":  200,
		"/api/hubs/chat/users/Alice":   404,
		"/api/hubs/chat/GROUPS/g":      200,
		"/api/hubs/chat/groups/G":      404,
		"/api/hubs/chat/groups/":       404,
		"/api/hubs/chat/users/alice//": 404,
	} {
		if a := raw(t, request{method: "HEAD"}, srv.URL()+path, serviceToken(t, emulator.DefaultAccessKey, srv.URL()+path, time.Now().Add(time.Minute))); a.status != status {
			t.Errorf("%s: %d, want %d", path, a.status, status)
		}
	}
}

// A name that no REST path can contain works between clients, and fails first in
// production, when the application wants to send to it. The journal warns wherever
// it comes into being.
func TestNamesThatRESTCannotReach(t *testing.T) {
	const warning = "REST calls on"
	handlers, _ := recorded(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "connect") {
			_, _ = w.Write([]byte(`{"groups":["from/handler"],"userId":"u/handler"}`))
		}
	})
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"handled": {EventHandlers: handlers}}})
	for name, o := range map[string]dialOptions{
		"u/1":          {user: "u/1"},
		"token/1":      {groups: []string{"token/1"}},
		"role/1":       {roles: []string{"webpubsub.sendToGroup.role/1"}},
		"from/handler": {hub: "handled"},
		"u/handler":    {hub: "handled"},
	} {
		_, hello := dialJSON(t, srv, o)
		if e := waitFor(t, srv, emulator.EntryConnected, hello.ConnectionID); !strings.Contains(e.Reason, warning) || !strings.Contains(e.Reason, name) {
			t.Errorf("%s: %q", name, e.Reason)
		}
	}
	_, hello := dialJSON(t, srv, dialOptions{user: "fine", groups: []string{"a.b"}, roles: anything})
	if e := waitFor(t, srv, emulator.EntryConnected, hello.ConnectionID); e.Reason != "" {
		t.Errorf("plain names: %q", e.Reason)
	}
	rest(t, srv, request{"POST", ":addToGroups", typeJSON, `{"groups":["bulk/1"],"filter":"userId eq 'fine'"}`, nil})
	if e := waitFor(t, srv, emulator.EntryJoined, hello.ConnectionID); !strings.Contains(e.Reason, warning) {
		t.Errorf("bulk: %q", e.Reason)
	}
}
