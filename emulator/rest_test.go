package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

// request is one call of the REST API.
type request struct {
	method, path string // path below /api/hubs/chat/, with the query but for the version
	contentType  string
	body         string
	header       http.Header
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func serviceToken(t *testing.T, key, audience string, expires time.Time) string {
	t.Helper()
	s, err := token.Sign(key, token.Claims{Audience: audience, Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rest(t *testing.T, srv *emulator.Server, r request) answer {
	t.Helper()
	target := srv.URL() + "/api/hubs/chat/" + r.path
	if !strings.Contains(target, "api-version") {
		sep := "?"
		if strings.Contains(target, "?") {
			sep = "&"
		}
		target += sep + "api-version=2024-12-01"
	}
	return raw(t, r, target, serviceToken(t, emulator.DefaultAccessKey, target, time.Now().Add(time.Minute)))
}

func raw(t *testing.T, r request, target, bearer string) answer {
	t.Helper()
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

// Every operation, on what is there and on what is not. The SDKs throw on any
// other success code.
func TestRESTOperations(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	_, alice := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	id := alice.ConnectionID
	const text, js = "text/plain", "application/json"
	for _, tt := range []struct {
		method, path, contentType, body string
		status                          int
		code                            string // x-ms-error-code
	}{
		{"POST", ":addToGroups", js, `{"groups":["b"],"filter":"userId eq 'alice'"}`, 200, ""},
		{"POST", ":removeFromGroups", js, `{"groups":["b"]}`, 200, ""},
		{"POST", ":addToGroups", js, `{"groups":["b"],"filter":"userId eq 'nobody'"}`, 200, ""},
		{"POST", ":addToGroups", js, `{}`, 400, "Error.BadRequest"},
		{"POST", ":addToGroups", js, `{"groups":[" "]}`, 400, "Error.BadRequest"},
		{"POST", ":addToGroups", js, `{"groups":"b"}`, 400, "Error.BadRequest"},
		{"POST", ":addToGroups", text, `{"groups":["b"]}`, 415, "Error.BadRequest"},
		{"POST", ":send", text, "hi", 202, ""},
		{"POST", ":send?excluded=" + id + "&excluded=x", js, `{"a":1}`, 202, ""},
		{"POST", ":send?filter=userId%20ne%20null&messageTtlSeconds=60", "application/octet-stream", "\x01", 202, ""},
		{"POST", ":send?messageTtlSeconds=301", text, "hi", 400, "Error.BadRequest"},
		{"POST", ":send", js, `{`, 400, "Error.BadRequest"},
		{"POST", ":send", "image/png", `x`, 415, "Error.BadRequest"},
		{"POST", ":send", text, strings.Repeat("x", 1<<20+1), 400, "Error.BadRequest"},
		{"HEAD", "connections/" + id, "", "", 200, ""},
		{"HEAD", "connections/nobody", "", "", 404, "Warning.Connection.NotExisted"},
		{"POST", "connections/" + id + "/:send", text, "hi", 202, ""},
		{"POST", "connections/nobody/:send?filter=ignored%20junk", text, "hi", 202, ""},
		{"POST", "connections/nobody/:send", text, "hi", 202, ""},
		{"HEAD", "groups/g", "", "", 200, ""},
		{"HEAD", "groups/x", "", "", 404, "Warning.Group.NotExisted"},
		{"POST", "groups/g/:send", text, "hi", 202, ""},
		{"POST", "groups/x/:send", text, "hi", 202, ""},
		{"PUT", "groups/b/connections/" + id, "", "", 200, ""},
		{"PUT", "groups/b/connections/nobody", "", "", 404, "Error.Connection.NotExisted"},
		{"DELETE", "groups/b/connections/" + id, "", "", 204, ""},
		{"DELETE", "groups/b/connections/nobody", "", "", 204, ""},
		{"HEAD", "permissions/sendToGroup/connections/" + id + "?targetName=g", "", "", 404, "Info.Connection.NotExisted"},
		{"PUT", "permissions/sendToGroup/connections/" + id + "?targetName=g", "", "", 200, ""},
		{"HEAD", "permissions/SENDTOGROUP/connections/" + id + "?targetName=g", "", "", 200, ""},
		{"DELETE", "permissions/sendToGroup/connections/" + id + "?targetName=g", "", "", 204, ""},
		{"HEAD", "permissions/sendToGroup/connections/" + id + "?targetName=g", "", "", 404, "Info.Connection.NotExisted"},
		{"PUT", "permissions/joinLeaveGroup/connections/nobody?targetName=g", "", "", 404, "Info.Connection.NotExisted"},
		{"DELETE", "permissions/joinLeaveGroup/connections/nobody?targetName=g", "", "", 204, ""},
		{"PUT", "permissions/joinLeaveGroup/connections/" + id, "", "", 400, "Error.BadRequest"},
		{"PUT", "permissions/fly/connections/" + id + "?targetName=g", "", "", 400, "Error.BadRequest"},
		{"HEAD", "users/alice", "", "", 200, ""},
		{"HEAD", "users/Alice", "", "", 404, "Warning.User.NotExisted"},
		{"POST", "users/alice/:send", text, "hi", 202, ""},
		{"POST", "users/nobody/:send", text, "hi", 202, ""},
		{"PUT", "users/alice/groups/b", "", "", 200, ""},
		{"PUT", "users/nobody/groups/b", "", "", 404, "Warning.User.NotExisted"},
		{"DELETE", "users/alice/groups/b", "", "", 204, ""},
		{"DELETE", "users/nobody/groups/b", "", "", 204, ""},
		{"DELETE", "users/alice/groups", "", "", 204, ""},
		{"DELETE", "users/nobody/groups", "", "", 204, ""},
		{"DELETE", "connections/" + id + "/groups", "", "", 204, ""},
		{"DELETE", "connections/nobody/groups", "", "", 204, ""},
		{"GET", "groups/empty/connections", "", "", 200, ""},
		{"GET", "groups/g/connections?maxpagesize=201", "", "", 400, "Error.BadRequest"},
		{"GET", "groups/g/connections?top=0", "", "", 400, "Error.BadRequest"},
		{"GET", "groups/g/connections?top=1&top=2", "", "", 400, "Error.BadRequest"},
		{"GET", "groups/g/connections?continuationToken=", "", "", 400, "Error.BadRequest"},
		{"POST", ":generateToken", "", "", 200, ""},
		{"POST", ":generateToken?clientType=MQTT&minutesToExpire=1&role=r&group=g&userId=u", "", "", 200, ""},
		{"POST", ":generateToken?clientType=socketio", "", "", 200, ""},
		{"POST", ":generateToken?minutesToExpire=0", "", "", 400, "Error.BadRequest"},
		{"POST", ":generateToken?clientType=smoke", "", "", 400, "Error.BadRequest"},
		{"POST", "groups/x/:closeConnections", "", "", 204, ""},
		{"POST", "users/nobody/:closeConnections?reason=r&excluded=x", "", "", 204, ""},
		{"DELETE", "connections/nobody?reason=r", "", "", 204, ""},
		{"POST", ":closeConnections?reason=r&excluded=" + id, "", "", 204, ""},
		{"HEAD", "connections/" + id, "", "", 200, ""},
		{"DELETE", "connections/" + id + "?reason=r", "", "", 204, ""},
		{"HEAD", "connections/" + id, "", "", 404, "Warning.Connection.NotExisted"},
		{"POST", "connections/" + id, "", "", 405, "Error.BadRequest"},
		{"GET", "nothing", "", "", 404, ""},
		{"HEAD", "users/alice?api-version=1999-01-01", "", "", 400, "Error.BadRequest"},
		{"HEAD", "users/alice?api-version=2024-12-01&api-version=2024-12-01", "", "", 400, "Error.BadRequest"},
		{"DELETE", "users/nobody/groups?api-version=2021-10-01", "", "", 204, ""},
	} {
		t.Run(tt.method+" "+strings.ReplaceAll(tt.path, id, "ID"), func(t *testing.T) {
			a := rest(t, srv, request{method: tt.method, path: tt.path, contentType: tt.contentType, body: tt.body})
			if a.status != tt.status || a.header.Get("x-ms-error-code") != tt.code {
				t.Fatalf("got %d %q, want %d %q\n%s", a.status, a.header.Get("x-ms-error-code"), tt.status, tt.code, a.body)
			}
			if a.status < 300 && a.header.Get("api-supported-versions") != "2021-10-01, 2022-11-01, 2023-07-01, 2024-01-01, 2024-12-01" {
				t.Errorf("api-supported-versions: %q", a.header.Get("api-supported-versions"))
			}
			if (a.status == 202 || a.status == 204) && (a.body != "" || a.header.Get("Content-Type") != "") {
				t.Errorf("an empty answer has %q of type %q", a.body, a.header.Get("Content-Type"))
			}
		})
	}
}

// The bodies of errors, as the real service was recorded to write them.
func TestRESTErrorBodies(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	const filterMessage = "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. (Parameter 'filter')"
	validation := func(message, target string) string {
		return fmt.Sprintf(`{"code":"Error.BadRequest","message":%q,"target":%q,"errors":{%q:[%q]},"type":null,"title":"One or more validation errors occurred.","status":400,"detail":null,"instance":null,"extensions":{}}`, message, target, target, message)
	}
	const problem, plain = "application/problem+json; charset=utf-8", "application/json; charset=utf-8"
	for _, tt := range []struct {
		name              string
		r                 request
		body, contentType string
		versions          bool
	}{
		{
			"filter of a send",
			request{method: "POST", path: ":send?filter=invalid%20filter", contentType: "text/plain", body: "x"},
			validation(filterMessage, "filter"), problem, false,
		},
		{
			"filter in a body",
			request{method: "POST", path: ":addToGroups", contentType: "application/json", body: `{"groups":["g"],"filter":"invalid filter"}`},
			validation(filterMessage, "Filter"), problem, false,
		},
		{
			"client type",
			request{method: "POST", path: ":generateToken?clientType=smoke"},
			validation("The value 'smoke' is not valid.", "clientType"), plain, false,
		},
		{
			"unknown connection",
			request{method: "PUT", path: "groups/g/connections/xxxx"},
			"{\"code\":\"Error.Connection.NotExisted\",\"message\":\"Connection `xxxx` is not found.\",\"target\":\"Connection\",\"details\":null,\"inner\":null}", plain, true,
		},
		{
			"no target of a permission",
			request{method: "PUT", path: "permissions/sendToGroup/connections/x"},
			`{"code":"Error.BadRequest","message":"Invalid group name. Valid group name should be in between 1 and 1024 characters long.","target":"Request","details":null,"inner":null}`, plain, true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := rest(t, srv, tt.r)
			if a.body != tt.body || a.header.Get("Content-Type") != tt.contentType {
				t.Errorf("got  %s %s\nwant %s %s", a.header.Get("Content-Type"), a.body, tt.contentType, tt.body)
			}
			if got := a.header.Get("api-supported-versions") != ""; got != tt.versions {
				t.Errorf("api-supported-versions present: %v", got)
			}
		})
	}
	if n := len(validation(filterMessage, "filter")); n != 416 {
		t.Errorf("the recorded body has 416 bytes, this one %d", n)
	}
	// A HEAD tells the length of the body that it leaves out.
	a := rest(t, srv, request{method: "HEAD", path: "connections/" + strings.Repeat("x", 31)})
	if a.header.Get("Content-Length") != "161" || a.header.Get("Content-Type") != plain {
		t.Errorf("HEAD of a missing connection: %v", a.header)
	}
}

func TestRESTAuthorization(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{SecondaryKey: "second"})
	port := srv.URL()[strings.LastIndex(srv.URL(), ":"):]
	target := srv.URL() + "/api/hubs/chat/users/a%20b/groups?api-version=2024-12-01"
	path := srv.URL() + "/api/hubs/chat/users/a%20b/groups"
	soon := time.Now().Add(time.Minute)
	for name, tt := range map[string]struct {
		bearer string
		status int
	}{
		"full URL":            {serviceToken(t, emulator.DefaultAccessKey, target, soon), 204},
		"without query":       {serviceToken(t, emulator.DefaultAccessKey, path, soon), 204},
		"once decoded":        {serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/chat/users/a b/groups", soon), 204},
		"another scheme":      {serviceToken(t, emulator.DefaultAccessKey, "wss"+strings.TrimPrefix(target, "http"), soon), 204},
		"another loopback":    {serviceToken(t, emulator.DefaultAccessKey, "http://localhost"+port+"/api/hubs/chat/users/a%20b/groups", soon), 204},
		"letters in any case": {serviceToken(t, emulator.DefaultAccessKey, strings.ToUpper(path), soon), 204},
		"secondary key":       {serviceToken(t, "second", target, soon), 204},
		"clock skew":          {serviceToken(t, emulator.DefaultAccessKey, target, time.Now().Add(-4*time.Minute)), 204},
		"expired":             {serviceToken(t, emulator.DefaultAccessKey, target, time.Now().Add(-6*time.Minute)), 401},
		"another path":        {serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/chat/users", soon), 401},
		"a longer name":       {serviceToken(t, emulator.DefaultAccessKey, path+"x", soon), 401},
		"another host":        {serviceToken(t, emulator.DefaultAccessKey, "http://example.com/api/hubs/chat/users/a%20b/groups", soon), 401},
		"another port":        {serviceToken(t, emulator.DefaultAccessKey, "http://localhost:1/api/hubs/chat/users/a%20b/groups", soon), 401},
		"ftp":                 {serviceToken(t, emulator.DefaultAccessKey, "ftp"+strings.TrimPrefix(target, "http"), soon), 401},
		"wrong key":           {serviceToken(t, "wrong", target, soon), 401},
		"none":                {"", 401},
	} {
		t.Run(name, func(t *testing.T) {
			if a := raw(t, request{method: "DELETE"}, target, tt.bearer); a.status != tt.status || a.body != "" {
				t.Errorf("got %d %q, want %d and no body", a.status, a.body, tt.status)
			}
		})
	}
	if a := raw(t, request{method: "HEAD"}, srv.URL()+"/api/health", ""); a.status != 200 || a.header.Get("api-supported-versions") != "" {
		t.Errorf("health: %d %v", a.status, a.header)
	}
}

func TestRESTListing(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	want := make(map[string]bool)
	for i := range 6 {
		user := ""
		if i > 0 {
			user = fmt.Sprint("u", i)
		}
		_, hello := dialJSON(t, srv, dialOptions{user: user, groups: []string{"g"}})
		want[hello.ConnectionID] = true
	}
	for _, tt := range []struct {
		query      string
		all, pages int
	}{{"top=6", 6, 1}, {"top=3", 3, 1}, {"maxpagesize=2", 6, 3}, {"top=5&maxpagesize=2", 5, 3}, {"", 6, 1}} {
		t.Run(tt.query, func(t *testing.T) {
			next := srv.URL() + "/api/hubs/chat/groups/g/connections?api-version=2024-12-01&" + tt.query
			seen, pages, last := map[string]bool{}, 0, ""
			for next != "" {
				a := raw(t, request{method: "GET"}, next, serviceToken(t, emulator.DefaultAccessKey, next, time.Now().Add(time.Minute)))
				var page struct {
					Value []struct {
						ConnectionID string
						UserID       *string
					}
					NextLink *string
				}
				if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
					t.Fatalf("%d %s: %v", a.status, a.body, err)
				}
				for _, m := range page.Value {
					if !want[m.ConnectionID] || m.ConnectionID <= last {
						t.Errorf("%s is unknown, or not in order", m.ConnectionID)
					}
					last = m.ConnectionID
					seen[last] = true
				}
				pages++
				if next = ""; page.NextLink != nil {
					next = *page.NextLink
				}
			}
			if len(seen) != tt.all || pages != tt.pages {
				t.Errorf("%d members on %d pages, want %d on %d", len(seen), pages, tt.all, tt.pages)
			}
		})
	}
	if a := rest(t, srv, request{method: "GET", path: "groups/none/connections"}); a.body != `{"value":[]}` {
		t.Errorf("an empty group lists as %s", a.body)
	}
}

func TestRESTDelivery(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	post := func(path, contentType, body string, header http.Header) {
		t.Helper()
		if a := rest(t, srv, request{"POST", path, contentType, body, header}); a.status != 202 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	post(":send", "application/json", `{"message":"Hello world!"}`, nil)
	c.expect(`{"type":"message","from":"server","dataType":"json","data":{"message":"Hello world!"}}`)
	post("users/alice/:send", "text/plain", "Hi there!", nil)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"Hi there!"}`)
	post("connections/"+hello.ConnectionID+"/:send", "", "\x05\x01\x01", nil)
	c.expect(`{"type":"message","from":"server","dataType":"binary","data":"BQEB"}`)
	post("groups/g/:send", "text/plain", "x", http.Header{"X-WebPubSub-Metadata-Key": {"first", "last"}})
	c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"text","data":"x","metadata":{"key":"last"}}`)

	// None of these is for alice, so the next that she sees is the last.
	post(":send?excluded="+hello.ConnectionID, "text/plain", "1", nil)
	post(":send?filter="+url.QueryEscape("not ('g' in groups)"), "text/plain", "2", nil)
	post("users/bob/:send", "text/plain", "3", nil)
	post("groups/h/:send", "text/plain", "4", nil)
	post("users/alice/:send?filter="+url.QueryEscape("userId eq 'alice' and connectionId eq '"+hello.ConnectionID+"'"), "text/plain", "5", nil)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"5"}`)

	a := rest(t, srv, request{method: "DELETE", path: "connections/" + hello.ConnectionID + "?reason=" + url.QueryEscape("too loud")})
	if a.status != 204 {
		t.Fatal(a.status)
	}
	c.expect(`{"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: too loud"}`)
	c.expectClose(websocket.CloseNormalClosure, "")
	simple := dial(t, srv, dialOptions{user: "alice"})
	rest(t, srv, request{method: "POST", path: "users/alice/:closeConnections?reason=bye"})
	simple.expectClose(websocket.CloseNormalClosure, "bye")
}

// A permission that was taken away stays away, whatever the roles say, until it
// is granted again.
func TestRevokeBeatsRole(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	permission := "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=g"
	send := func(ack int, want string) {
		t.Helper()
		c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","noEcho":true,"ackId":%d,"data":1}`, ack))
		if got := c.recv(); !strings.Contains(got, want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	send(1, `"success":true`)
	rest(t, srv, request{method: "DELETE", path: permission})
	send(2, `Forbidden`)
	rest(t, srv, request{method: "PUT", path: permission})
	send(2, `"success":true`)
}

// A message that was not delivered in its time is not delivered later.
func TestMessageExpires(t *testing.T) {
	clock := emulator.NewClock(time.Now())
	srv := emulator.Start(t, emulator.Options{Clock: clock})
	c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"g"}})
	_ = c.ws.NetConn().Close()
	waitFor(t, srv, emulator.KindDetached, hello.ConnectionID)
	for _, path := range []string{"groups/g/:send?messageTtlSeconds=5", "groups/g/:send?messageTtlSeconds=20", "groups/g/:send?messageTtlSeconds=0"} {
		if a := rest(t, srv, request{"POST", path, "application/json", "1", nil}); a.status != 202 {
			t.Fatal(a.status)
		}
	}
	clock.Advance(10 * time.Second)
	back := dial(t, srv, recovery(hello))
	back.expect(sequenced(2, "g", "null", 1), sequenced(3, "g", "null", 1))
	back.expectNothingElse()
}

// As in the service, an encoded slash stays encoded: a documented limit.
func TestPathDecoding(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	for escaped, user := range map[string]string{"a%20b": "a b", "a+b": "a+b", "%E6%97%A5": "日", "a%2Fb": "a%2Fb", "a%252Fb": "a%2Fb", "a%2Cb": "a,b"} {
		dialJSON(t, srv, dialOptions{user: user})
		if a := rest(t, srv, request{method: "HEAD", path: "users/" + escaped}); a.status != 200 {
			t.Errorf("user %q is not found as %s: %d", user, escaped, a.status)
		}
	}
}

func TestGeneratedTokenConnects(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	a := rest(t, srv, request{method: "POST", path: ":generateToken?userId=alice&group=g&role=webpubsub.sendToGroup"})
	var body struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatal(err)
	}
	c, hello := dialJSON(t, srv, dialOptions{noToken: true, query: url.Values{"access_token": {body.Token}}})
	if *hello.UserID != "alice" {
		t.Errorf("user %s", *hello.UserID)
	}
	c.send(`{"type":"sendToGroup","group":"g","data":1}`)
	c.expect(`{"type":"message","from":"group","fromUserId":"alice","group":"g","dataType":"json","data":1}`)
}
