package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

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
	return over(t, networkOf(srv), r, target, serviceToken(t, emulator.DefaultAccessKey, target, time.Now().Add(time.Minute)))
}

func raw(t *testing.T, r request, target, bearer string) answer {
	t.Helper()
	return over(t, nil, r, target, bearer)
}

// over is raw over a network in memory, unless it is nil.
func over(t *testing.T, memory *emulator.MemoryListener, r request, target, bearer string) answer {
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
	network := &http.Transport{DisableKeepAlives: true}
	if memory != nil {
		network.DialContext = memory.DialContext
	}
	client := &http.Client{Transport: network}
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

func TestRESTAuthorization(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{SecondaryKey: "second"})
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
	srv := emulator.StartT(t, emulator.Options{})
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

// A permission that was taken away stays away, whatever the roles say, until it
// is granted again.
func TestRevokeBeatsRole(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
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

// As in the service, an encoded slash stays encoded: a documented limit.
func TestPathDecoding(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for escaped, user := range map[string]string{"a%20b": "a b", "a+b": "a+b", "%E6%97%A5": "日", "a%2Fb": "a%2Fb", "a%252Fb": "a%2Fb", "a%2Cb": "a,b"} {
		dialJSON(t, srv, dialOptions{user: user})
		if a := rest(t, srv, request{method: "HEAD", path: "users/" + escaped}); a.status != 200 {
			t.Errorf("user %q is not found as %s: %d", user, escaped, a.status)
		}
	}
}

func TestGeneratedTokenConnects(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
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

// A reliable client that lost its WebSocket is still there for a while.
func TestPresenceInTheRecoveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, hello := dialJSON(t, srv, dialOptions{user: "alice", subprotocol: reliableProtocol, groups: []string{"g"}})
		_ = c.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		id := hello.ConnectionID
		present := []request{
			{method: "HEAD", path: "connections/" + id},
			{method: "HEAD", path: "users/alice"},
			{method: "HEAD", path: "groups/g"},
		}
		for _, r := range append(present,
			request{method: "PUT", path: "groups/h/connections/" + id},
			request{method: "PUT", path: "users/alice/groups/i"},
			request{method: "HEAD", path: "groups/h"},
			request{method: "PUT", path: "permissions/sendToGroup/connections/" + id + "?targetName=g"},
			request{method: "HEAD", path: "permissions/sendToGroup/connections/" + id + "?targetName=g"},
			request{"POST", ":addToGroups", typeJSON, `{"groups":["j"],"filter":"'i' in groups"}`, nil},
		) {
			if a := rest(t, srv, r); a.status != 200 {
				t.Errorf("%s %s: %d", r.method, r.path, a.status)
			}
		}
		if a := rest(t, srv, request{method: "GET", path: "groups/j/connections"}); !strings.Contains(a.body, id) {
			t.Errorf("listed were %s", a.body)
		}
		rest(t, srv, request{"POST", "groups/j/:send", typeJSON, "1", nil})
		back := dial(t, srv, recovery(hello))
		back.expect(sequenced(1, "j", "null", 1))
		_ = back.ws.NetConn().Close()
		waitForCount(t, srv, emulator.EntryInterrupted, 2)

		// It can be closed, and is gone at once.
		rest(t, srv, request{method: "POST", path: "users/alice/:closeConnections?reason=r"})
		for _, r := range present {
			if a := rest(t, srv, r); a.status != 404 {
				t.Errorf("%s %s after the close: %d", r.method, r.path, a.status)
			}
		}
	})
}

func waitForCount(t *testing.T, srv *emulator.Server, kind emulator.EntryKind, n int) {
	t.Helper()
	seen := 0
	waitForEntry(t, srv, fmt.Sprintf("%d entries %q", n, kind), func(e emulator.Entry) bool {
		if e.Kind == kind {
			seen++
		}
		return seen == n
	})
}

func TestTooManyPermissions(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	roles := make([]string, 0, 1000)
	for i := range cap(roles) {
		roles = append(roles, fmt.Sprint("webpubsub.sendToGroup.", i))
	}
	// The token of a thousand roles is too long for a URL.
	d := websocket.Dialer{Subprotocols: []string{jsonProtocol}}
	ws, _, err := d.Dial(srv.ClientURL(hubName), http.Header{"Authorization": {"Bearer " + accessToken(t, srv, dialOptions{roles: roles})}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	var hello connected
	if err := json.Unmarshal([]byte((&client{t, ws}).recv()), &hello); err != nil {
		t.Fatal(err)
	}
	a := rest(t, srv, request{method: "PUT", path: "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=one-more"})
	if a.status != 409 || a.header.Get("x-ms-error-code") != "Error.Connection.Conflict" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// The client of a refused call may see little; the log tells the rest.
func TestRejectionsAreLogged(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for _, tt := range []struct {
		r      request
		reason string
	}{
		{request{method: "GET", path: "nothing"}, "compare the path with the REST reference"},
		{request{method: "POST", path: "connections/x"}, "takes HEAD, DELETE"},
		{request{method: "PUT", path: "permissions/sendToGroup/connections/x"}, "the query parameter targetName"},
		{request{method: "HEAD", path: "users/u?api-version=1"}, "The supported ones are"},
		{request{"POST", ":send", "image/png", "x", nil}, "use one of the four"},
		{request{"POST", ":send", typeText, strings.Repeat("x", 1<<20+1), nil}, "at most 1 MiB"},
		{request{method: "POST", path: ":generateToken?clientType=smoke"}, "Use default, mqtt or socketio"},
		{request{"POST", ":send?filter=fly", typeText, "x", nil}, "Token 'fly' is not supported"},
		{request{method: "PUT", path: "permissions/fly/connections/x?targetName=g"}, "it is sendToGroup or joinLeaveGroup"},
	} {
		if a := rest(t, srv, tt.r); a.status < 400 {
			t.Errorf("%s: %d", tt.r.path, a.status)
		}
		waitForReason(t, srv, tt.reason)
	}
	for path, reason := range map[string]string{
		"/hubs/chat/:send":            "REST calls go to /api/hubs/{hub}",
		"/clients/socketio/hubs/chat": "does not support that protocol",
	} {
		if a := raw(t, request{method: "GET"}, srv.URL()+path, ""); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
		waitForReason(t, srv, reason)
	}
	if a := raw(t, request{method: "HEAD"}, srv.URL()+"/api/hubs/chat/users/u", ""); a.status != 401 || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %d %v", a.status, a.header)
	}
	waitForReason(t, srv, "sign one with the access key")
	other := serviceToken(t, emulator.DefaultAccessKey, srv.URL()+"/api/hubs/other/users/u", time.Now().Add(time.Minute))
	a := raw(t, request{method: "HEAD"}, srv.URL()+"/api/hubs/chat/users/u", other)
	if want := `Bearer error="invalid_token", error_description="The audience is invalid"`; a.header.Get("WWW-Authenticate") != want {
		t.Errorf("another audience: %v", a.header)
	}
	waitForReason(t, srv, "the audience must be the address of the request")
	for _, e := range srv.Journal() {
		if strings.Contains(fmt.Sprint(e), other) {
			t.Errorf("a token is in the journal: %v", e)
		}
	}
}

// Each kind of client gets a token for its own endpoint, in the caller's
// spelling of hub and type, valid for as long as was asked.
func TestGeneratedTokens(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for query, path := range map[string]string{
		"":                     "/client/hubs/chat",
		"?clientType=Default":  "/client/hubs/chat",
		"?clientType=mqtt":     "/clients/mqtt/hubs/chat",
		"?clientType=MQTT":     "/clients/mqtt/hubs/chat",
		"?clientType=SocketIO": "/clients/socketio/hubs/chat",
		// More than time.Duration holds.
		"?minutesToExpire=2147483647": "/client/hubs/chat",
	} {
		a := rest(t, srv, request{method: "POST", path: ":generateToken" + query})
		var body struct{ Token string }
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err)
		}
		_, claims := parts(t, body.Token)
		if claims["aud"] != srv.URL()+path {
			t.Errorf("%q: audience %v", query, claims["aud"])
		}
		life := 3600.0
		if strings.Contains(query, "minutes") {
			life = 2147483647 * 60
		}
		if claims["exp"].(float64)-claims["iat"].(float64) != life {
			t.Errorf("%q: from %v to %v", query, claims["iat"], claims["exp"])
		}
	}
}

// The journal is bounded in entries and each entry in length, and an entry is
// one line of the log: strangers write the paths in it.
func TestJournalEntriesAreBounded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	long := strings.Repeat("ü", 100_000)
	for _, path := range []string{"/api/hubs/chat/users/" + long, "/" + long, "/client/hubs/" + long} {
		if a := raw(t, request{method: "GET"}, srv.URL()+path, ""); a.status < 400 {
			t.Errorf("status %d", a.status)
		}
	}
	if a := raw(t, request{method: "GET"}, srv.URL()+"/a%0Arefused%1B%5B31m", ""); a.status != 404 {
		t.Errorf("status %d", a.status)
	}
	n := 0
	for _, e := range srv.Journal() {
		n++
		if s := e.String(); strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("not one plain line: %q", s)
		}
		if len(e.Hub) > 9000 || len(e.Name) > 9000 || len(e.Reason) > 9000 || !utf8.ValidString(e.Name) {
			t.Errorf("an entry with a name of %d bytes and a reason of %d", len(e.Name), len(e.Reason))
		}
	}
	if n != 4 {
		t.Errorf("%d entries", n)
	}
}
