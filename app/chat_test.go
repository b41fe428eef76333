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
	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

// eventTime is when the events of these tests happened.
var eventTime = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// from returns the options of an event of a user who is in these rooms.
func from(user string, rooms ...string) *handlertest.Options {
	o := &handlertest.Options{UserID: user, Origin: "127.0.0.1", Time: eventTime}
	if rooms != nil {
		o.State = map[string]any{"rooms": rooms}
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

// sender returns a function that sends user events, each with another ID.
func sender(a *webapp.App, o *handlertest.Options) func(event string, m webpubsub.Message) *handlertest.Response {
	id := 0
	return func(event string, m webpubsub.Message) *handlertest.Response {
		id++
		with := *o
		with.ID = fmt.Sprint(id)
		return handlertest.Do(a.Events, handlertest.UserEvent("chat", "c1", event, m, &with))
	}
}

func room(name string) webpubsub.Message { return webpubsub.MustJSON(map[string]string{"room": name}) }

func TestConnect(t *testing.T) {
	many := make([]string, app.MaxRooms+1)
	for i := range many {
		many[i] = fmt.Sprint("r", i)
	}
	for name, tt := range map[string]struct {
		query  []string
		status int
		rooms  []string
	}{
		"default room":     {nil, 200, []string{"general"}},
		"room of the URL":  {[]string{"Help"}, 200, []string{"help"}},
		"several rooms":    {[]string{"a", "b", "A"}, 200, []string{"a", "b"}},
		"as many as can":   {many[1:], 200, many[1:]},
		"too many":         {many, 400, nil},
		"room not ASCII":   {[]string{"grüße"}, 200, []string{"grüße"}},
		"room with a dot":  {[]string{"a.b"}, 400, nil},
		"room as pattern":  {[]string{"*"}, 400, nil},
		"room too long":    {[]string{strings.Repeat("x", 33)}, 400, nil},
		"longest room":     {[]string{strings.Repeat("ü", 32)}, 200, []string{strings.Repeat("ü", 32)}},
		"room of a blank":  {[]string{" "}, 400, nil},
		"room not UTF-8":   {[]string{"a\xff"}, 400, nil},
		"begins with dash": {[]string{"-a"}, 400, nil},
		"one is wrong":     {[]string{"a", ""}, 400, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := newFakeService(t).newApp(t, nil)
			o := from("alice")
			o.Query = url.Values{"room": tt.query}
			res := handlertest.Do(a.Events, handlertest.Connect("chat", "c1", o))
			if res.Status != tt.status {
				t.Fatalf("status %d, want %d: %s", res.Status, tt.status, res.Body)
			}
			if tt.status != 200 {
				return
			}
			var groups, roles []string
			for _, r := range tt.rooms {
				groups = append(groups, "room."+r)
				roles = append(roles, "webpubsub.sendToGroup.room."+r)
			}
			got := res.Accepted()
			if !slices.Equal(got.Groups, groups) {
				t.Errorf("groups %q", got.Groups)
			}
			// No client may publish to a room that it is not in.
			if !slices.Equal(got.Roles, roles) {
				t.Errorf("roles %q", got.Roles)
			}
			if got.UserID != nil || got.Subprotocol != nil {
				t.Errorf("the token's user and the client's subprotocol stay: %+v", got)
			}
			want, _ := json.Marshal(tt.rooms)
			if state, _ := res.State(); string(state["rooms"]) != string(want) {
				t.Errorf("state %s", state)
			}
		})
	}
}

func TestPresence(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.general"] = []service.ConnectionInfo{{ConnectionID: "c1", UserID: "alice"}, {ConnectionID: "c2", UserID: "bob"}}
	f.members["room.help"] = []service.ConnectionInfo{{ConnectionID: "c1", UserID: "alice"}}

	connected := handlertest.Connected("chat", "c1", from("alice", "general", "help"))
	if res := handlertest.Do(a.Events, connected); !res.OK() {
		t.Fatalf("status %d", res.Status)
	}
	checkPresence(t, f.taken(), "alice", "joined", "general", "help")

	disconnected := handlertest.Disconnected("chat", "c1", "", from("alice", "general", "help"))
	if res := handlertest.Do(a.Events, disconnected); !res.OK() {
		t.Fatalf("status %d", res.Status)
	}
	checkPresence(t, f.taken(), "alice", "left", "general", "help")
}

func checkPresence(t *testing.T, sends []send, user, event string, rooms ...string) {
	t.Helper()
	if len(sends) != len(rooms) {
		t.Fatalf("sent %v, want to %q", sends, rooms)
	}
	for i, room := range rooms {
		s := sends[i]
		if s.path != "groups/room."+room+"/:send" || s.excluded != "c1" {
			t.Errorf("sent to %s without %q", s.path, s.excluded)
		}
		want := map[string]any{"type": "presence", "room": room, "user": user, "name": user, "event": event, "time": eventTime.Format(time.RFC3339)}
		if fmt.Sprint(s.body) != fmt.Sprint(want) {
			t.Errorf("sent %v, want %v", s.body, want)
		}
	}
}

// A user with two windows joins with the first and leaves with the last.
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

// The service does not wait for the response to connected: a short connection can
// have ended before the event is handled. If it were announced then, its user would
// be shown in the room forever.
func TestConnectedAfterDisconnected(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.general"] = []service.ConnectionInfo{{ConnectionID: "c2", UserID: "bob"}}
	handlertest.Do(a.Events, handlertest.Disconnected("chat", "c1", "", from("alice", "general")))
	checkPresence(t, f.taken(), "alice", "left", "general")
	handlertest.Do(a.Events, handlertest.Connected("chat", "c1", from("alice", "general")))
	if sends := f.taken(); sends != nil {
		t.Errorf("announced %v", sends)
	}
}

// If members cannot be listed, presence messages are sent without checking for other
// windows of the user.
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
	checkPresence(t, f.taken(), "alice", "joined", "general")
	if !strings.Contains(log.String(), "failed to list room members") {
		t.Errorf("log: %s", log)
	}
	res := sender(a, from("alice", "general"))("join", room("general"))
	if v := reply(t, res); v["type"] != "room" || v["members"] != nil {
		t.Errorf("got %v", v)
	}
}

func TestJoin(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	f.members["room.help"] = []service.ConnectionInfo{{ConnectionID: "c3", UserID: "carol"}, {ConnectionID: "c2", UserID: "B%C3%B3b"}, {ConnectionID: "c9"}}
	send := sender(a, from("alice", "general"))

	// Another room: its members are told, the client can publish to it, and the state
	// contains it.
	res := send("join", room(" Help "))
	if got := fmt.Sprint(reply(t, res)); got != "map[complete:true history:[] members:[B%C3%B3b alice carol] names:map[B%C3%B3b:Bób] room:help type:room]" {
		t.Errorf("got %s", got)
	}
	if state, _ := res.State(); string(state["rooms"]) != `["general","help"]` {
		t.Errorf("state %s", state)
	}
	checkPresence(t, f.taken(), "alice", "joined", "help")
	if got, want := f.changed(), []string{"PUT permissions/sendToGroup/connections/c1 room.help", "PUT groups/room.help/connections/c1"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}

	// A room that it is in: that is how a client asks who is there.
	res = send("join", room("general"))
	if got := fmt.Sprint(reply(t, res)); got != "map[complete:true history:[] members:[alice] room:general type:room]" {
		t.Errorf("got %s", got)
	}
	if _, ok := res.State(); ok || f.taken() != nil || f.changed() != nil {
		t.Error("something was changed")
	}

	// No room.
	if v := reply(t, send("join", room("a/b"))); v["type"] != "error" || !strings.Contains(v["error"].(string), "room name") {
		t.Errorf("got %v", v)
	}
	if res := send("join", webpubsub.Text("help")); res.Status != http.StatusBadRequest {
		t.Errorf("text: status %d", res.Status)
	}
	full := make([]string, app.MaxRooms)
	for i := range full {
		full[i] = fmt.Sprint("r", i)
	}
	if v := reply(t, sender(a, from("alice", full...))("join", room("help"))); v["type"] != "error" || v["room"] != "help" || !strings.Contains(v["error"].(string), "leave one first") {
		t.Errorf("got %v", v)
	}
}

func TestLeave(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	send := sender(a, from("alice", "general", "help"))
	res := send("leave", room("general"))
	if got := fmt.Sprint(reply(t, res)); got != "map[room:general type:left]" {
		t.Errorf("got %s", got)
	}
	if state, _ := res.State(); string(state["rooms"]) != `["help"]` {
		t.Errorf("state %s", state)
	}
	checkPresence(t, f.taken(), "alice", "left", "general")
	if got, want := f.changed(), []string{"DELETE groups/room.general/connections/c1", "DELETE permissions/sendToGroup/connections/c1 room.general"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	if got := fmt.Sprint(reply(t, send("leave", room("other")))); got != "map[room:other type:left]" || f.changed() != nil {
		t.Errorf("a room that it is not in: got %s", got)
	}
}

// A user can join a room if the presence message cannot be sent. The event fails if
// the permission cannot be granted, because the client would receive no messages.
func TestJoinWithFailures(t *testing.T) {
	failing := ""
	f := newFakeService(t)
	f.fail = func(r *http.Request) int {
		if r.Method == failing {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	a, log := f.newApp(t, nil)
	send := sender(a, from("alice", "general"))
	failing = http.MethodPost
	if v := reply(t, send("join", room("help"))); v["room"] != "help" {
		t.Errorf("got %v", v)
	}
	if !strings.Contains(log.String(), "failed to send presence message") {
		t.Errorf("log: %s", log)
	}
	failing = http.MethodPut
	if res := send("join", room("other")); res.Status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", res.Status, res.Body)
	}
	failing = http.MethodDelete
	if res := send("leave", room("general")); res.Status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", res.Status, res.Body)
	}
}

func TestMessage(t *testing.T) {
	const rule = "a message is"
	in := func(fields map[string]string) webpubsub.Message { return webpubsub.MustJSON(fields) }
	for name, tt := range map[string]struct {
		m     webpubsub.Message
		rooms []string
		id    string // of the message; any if "*"
		text  string // as the room gets it
		error string // instead, as the sender gets it
	}{
		"JSON":                 {in(map[string]string{"id": "m1", "room": "general", "text": " hi <b>\n"}), []string{"help", "general"}, "m1", "hi <b>", ""},
		"text of a raw client": {webpubsub.Text("hello there"), []string{"general"}, "*", "hello there", ""},
		"no id":                {in(map[string]string{"text": "hi"}), []string{"general"}, "*", "hi", ""},
		"longest":              {webpubsub.Text(strings.Repeat("ü", 4000)), []string{"general"}, "*", strings.Repeat("ü", 4000), ""},
		"too long":             {in(map[string]string{"id": "m1", "text": strings.Repeat("ü", 4001)}), []string{"general"}, "m1", "", "has 4001 characters: at most 4000"},
		"empty":                {in(map[string]string{"id": "m1", "text": " \n "}), []string{"general"}, "m1", "", "the message is empty"},
		"no object":            {webpubsub.MustJSON([]int{1}), []string{"general"}, "", "", rule},
		"text no string":       {webpubsub.MustJSON(map[string]any{"text": 1}), []string{"general"}, "", "", rule},
		"binary":               {webpubsub.Binary([]byte{1}), []string{"general"}, "", "", rule + " text or JSON, not binary"},
		"bad id":               {in(map[string]string{"id": "<script>", "text": "hi"}), []string{"general"}, "", "", "a message id has"},
		"in no room":           {in(map[string]string{"id": "m1", "text": "hi"}), nil, "m1", "", "join the room first"},
		"in another room":      {in(map[string]string{"id": "m1", "room": "help", "text": "hi"}), []string{"general"}, "m1", "", "join the room first"},
		"in which room?":       {in(map[string]string{"id": "m1", "text": "hi"}), []string{"general", "help"}, "m1", "", "names no room"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeService(t)
			a, _ := f.newApp(t, nil)
			send := sender(a, from("alice", tt.rooms...))
			got := reply(t, send("message", tt.m))
			sends := f.taken()
			if tt.error != "" {
				id, _ := got["id"].(string)
				if got["type"] != "error" || !strings.Contains(fmt.Sprint(got["error"]), tt.error) || id != tt.id {
					t.Errorf("got %v", got)
				}
				if sends != nil {
					t.Errorf("a rejected message was sent: %v", sends)
				}
				return
			}
			if got["type"] != "sent" || got["room"] != "general" || (tt.id != "*" && got["id"] != tt.id) || got["id"] == "" {
				t.Errorf("got %v", got)
			}
			if len(sends) != 1 || sends[0].path != "groups/room.general/:send" || sends[0].excluded != "c1" {
				t.Fatalf("sent %v", sends)
			}
			stored := map[string]any{"id": got["id"], "user": "alice", "name": "alice", "text": tt.text, "time": eventTime.Format(time.RFC3339)}
			want := map[string]any{"type": "message", "room": "general"}
			for k, v := range stored {
				want[k] = v
			}
			if fmt.Sprint(sends[0].body) != fmt.Sprint(want) {
				t.Errorf("sent %v, want %v", sends[0].body, want)
			}
			// Who enters the room later gets it as well.
			if got := reply(t, send("join", room("general"))); fmt.Sprint(got["history"]) != fmt.Sprint([]any{stored}) || got["complete"] != true {
				t.Errorf("the history is %v", got)
			}
		})
	}
}

// The service retries an event if the response is lost. The room receives the message
// once, and the sender the reply that it missed.
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

// A client that missed the reply sends its message again, as another event. The
// history contains it once.
func TestMessageSentAgain(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	send := sender(a, from("alice", "general"))
	for range 2 {
		send("message", webpubsub.MustJSON(map[string]string{"id": "m1", "text": "once"}))
	}
	if history := reply(t, send("join", room("general")))["history"].([]any); len(history) != 1 {
		t.Errorf("the history is %v", history)
	}
}

// If the message cannot be sent, the event fails, so that the service retries it and
// the client is told if all tries fail.
func TestMessageNotSent(t *testing.T) {
	f := newFakeService(t)
	f.fail = func(*http.Request) int { return http.StatusInternalServerError }
	a, _ := f.newApp(t, nil)
	if res := sender(a, from("alice", "general"))("message", webpubsub.Text("hi")); res.Status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", res.Status, res.Body)
	}
}

// The reply contains the last messages only, and whether there are earlier ones.
func TestHistory(t *testing.T) {
	f := newFakeService(t)
	a, _ := f.newApp(t, nil)
	send := sender(a, from("alice", "general"))
	history := func() ([]any, bool) {
		got := reply(t, send("join", room("general")))
		return got["history"].([]any), got["complete"].(bool)
	}
	for i := range 51 {
		if h, complete := history(); len(h) != i || !complete {
			t.Fatalf("after %d: %d messages, complete is %v", i, len(h), complete)
		}
		send("message", webpubsub.Text(fmt.Sprint("n", i)))
	}
	h, complete := history()
	if len(h) != 50 || complete || h[0].(map[string]any)["text"] != "n1" || h[49].(map[string]any)["text"] != "n50" {
		t.Errorf("%d messages, complete is %v: %v", len(h), complete, h)
	}
	for range 50 {
		send("message", webpubsub.Text(strings.Repeat("\U0001F389", 4000)))
	}
	if h, complete = history(); len(h) != 8 || complete {
		t.Errorf("%d messages of 16 kB, complete is %v", len(h), complete)
	}
}
