package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/service"
)

// running is a command that runs until it is stopped or ends.
type running struct {
	t        *testing.T
	out, err testlog.Buffer
	stdin    *io.PipeWriter
	status   chan int
	cancel   func()
}

// start runs a command in the background.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, status: make(chan int, 1), cancel: cancel}
	e := testEnv(&r.out, &r.err, env)
	stdin, w := io.Pipe()
	e.in, r.stdin = stdin, w
	go func() { r.status <- e.exitStatus(dispatch(ctx, e, args)) }()
	t.Cleanup(func() { cancel(); _ = w.Close() })
	return r
}

// prints waits for text on standard output.
func (r *running) prints(want string) {
	r.t.Helper()
	waitFor(r.t, func() bool { return strings.Contains(r.out.String(), want) }, want)
}

// reports waits for text on standard error.
func (r *running) reports(want string) {
	r.t.Helper()
	waitFor(r.t, func() bool { return strings.Contains(r.err.String(), want) }, want)
}

// ends waits for the command's end and checks its exit status.
func (r *running) ends(want int) {
	r.t.Helper()
	if got := <-r.status; got != want {
		r.t.Errorf("status %d, want %d\n%s", got, want, r.err.String())
	}
}

func connectionStringOf(srv *emulator.Server) []string {
	return []string{"WebPubSubConnectionString=" + srv.ConnectionString()}
}

// Received messages are on standard output and nothing else, so that they can be
// piped.
func TestListen(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	env := connectionStringOf(srv)
	url, _, err := call(t, env, "token", "-user", "bob", "-role", "webpubsub.joinLeaveGroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		user string
	}{
		{[]string{"-user", "alice", "-group", "news"}, "alice"},
		{[]string{"-group", "news", "-protocol", "protobuf", strings.TrimSpace(url)}, "bob"},
	} {
		l := start(t, env, append([]string{"listen"}, tt.args...)...)
		l.reports("of user " + tt.user)
		l.reports("joined group news")
		send := func(args ...string) {
			t.Helper()
			if _, _, err := call(t, env, append([]string{"send"}, args...)...); err != nil {
				t.Fatal(err)
			}
		}
		send("-user", tt.user, "hello\x1b[2J")
		l.prints("server: hello·[2J")
		send("-group", "news", "-type", "json", "42")
		l.prints("group news: 42")
		l.cancel()
		l.ends(0)
		l.reports("disconnected, 1000")
		if lines := strings.Count(l.out.String(), "\n"); lines != 2 {
			t.Errorf("standard output has %d lines, want the 2 messages:\n%s", lines, l.out.String())
		}
	}
}

// Every data type is decoded, in a line of text and in a line of JSON.
func TestListenDecodes(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	env := connectionStringOf(srv)
	hub, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	known, err := anypb.New(structpb.NewStringValue("inside"))
	if err != nil {
		t.Fatal(err)
	}
	knownBytes, _ := proto.Marshal(known)
	unknownBytes, _ := proto.Marshal(&anypb.Any{TypeUrl: "type.googleapis.com/mine.Chat", Value: []byte{8, 1}})
	for _, tt := range []struct {
		m    webpubsub.Message
		text string
		data string // of JSON, with its type
	}{
		{webpubsub.Text("two\nlines").WithMetadata("k", "v"), "server: two·lines  map[k:v]", `"text" "two\nlines" map[k:v]`},
		{webpubsub.MustJSON(map[string]any{"a": "<\u009b>"}), `server: {"a":"<·>"}`, "\"json\" {\"a\":\"<\\u009b>\"} map[]"},
		{webpubsub.Binary([]byte("abc")), "server: (3 bytes) abc", `"binary" "YWJj" map[]`},
		{webpubsub.Binary([]byte{0, 255}), "server: (2 bytes) 00ff", `"binary" "AP8=" map[]`},
		{webpubsub.Protobuf(knownBytes), `server: type.googleapis.com/google.protobuf.Value "inside"`, `"protobuf" "inside" map[]`},
		{webpubsub.Protobuf(unknownBytes), "server: type.googleapis.com/mine.Chat (2 bytes) 0801", `"protobuf" "CAE=" map[]`},
	} {
		text := start(t, env, "listen", "-protocol", "protobuf")
		lines := start(t, env, "listen", "-protocol", "protobuf", "-o", "json")
		text.reports("connected")
		lines.reports("connected")
		if err := hub.SendToAll(t.Context(), tt.m, nil); err != nil {
			t.Fatal(err)
		}
		text.prints(tt.text)
		lines.prints("\n")
		var got struct {
			Time     time.Time
			From     string
			DataType webpubsub.DataType
			Data     json.RawMessage
			Metadata map[string]string
		}
		if err := json.Unmarshal([]byte(lines.out.String()), &got); err != nil || got.From != "server" || got.Time.IsZero() {
			t.Errorf("%v: %s", err, lines.out.String())
		}
		if data := fmt.Sprintf("%q %s %v", got.DataType, got.Data, got.Metadata); data != tt.data {
			t.Errorf("got %s, want %s", data, tt.data)
		}
		text.cancel()
		lines.cancel()
		text.ends(0)
		lines.ends(0)
	}
}

// eventHandler returns an emulator whose event handler responds to the user event
// "echo" with its data, and rejects every connection if a reason is given.
func eventHandler(t *testing.T, reject string) *emulator.Server {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		switch {
		case r.Header.Get("ce-type") == "azure.webpubsub.sys.connect" && reject != "":
			http.Error(w, reject, http.StatusForbidden)
		case r.Header.Get("ce-type") == "azure.webpubsub.user.echo":
			w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
			_, _ = io.Copy(w, r.Body)
		}
	}))
	t.Cleanup(web.Close)
	return emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{
		"chat": {EventHandlers: []emulator.EventHandler{{URL: web.URL, UserEvents: "*", SystemEvents: []string{"connect"}}}},
	}})
}

// A rejection is reported in one line with all that the service says, without what
// a terminal would execute, and with where to look for the rest.
func TestListenReportsRejection(t *testing.T) {
	says := newFakeService(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "banned until\x1b[31m\nFriday", http.StatusForbidden)
	})
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{says.env(), "403 Forbidden: banned until·[31m·Friday; "},
		{connectionStringOf(eventHandler(t, "banned")), "403 Forbidden"},
	} {
		for _, command := range []string{"listen", "client"} {
			_, errOut, status := exit(t, "", tt.env, command)
			if status != 1 || !strings.Contains(errOut, tt.want) || !strings.Contains(errOut, "the event handler's log, and in the output and the dashboard of the emulator") || strings.Count(errOut, "\n") != 1 {
				t.Errorf("%s: status %d, %s, want %q", command, status, errOut, tt.want)
			}
		}
	}
}

func TestListenRejects(t *testing.T) {
	for _, tt := range []struct {
		want   string
		status int
		args   []string
	}{
		{"takes one URL", 2, []string{"a", "b"}},
		{"must be one of json.reliable", 2, []string{"-protocol", "xml"}},
		{"whose token contains both", 2, []string{"-user", "alice", "ws://127.0.0.1:1/client/hubs/chat?access_token=secret"}},
		{"wss://{host}/client/hubs/{hub}", 1, []string{"http://localhost?access_token=secret"}},
		{"nothing is listening", 1, []string{"ws://" + boundPort(t) + "/client/hubs/chat?access_token=secret"}},
		{"connection string", 2, []string{"-connection-string", "x"}},
	} {
		for _, command := range []string{"listen", "client"} {
			_, errOut, status := exit(t, "", nil, append([]string{command}, tt.args...)...)
			if status != tt.status || !strings.Contains(errOut, tt.want) || strings.Contains(errOut, "secret") {
				t.Errorf("%s %q: status %d, %s, want %q", command, tt.args, status, errOut, tt.want)
			}
		}
	}
}

// The client executes the commands of its standard input.
func TestClient(t *testing.T) {
	srv := eventHandler(t, "")
	env := connectionStringOf(srv)
	l := start(t, env, "listen", "-group", "two words")
	l.reports("joined group")

	c := start(t, env, "client", "-user", "alice")
	c.reports("of user alice")
	for _, step := range []struct{ line, out, err string }{
		{"help", "", "leave a group"},
		{`join "two words"`, "", "join two words: acknowledged"},
		{`send "two words" hello   you `, "group two words, from alice: hello   you ", "send two words: acknowledged"},
		{`send -json "two words" {"a":1}`, `group two words, from alice: {"a":1}`, ""},
		{"event echo over there", "server: over there", "event echo: acknowledged"},
		{"invoke -json echo [1]", "reply to echo: [1]", ""},
		{"invoke nothing", "reply to nothing: (no data)", ""},
		{`leave "two words"`, "", "leave two words: acknowledged"},
		{"", "", ""},
	} {
		if _, err := io.WriteString(c.stdin, step.line+"\n"); err != nil {
			t.Fatal(err)
		}
		c.prints(step.out)
		c.reports(step.err)
	}
	l.prints("group two words, from alice: hello   you ")
	l.prints(`{"a":1}`)
	_, _ = io.WriteString(c.stdin, "quit\n")
	c.ends(0)
}

// A command that fails does not end the client, and shows in the exit status, so
// that a script notices.
func TestClientReportsErrors(t *testing.T) {
	srv := eventHandler(t, "")
	input := "fly\nsend\njoin two words\nsend -json g {\nsend a\nevent 1bad x\nsend g at the end"
	_, errOut, status := exit(t, input, connectionStringOf(srv), "client")
	for _, want := range []string{
		`unknown command "fly"`, "send: the name is missing", "join takes one group", "not one JSON value", "invalid event name", "send g: acknowledged", "5 commands failed",
	} {
		if !strings.Contains(errOut, want) {
			t.Errorf("standard error lacks %q:\n%s", want, errOut)
		}
	}
	if status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestWord(t *testing.T) {
	for line, want := range map[string][2]string{
		"":              {"", ""},
		"  a":           {"a", ""},
		"a b  c ":       {"a", "b  c "},
		`"a b" c`:       {"a b", "c"},
		`"a \"b\"" c`:   {`a "b"`, "c"},
		`"not closed c`: {`"not`, "closed c"},
		"a\r":           {"a", ""},
		"日本 語":          {"日本", "語"},
		"`back` ticks":  {"`back`", "ticks"},
	} {
		if first, rest := word(line); first != want[0] || rest != want[1] {
			t.Errorf("%q: %q and %q, want %q", line, first, rest, want)
		}
	}
}
