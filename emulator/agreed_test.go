package emulator_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

// The rules in this file are those in which Microsoft's emulator, built from its
// source and given the same inputs, agrees with this one: what fails here is a
// fault. Those of the handlers' side are in internal/upstream (TestRetries,
// TestPreflightAnswers, TestValidationIsSharedAndHoldsForAMinute), those of frames
// in internal/wire.

// agreedREST are requests with the status that both give.
var agreedREST = []struct {
	rule   string
	r      request
	status int
}{
	{"no time to live", request{"POST", ":send?messageTtlSeconds=0", typeText, "x", nil}, 202},
	{"longest time to live", request{"POST", ":send?messageTtlSeconds=300", typeText, "x", nil}, 202},
	{"longer", request{"POST", ":send?messageTtlSeconds=301", typeText, "x", nil}, 400},
	{"negative", request{"POST", ":send?messageTtlSeconds=-1", typeText, "x", nil}, 400},
	{"no integer", request{"POST", ":send?messageTtlSeconds=1.0", typeText, "x", nil}, 400},
	{"longest key", request{"POST", ":send", typeText, "x", metadataOf(256, 0)}, 202},
	{"longer key", request{"POST", ":send", typeText, "x", metadataOf(257, 0)}, 400},
	{"longest value", request{"POST", ":send", typeText, "x", metadataOf(1, 1024)}, 202},
	{"longer value", request{"POST", ":send", typeText, "x", metadataOf(1, 1025)}, 400},
	{"most metadata", request{"POST", ":send", typeText, "x", metadataOf(2, 1022, 1022, 1022, 1022, 1022, 1022, 1022, 1022)}, 202},
	{"more metadata", request{"POST", ":send", typeText, "x", metadataOf(2, 1022, 1022, 1022, 1022, 1022, 1022, 1022, 1023)}, 400},
	{"longest group", request{"POST", "groups/" + strings.Repeat("g", 1024) + "/:send", typeText, "x", nil}, 202},
	{"longer group", request{"POST", "groups/" + strings.Repeat("g", 1025) + "/:send", typeText, "x", nil}, 400},
	{"blank group", request{"POST", "groups/%20%09/:send", typeText, "x", nil}, 400},
	{"1 MiB", request{"POST", ":send", typeText, strings.Repeat("x", 1<<20), nil}, 202},
	{"more than 1 MiB", request{"POST", ":send", typeText, strings.Repeat("x", 1<<20+1), nil}, 400},
	{"no content type is binary", request{"POST", ":send", "", "\xff", nil}, 202},
	{"unknown content type", request{"POST", ":send", "image/png", "x", nil}, 415},
	{"invalid JSON", request{"POST", ":send", typeJSON, "{", nil}, 400},
	{"groups that nobody is in", request{"POST", "groups/none/:send", typeText, "x", nil}, 202},
	{"a connection that is not there", request{"POST", "connections/none/:send", typeText, "x", nil}, 202},
	{"a filter that selects nobody", request{"POST", ":addToGroups", typeJSON, `{"groups":["h"],"filter":"false"}`, nil}, 200},
	{"no groups", request{"POST", ":addToGroups", typeJSON, `{"groups":[]}`, nil}, 400},
	{"a bulk operation in text", request{"POST", ":addToGroups", typeText, `{"groups":["h"]}`, nil}, 415},
	{"unknown version", request{method: "HEAD", path: "users/alice?api-version=2020-01-01"}, 400},
}

// metadataOf is a header with a key of that length for each value.
func metadataOf(key int, values ...int) http.Header {
	h := http.Header{}
	for i, n := range values {
		name := strings.Repeat("k", max(0, key-1)) + string(rune('a'+i))
		h["X-WebPubSub-Metadata-"+name] = []string{strings.Repeat("v", n)}
	}
	return h
}

func TestAgreedREST(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for _, tt := range agreedREST {
		if a := rest(t, srv, tt.r); a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.rule, a.status, a.body, tt.status)
		}
	}
}

// agreedFilters are filters with whom they select of alice, who is in the group
// g, and of an anonymous client; or with the error that both give.
var agreedFilters = []struct{ filter, selected string }{
	{"userId eq 'alice'", "alice"},
	{"userId ne 'alice'", "anonymous"},
	{"userId eq null", "anonymous"},
	{"userId ne null", "alice"},
	{"userId eq 'Alice'", ""},
	{"USERID eq 'alice'", "alice"},
	{"'g' in groups", "alice"},
	{"not('g' in groups)", "anonymous"},
	{"'G' in groups", ""},
	{"'g' in groups and not('h' in groups)", "alice"},
	{"userId in ('alice','bob')", "alice"},
	{"startswith(userId,'al')", "alice"},
	{"endswith(userId,'ce')", "alice"},
	{"contains(userId,'lic')", "alice"},
	{"length(userId) gt 4", "alice"},
	{"length(userId) gt 5", ""},
	{"indexof(userId,'z') eq -1", "alice anonymous"},
	{"tolower(userId) eq 'alice'", "alice"},
	{"toupper(userId) eq 'ALICE'", "alice"},
	{"trim(' alice ') eq userId", "alice"},
	{"concat(userId,'!') eq 'alice!'", "alice"},
	{"substring(userId,1,2) eq 'li'", "alice"},
	{"userId eq 'it''s'", ""},
	{"true", "alice anonymous"},
	{"false", ""},
	{"true or false and false", "alice anonymous"},
	{"not false and false", ""},
	{"connectionId ne 'x'", "alice anonymous"},
	{"invalid filter", "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. (Parameter 'filter')"},
	{"not 'a'", "Invalid syntax for 'not 'a'': Type 'string', expect 'bool'. (Parameter 'filter')"},
	{"userId lt 1", "Invalid syntax for 'userId lt 1': Type 'string', expect 'int'. (Parameter 'filter')"},
	{"ab", "Token 'ab' is not supported."},
	{"groups/any(g: g eq 'a')", "Invalid syntax for"},
	{"'a'", "Invalid syntax for"},
	{"userId EQ 'a'", "Invalid syntax for"},
	{"'g' IN groups", "Invalid syntax for"},
	{"userId eq \"a\"", "Invalid syntax for"},
	{"userId eq 'a", "Invalid syntax for"},
	{"(true", "Invalid syntax for"},
}

func TestAgreedFilters(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	alice, _ := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	anonymous, _ := dialJSON(t, srv, dialOptions{})
	clients := map[string]*client{"alice": alice, "anonymous": anonymous}
	for _, tt := range agreedFilters {
		a := rest(t, srv, request{"POST", ":send?filter=" + url.QueryEscape(tt.filter), typeText, tt.filter, nil})
		if a.status == 400 {
			if want := strings.ReplaceAll(tt.selected, `"`, `\"`); tt.selected == "" || !strings.Contains(a.body, want) {
				t.Errorf("%s: %s, want %q", tt.filter, a.body, tt.selected)
			}
			continue
		}
		if a.status != 202 || strings.Contains(tt.selected, "'") {
			t.Errorf("%s: %d %s, want %q", tt.filter, a.status, a.body, tt.selected)
		}
		for name, c := range clients {
			if strings.Contains(tt.selected, name) {
				if got := c.recv(); !strings.Contains(got, `"dataType":"text"`) {
					t.Errorf("%s: %s got %s", tt.filter, name, got)
				}
			}
			c.expectNothingElse()
		}
	}
}

// Tokens of the REST API; those of clients are in TestClientTokens.
func TestAgreedTokens(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	target := srv.URL() + "/api/hubs/chat/users/u/groups"
	const hs256 = `{"alg":"HS256"}`
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tt := range []struct {
		rule, header, claims string // AUD is the address
		ok                   bool
	}{
		{"plain", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(time.Minute)), true},
		{"expired within the skew", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(-4*time.Minute)), true},
		{"expired", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(-6*time.Minute)), false},
		{"not yet, within the skew", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d,"nbf":%d}`, at(time.Hour), at(4*time.Minute)), true},
		{"not yet", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d,"nbf":%d}`, at(time.Hour), at(6*time.Minute)), false},
		{"issued in the future", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d,"iat":%d}`, at(time.Hour), at(30*time.Minute)), true},
		{"no exp", hs256, `{"aud":AUD}`, false},
		{"no aud", hs256, fmt.Sprintf(`{"exp":%d}`, at(time.Minute)), false},
		{"kid, typ and crit", `{"alg":"HS256","kid":"x","typ":"y","crit":["z"]}`, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(time.Minute)), true},
		{"any issuer", hs256, fmt.Sprintf(`{"aud":AUD,"exp":%d,"iss":"me"}`, at(time.Minute)), true},
		{"HS384", `{"alg":"HS384"}`, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(time.Minute)), false},
		{"none", `{"alg":"none"}`, fmt.Sprintf(`{"aud":AUD,"exp":%d}`, at(time.Minute)), false},
	} {
		bearer := handMade(emulator.DefaultAccessKey, tt.header, strings.ReplaceAll(tt.claims, "AUD", fmt.Sprintf("%q", target)))
		if a := raw(t, request{method: "DELETE"}, target, bearer); (a.status == 204) != tt.ok || !tt.ok && a.status != 401 {
			t.Errorf("%s: %d", tt.rule, a.status)
		}
	}
}

// Roles are whole values, *** is **, and the groups of a token need no role.
func TestAgreedRoles(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for _, tt := range []struct {
		role string
		join bool // the group a.b
	}{
		{"webpubsub.joinLeaveGroup", true},
		{"webpubsub.joinLeaveGroup.a.b", true},
		{"webpubsub.joinLeaveGroup.a", false},
		{"webpubsub.joinLeaveGroups.**", true},
		{"webpubsub.joinLeaveGroups.***", true},
		{"webpubsub.joinLeaveGroups.*", false},
		{"webpubsub.joinLeaveGroups.a.?", true},
		{"webpubsub.sendToGroup", false},
		{"webpubsub.sendToGroup webpubsub.joinLeaveGroup", false},
		{"webpubsub.sendToGroup,webpubsub.joinLeaveGroup", false},
		{"webpubsub.JoinLeaveGroup", false},
		{" webpubsub.joinLeaveGroup", false},
	} {
		c, _ := dialJSON(t, srv, dialOptions{roles: []string{tt.role}, groups: []string{"mine"}})
		c.send(`{"type":"joinGroup","group":"a.b","ackId":1}`)
		if got := c.recv(); strings.Contains(got, `"success":true`) != tt.join {
			t.Errorf("%q: %s", tt.role, got)
		}
		rest(t, srv, request{"POST", "groups/mine/:send", typeText, "x", nil})
		c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"mine","dataType":"text","data":"x"}`)
		_ = c.ws.Close()
	}
}

// The REST API does not see a connection while connect is being handled, and sees
// it while connected is.
func TestAgreedPresenceInEvents(t *testing.T) {
	seen := make(chan string, 10)
	var srv *emulator.Server
	handlers, _ := recorded(t, func(_ http.ResponseWriter, r *http.Request) {
		path := "/api/hubs/chat/connections/" + r.Header.Get("ce-connectionId")
		req, err := http.NewRequestWithContext(r.Context(), http.MethodHead, srv.URL()+path, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+serviceToken(t, emulator.DefaultAccessKey, srv.URL()+path, time.Now().Add(time.Minute)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		seen <- fmt.Sprint(r.Header.Get("ce-eventName"), " ", resp.StatusCode)
	})
	handlers[0].SystemEvents = []string{"connect", "connected"} // disconnected is raised while the server closes
	srv = startWith(t, handlers)
	dialJSON(t, srv, dialOptions{})
	for _, want := range []string{"connect 404", "connected 200"} {
		if got := <-seen; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
