package rest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/rest"
	"example.com/webpubsub/internal/token"
)

const key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// member is a session that counts what it gets.
type member struct {
	broker.Session
	got    int
	closed string
}

func (m *member) Deliver(*broker.Message) bool                  { m.got++; return true }
func (m *member) Joined(string, *journal.Cause)                 {}
func (m *member) Left(string, *journal.Cause)                   {}
func (m *member) CloseByServer(reason string, _ *journal.Cause) { m.closed = reason }

type rig struct {
	t   *testing.T
	api *rest.API
	hub *broker.Hub
}

func newRig(t *testing.T) *rig {
	j := journal.New(slog.New(slog.DiscardHandler), nil)
	b := broker.New(j)
	return &rig{t, &rest.API{
		Broker: b, Journal: j, KeyID: "s-1",
		Access: &access.Policy{Host: "localhost:8080", Keys: []string{key}, File: func() access.Names { return access.Names{} }},
	}, b.Hub("chat")}
}

func (r *rig) add(id, user string, groups ...string) (*broker.Conn, *member) {
	m := &member{}
	c := &broker.Conn{Hub: r.hub, ID: id, UserID: user, Session: m}
	r.hub.Add(c, groups, nil)
	return c, m
}

func (r *rig) call(method, path, body string) *httptest.ResponseRecorder {
	r.t.Helper()
	target := "http://localhost:8080/api/hubs/chat/" + path
	signed, err := token.Sign(key, token.Claims{Audience: target, Expires: time.Now().Add(time.Minute)})
	if err != nil {
		r.t.Fatal(err)
	}
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+signed)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, req)
	return w
}

// A rejected send reaches nobody, whatever is wrong with it.
func TestNothingOfARejectedSendIsDelivered(t *testing.T) {
	r := newRig(t)
	_, m := r.add("a", "alice", "g")
	for path, body := range map[string]string{
		":send":                       `{`,
		":send?filter=nonsense":       `1`,
		":send?filter=%zz":            `1`,
		":send?messageTtlSeconds=301": `1`,
		":send?api-version=1":         `1`,
		"groups//:send":               `1`,
		"users/alice/:send?messageTtlSeconds=1&messageTtlSeconds=2": `1`,
	} {
		if w := r.call("POST", path, body); w.Code/100 != 4 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if m.got != 0 {
		t.Errorf("%d messages of rejected requests", m.got)
	}
	if w := r.call("POST", ":send", "null"); w.Code != http.StatusAccepted || m.got != 1 {
		t.Errorf("null: %d, %d messages", w.Code, m.got)
	}
}

// Names are decoded once; an encoded slash stays as it is, so that a name with a
// slash cannot be addressed, as in the service.
func TestNamesInPaths(t *testing.T) {
	r := newRig(t)
	r.add("a", "b c", "x/y", "x%2Fy", "..")
	for path, want := range map[string]int{
		"users/b%20c": 200, "users/b%2520c": 404, "groups/x%2Fy": 200, "groups/x%252Fy": 200, "groups/x/y": 404, "groups/..": 200,
	} {
		if w := r.call("HEAD", path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

func TestMembershipAndPermissions(t *testing.T) {
	r := newRig(t)
	c, m := r.add("a", "alice")
	steps := []struct {
		method, path, body string
		status             int
		check              func() bool
	}{
		{"PUT", "users/alice/groups/g", "", 200, func() bool { return c.IsMember("g") }},
		{"POST", ":removeFromGroups", `{"groups":["g"],"filter":"userId eq 'alice'"}`, 200, func() bool { return !c.IsMember("g") }},
		{"PUT", "groups/h/connections/a", "", 200, func() bool { return c.IsMember("h") }},
		{"DELETE", "connections/a/groups", "", 204, func() bool { return len(c.Groups()) == 0 }},
		{"PUT", "permissions/sendToGroup/connections/a?targetName=g", "", 200, nil},
		{"HEAD", "permissions/sendToGroup/connections/a?targetName=g", "", 200, nil},
		{"DELETE", "permissions/sendToGroup/connections/a?targetName=g", "", 204, nil},
		{"HEAD", "permissions/sendToGroup/connections/a?targetName=g", "", 404, nil},
		{"POST", "users/alice/:closeConnections?reason=a;b", "", 204, func() bool { return m.closed == "a;b" }},
		{"PATCH", "users/alice", "", 405, nil},
		{"GET", "nothing", "", 404, nil},
	}
	for _, s := range steps {
		if w := r.call(s.method, s.path, s.body); w.Code != s.status {
			t.Errorf("%s %s: %d %s", s.method, s.path, w.Code, w.Body)
		}
		if s.check != nil && !s.check() {
			t.Errorf("%s %s had no effect", s.method, s.path)
		}
	}
}
