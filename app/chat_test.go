package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/service"
)

// from says who sends an event of the chat, and in which room.
func from(user, room string) *handlertest.Options {
	o := &handlertest.Options{UserID: user, Origin: "127.0.0.1"}
	if room != "" {
		o.State = map[string]any{"room": room}
	}
	return o
}

// reply returns the JSON that a client gets.
func reply(t *testing.T, res *handlertest.Response) map[string]any {
	t.Helper()
	if res.Status != http.StatusOK {
		t.Fatalf("status %d: %s", res.Status, res.Body)
	}
	var v map[string]any
	if err := res.Message().Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestConnect(t *testing.T) {
	for name, tt := range map[string]struct {
		user   string
		query  url.Values
		status int
		room   string
	}{
		"default room":     {"alice", nil, 200, "general"},
		"room of the URL":  {"alice", url.Values{"room": {"Help"}}, 200, "help"},
		"room not ASCII":   {"alice", url.Values{"room": {"grüße"}}, 200, "grüße"},
		"nobody":           {"", nil, 401, ""},
		"room with a dot":  {"alice", url.Values{"room": {"a.b"}}, 400, ""},
		"room as pattern":  {"alice", url.Values{"room": {"*"}}, 400, ""},
		"room too long":    {"alice", url.Values{"room": {strings.Repeat("x", 33)}}, 400, ""},
		"longest room":     {"alice", url.Values{"room": {strings.Repeat("ü", 32)}}, 200, strings.Repeat("ü", 32)},
		"room of a blank":  {"alice", url.Values{"room": {" "}}, 400, ""},
		"room not UTF-8":   {"alice", url.Values{"room": {"a\xff"}}, 400, ""},
		"begins with dash": {"alice", url.Values{"room": {"-a"}}, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := newFakeService(t).newApp(t, nil)
			o := from(tt.user, "")
			o.Query = tt.query
			res := handlertest.Do(a.Events, handlertest.Connect("chat", "c1", o))
			if res.Status != tt.status {
				t.Fatalf("status %d, want %d: %s", res.Status, tt.status, res.Body)
			}
			if tt.status != 200 {
				return
			}
			got := res.Accepted()
			if !slices.Equal(got.Groups, []string{"room." + tt.room}) {
				t.Errorf("groups %q", got.Groups)
			}
			if want := []string{"webpubsub.joinLeaveGroups.room.*", "webpubsub.sendToGroups.room.*"}; !slices.Equal(got.Roles, want) {
				t.Errorf("roles %q", got.Roles)
			}
			if got.UserID != nil || got.Subprotocol != nil {
				t.Errorf("the token's user and the client's subprotocol stay: %+v", got)
			}
			if state, _ := res.State(); string(state["room"]) != `"`+tt.room+`"` {
				t.Errorf("state %s", state)
			}
		})
	}
}

func TestPresence(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.general"] = []service.ConnectionInfo{{ConnectionID: "c1", UserID: "alice"}, {ConnectionID: "c2", UserID: "bob"}}

	connected := handlertest.Connected("chat", "c1", from("alice", "general"))
	if res := handlertest.Do(a.Events, connected); !res.OK() {
		t.Fatalf("status %d", res.Status)
	}
	checkPresence(t, f.taken(), "general", "alice", "joined")

	disconnected := handlertest.Disconnected("chat", "c1", "", from("alice", "general"))
	if res := handlertest.Do(a.Events, disconnected); !res.OK() {
		t.Fatalf("status %d", res.Status)
	}
	checkPresence(t, f.taken(), "general", "alice", "left")
}

func checkPresence(t *testing.T, sends []send, room, user, event string) {
	t.Helper()
	if len(sends) != 1 {
		t.Fatalf("sent %v", sends)
	}
	s := sends[0]
	if s.path != "groups/room."+room+"/:send" || s.excluded != "c1" {
		t.Errorf("sent to %s without %q", s.path, s.excluded)
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(s.body["time"])); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %v", s.body["time"])
	}
	delete(s.body, "time")
	if want := map[string]any{"type": "presence", "room": room, "user": user, "name": user, "event": event}; fmt.Sprint(s.body) != fmt.Sprint(want) {
		t.Errorf("sent %v, want %v", s.body, want)
	}
}

// Somebody with two windows comes with the first and goes with the last.
func TestPresenceOfTwoWindows(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.general"] = []service.ConnectionInfo{{ConnectionID: "c1", UserID: "alice"}, {ConnectionID: "c2", UserID: "alice"}}
	handlertest.Do(a.Events, handlertest.Connected("chat", "c2", from("alice", "general")))
	handlertest.Do(a.Events, handlertest.Disconnected("chat", "c1", "", from("alice", "general")))
	if sends := f.taken(); sends != nil {
		t.Errorf("announced %v", sends)
	}
}

// A list that cannot be had makes notices less precise; it silences nobody.
func TestPresenceWithoutList(t *testing.T) {
	f := newFakeService(t)
	f.fail = func(r *http.Request) int {
		if r.Method == http.MethodGet {
			return http.StatusForbidden
		}
		return 0
	}
	a, log := f.newApp(t, nil)
	handlertest.Do(a.Events, handlertest.Connected("chat", "c1", from("alice", "general")))
	checkPresence(t, f.taken(), "general", "alice", "joined")
	if !strings.Contains(log.String(), "could not be listed") {
		t.Errorf("log: %s", log)
	}
	res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "join", webpubsub.MustJSON(map[string]string{"room": "general"}), from("alice", "general")))
	if v := reply(t, res); v["type"] != "room" || v["members"] != nil {
		t.Errorf("got %v", v)
	}
}

func TestJoin(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.help"] = []service.ConnectionInfo{{ConnectionID: "c3", UserID: "carol"}, {ConnectionID: "c2", UserID: "bob"}, {ConnectionID: "c9"}}
	id := 0
	send := func(m webpubsub.Message) *handlertest.Response {
		o := from("alice", "general")
		id++
		o.ID = fmt.Sprint(id)
		return handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "join", m, o))
	}
	join := func(room string) *handlertest.Response {
		return send(webpubsub.MustJSON(map[string]string{"room": room}))
	}

	// Another room: both rooms hear of it, and the state moves on.
	res := join(" Help ")
	if got := fmt.Sprint(reply(t, res)); got != "map[members:[alice bob carol] room:help type:room]" {
		t.Errorf("got %s", got)
	}
	if state, ok := res.State(); !ok || string(state["room"]) != `"help"` {
		t.Errorf("state %s", state)
	}
	sends := f.taken()
	if len(sends) != 2 {
		t.Fatalf("sent %v", sends)
	}
	checkPresence(t, sends[:1], "general", "alice", "left")
	checkPresence(t, sends[1:], "help", "alice", "joined")

	// The same room: that is how a client asks who is there.
	res = join("general")
	if got := fmt.Sprint(reply(t, res)); got != "map[members:[alice] room:general type:room]" {
		t.Errorf("got %s", got)
	}
	if _, ok := res.State(); ok {
		t.Error("the state was written without a change")
	}
	if sends := f.taken(); sends != nil {
		t.Errorf("announced %v", sends)
	}

	// No room.
	if v := reply(t, join("a/b")); v["type"] != "error" || !strings.Contains(v["error"].(string), "room name") {
		t.Errorf("got %v", v)
	}
	if res := send(webpubsub.Text("help")); res.Status != http.StatusBadRequest {
		t.Errorf("text: status %d", res.Status)
	}
}

// A notice that cannot be sent keeps nobody out of a room.
func TestJoinWithoutNotices(t *testing.T) {
	f := newFakeService(t)
	f.fail = func(r *http.Request) int {
		if r.Method == http.MethodPost {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	a, log := f.newApp(t, nil)
	res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "join", webpubsub.MustJSON(map[string]string{"room": "help"}), from("alice", "general")))
	if v := reply(t, res); v["room"] != "help" {
		t.Errorf("got %v", v)
	}
	if !strings.Contains(log.String(), "was not announced") {
		t.Errorf("log: %s", log)
	}
}

func TestMessage(t *testing.T) {
	const rule = "a message is"
	for name, tt := range map[string]struct {
		m     webpubsub.Message
		room  string
		id    string // of the message; any where "*"
		text  string // as the room gets it
		error string // instead, as the sender gets it
	}{
		"JSON":                 {webpubsub.MustJSON(map[string]string{"id": "m1", "text": " hi <b>\n"}), "general", "m1", "hi <b>", ""},
		"text of a raw client": {webpubsub.Text("hello there"), "general", "*", "hello there", ""},
		"no id":                {webpubsub.MustJSON(map[string]string{"text": "hi"}), "general", "*", "hi", ""},
		"longest":              {webpubsub.Text(strings.Repeat("ü", 4000)), "general", "*", strings.Repeat("ü", 4000), ""},
		"too long":             {webpubsub.MustJSON(map[string]string{"id": "m1", "text": strings.Repeat("ü", 4001)}), "general", "m1", "", "has 4001 characters: at most 4000"},
		"empty":                {webpubsub.MustJSON(map[string]string{"id": "m1", "text": " \n "}), "general", "m1", "", "the message is empty"},
		"no object":            {webpubsub.MustJSON([]int{1}), "general", "", "", rule},
		"text no string":       {webpubsub.MustJSON(map[string]any{"text": 1}), "general", "", "", rule},
		"binary":               {webpubsub.Binary([]byte{1}), "general", "", "", rule + " text or JSON, not binary"},
		"bad id":               {webpubsub.MustJSON(map[string]string{"id": "<script>", "text": "hi"}), "general", "", "", "a message id has"},
		"in no room":           {webpubsub.MustJSON(map[string]string{"id": "m1", "text": "hi"}), "", "m1", "", "join a room first"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeService(t)
			a, _ := f.newApp(t, nil)
			got := reply(t, handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "message", tt.m, from("alice", tt.room))))
			sends := f.taken()
			if tt.error != "" {
				id, _ := got["id"].(string)
				if got["type"] != "error" || !strings.Contains(fmt.Sprint(got["error"]), tt.error) || id != tt.id {
					t.Errorf("got %v", got)
				}
				if sends != nil {
					t.Errorf("a refused message was sent: %v", sends)
				}
				return
			}
			if got["type"] != "sent" || got["room"] != tt.room || got["time"] == nil || (tt.id != "*" && got["id"] != tt.id) || got["id"] == "" {
				t.Errorf("got %v", got)
			}
			if len(sends) != 1 || sends[0].path != "groups/room.general/:send" || sends[0].excluded != "c1" {
				t.Fatalf("sent %v", sends)
			}
			want, _ := json.Marshal(map[string]any{
				"type": "message", "id": got["id"], "room": tt.room, "user": "alice", "name": "alice", "text": tt.text, "time": got["time"],
			})
			if body, _ := json.Marshal(sends[0].body); string(body) != string(want) {
				t.Errorf("sent %s, want %s", body, want)
			}
		})
	}
}

// The service repeats an event whose answer got lost. The room gets the message
// once, and the sender the answer that it missed.
func TestMessageRepeated(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	var first []byte
	for i := range 2 {
		o := from("alice", "general")
		o.ID = "7"
		res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "message", webpubsub.Text("once"), o))
		if i == 0 {
			first = res.Body
		} else if string(res.Body) != string(first) {
			t.Errorf("got %s, then %s", first, res.Body)
		}
	}
	if sends := f.taken(); len(sends) != 1 {
		t.Errorf("sent %v", sends)
	}
}

// What the service does not take is a failed event, so that the service tries
// again and the client learns at last that nobody has read it.
func TestMessageNotTaken(t *testing.T) {
	f := newFakeService(t)
	f.fail = func(*http.Request) int { return http.StatusInternalServerError }
	a, _ := f.newApp(t, nil)
	res := handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", "message", webpubsub.Text("hi"), from("alice", "general")))
	if res.Status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", res.Status, res.Body)
	}
}
