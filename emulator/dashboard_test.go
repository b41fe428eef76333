package emulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
)

// dashboardRequest is what the page sends, unless change makes it otherwise.
func dashboardRequest(t *testing.T, srv *emulator.Server, method, path, body string, change func(*http.Request)) *http.Response {
	t.Helper()
	u, err := url.Parse(srv.DashboardURL())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "http://"+u.Host+"/dashboard/"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Authorization", "Bearer "+u.Query().Get("token"))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	return w.Result()
}

func TestDashboardAnswersItsOwnPageOnly(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Dashboard: true})
	for name, c := range map[string]struct {
		method, path string
		change       func(*http.Request)
		status       int
	}{
		"the page":                       {"GET", "", nil, 200},
		"its script":                     {"GET", "dashboard.js", nil, 200},
		"the state":                      {"GET", "state", nil, 200},
		"its own origin":                 {"GET", "state", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }, 200},
		"by IPv6":                        {"GET", "state", func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:1", "[::1]:8080" }, 200},
		"without the token":              {"GET", "state", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"with another token":             {"POST", "do", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		"from another machine":           {"GET", "", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, 403},
		"by a name that leads here":      {"GET", "state", func(r *http.Request) { r.Host = "evil.example:8080" }, 403},
		"from another site":              {"POST", "do", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"from another port":              {"GET", "state", func(r *http.Request) { r.Header.Set("Origin", "http://localhost:1") }, 403},
		"a page in a sandbox":            {"GET", "state", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		"state by POST":                  {"POST", "state", nil, 405},
		"a file that is not the page's":  {"GET", "../options.go", nil, 404},
		"an action on a hub that is not": {"POST", "do", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"hub":"x"}`)) }, 404},
		"an action that is no JSON":      {"POST", "do", nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if res := dashboardRequest(t, srv, c.method, c.path, "", c.change); res.StatusCode != c.status {
				t.Errorf("answered %s, want %d", res.Status, c.status)
			}
		})
	}
	for _, e := range srv.Journal() {
		if u, _ := url.Parse(srv.DashboardURL()); strings.Contains(e.String(), u.Query().Get("token")) {
			t.Errorf("the journal holds the token: %s", e)
		}
	}
}

func TestNoDashboardUnlessAsked(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	if srv.DashboardURL() != "" {
		t.Errorf("DashboardURL is %q", srv.DashboardURL())
	}
	r := httptest.NewRequest("GET", srv.URL()+"/dashboard/", nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	if srv.ServeHTTP(w, r); w.Code != http.StatusNotFound {
		t.Errorf("answered %d", w.Code)
	}
}

func TestDashboardShowsAndActs(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Dashboard: true})
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"b", "a"}, subprotocol: reliableProtocol})
	id := hello.ConnectionID

	type state struct {
		Hubs []struct {
			Name        string
			Connections []emulator.ConnectionState
			Total       int
		}
		Entries []struct{ Text string }
		Next    int
	}
	get := func(path string) (s state) {
		t.Helper()
		res := dashboardRequest(t, srv, "GET", path, "", nil)
		if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	do := func(body string) {
		t.Helper()
		if res := dashboardRequest(t, srv, "POST", "do", body, nil); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: answered %s", body, res.Status)
		}
	}
	s := get("state")
	if len(s.Hubs) != 1 || s.Hubs[0].Total != 1 || len(s.Entries) == 0 {
		t.Fatalf("got %+v", s)
	}
	got := s.Hubs[0].Connections[0]
	if got.ID != id || got.UserID != "alice" || got.Subprotocol != reliableProtocol || strings.Join(got.Groups, " ") != "a b" || got.Interrupted {
		t.Errorf("got %+v", got)
	}
	if again := get("state?after=" + jsonText(s.Next)); len(again.Entries) != 0 {
		t.Errorf("entries came twice: %+v", again.Entries)
	}

	do(`{"action":"send","hub":"CHAT","group":"a","text":"to the group"}`)
	c.expect(`{"sequenceId":1,"type":"message","from":"group","fromUserId":null,"group":"a","dataType":"text","data":"to the group"}`)
	do(`{"action":"send","hub":"chat","text":"to all"}`)
	c.expect(`{"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"to all"}`)
	do(`{"action":"cut","hub":"chat","connection":"` + id + `"}`)
	waitFor(t, srv, emulator.EntryInterrupted, id)
	if !get("state").Hubs[0].Connections[0].Interrupted {
		t.Error("the connection that was cut does not show as detached")
	}
	do(`{"action":"close","hub":"chat","connection":"` + id + `"}`)
	waitFor(t, srv, emulator.EntryDisconnected, id)
	if n := get("state").Hubs[0].Total; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// The page asks once a second. Two thousand long names of groups made each answer
// so large that it cost 21 MiB a second.
func TestDashboardStateIsBounded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Dashboard: true})
	var groups []string
	for i := range 30 {
		groups = append(groups, fmt.Sprint("short", i), fmt.Sprint(i, strings.Repeat("é", 1000)))
	}
	for range 20 {
		dialJSON(t, srv, dialOptions{user: strings.Repeat("u", 5000), groups: groups})
	}
	for i := range 150 {
		dial(t, srv, dialOptions{hub: fmt.Sprint("hub", i)})
	}
	res := dashboardRequest(t, srv, "GET", "state", "", nil)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Hubs []struct {
			Name        string
			Total       int
			Connections []struct {
				UserID     string
				Groups     []string
				MoreGroups int
			}
		}
	}
	if err := json.Unmarshal(body, &s); err != nil {
		t.Fatal(err)
	}
	if c := s.Hubs[0].Connections; len(c) != 20 || len(c[0].Groups) != 20 || c[0].Groups[0] != "short0" || c[0].MoreGroups != 40 || len(c[0].UserID) > 210 {
		t.Errorf("got %+v", c[0])
	}
	if len(s.Hubs) != 100 || len(body) > 1<<20 {
		t.Errorf("%d bytes for %d hubs", len(body), len(s.Hubs))
	}
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
