package emulator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

const hubsExample = `{
  "hubs": {
    "chat": {
      "anonymousConnectPolicy": "allow",
      "webSocketKeepAliveIntervalInSeconds": 5,
      "eventListeners": [{"filter": {"type": "EventName", "systemEvents": ["connected"], "userEventPattern": "a,b"}, "endpoint": {"type": "EventHub", "fullyQualifiedNamespace": "a.servicebus.windows.net", "eventHubName": "e"}}, {"endpoint": {"type": "file", "path": "-"}}, {"endpoint": {"type": "Http", "url": "http://localhost:9000"}}],
      "eventHandlers": [
        {
          "urlTemplate": "http://localhost:7071/api/events?code=secret&e={event}",
          "userEventPattern": "*",
          "systemEvents": ["connect", "connected"],
          "groupPresenceEvents": {"eventNames": ["joined"], "groupFilters": ["room.*"]},
          "auth": {"type": "ManagedIdentity", "managedIdentity": {"resource": "api://my-app"}}
        },
        {"urlTemplate": "http://localhost/second", "auth": {"type": "None", "managedIdentity": null}}
      ]
    },
    "other": {"anonymousConnectPolicy": "deny"}
  }
}`

func TestReadHubs(t *testing.T) {
	got, err := emulator.ReadHubs(strings.NewReader(hubsExample))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]emulator.HubSettings{
		"chat": {AllowAnonymous: true, KeepAlive: 5 * time.Second, EventHandlers: []emulator.EventHandler{
			{
				URL: "http://localhost:7071/api/events?code=secret&e={event}", UserEvents: "*",
				SystemEvents: []string{"connect", "connected"}, GroupEvents: []string{"joined"},
				GroupFilters: []string{"room.*"}, Audience: "api://my-app",
			},
			{URL: "http://localhost/second"},
		}, EventListeners: []emulator.EventListener{
			{UserEvents: "a,b", SystemEvents: []string{"connected"}, EventHub: emulator.EventHub{Namespace: "a.servicebus.windows.net", Name: "e"}},
			{File: "-"},
			{URL: "http://localhost:9000"},
		}},
		"other": {},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, s := range []string{`{}`, `{"hubs":null}`, `{"hubs":{}}`} {
		if got, err := emulator.ReadHubs(strings.NewReader(s)); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
}

// An error says where it is and which setting it is about, and nothing of a key
// in a URL.
func TestReadHubsErrors(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(hubsExample, old) {
			t.Fatalf("%s is not in the example", old)
		}
		return strings.Replace(hubsExample, old, new, 1)
	}
	const first = "hubs.chat.eventHandlers[0]"
	for _, tt := range []struct{ text, want string }{
		{"", "line 1: unexpected end of JSON input"},
		{"[]", "line 1: array is not what belongs here: it takes an object"},
		{replace(`"allow",`, `"allow"`), "line 5: invalid character"},
		{hubsExample + "x", "line 20: invalid character"},
		{replace(`"hubs"`, `"hub"`), "line 2: hub: there is no such setting"},
		{replace(`"allow"`, `true`), "line 4: hubs.chat.anonymousConnectPolicy: bool is not what belongs here: it takes a text"},
		{replace(`"allow"`, `"maybe"`), `line 4: hubs.chat.anonymousConnectPolicy: "maybe" is neither allow nor deny`},
		{replace(`"webSocket`, `"websocketx`), "line 5: hubs.chat.websocketxKeepAliveIntervalInSeconds: there is no such setting"},
		{replace(`: 5,`, `: 500,`), "line 5: hubs.chat.webSocketKeepAliveIntervalInSeconds: 500: 1 to 120 are allowed"},
		{replace(`: 5,`, `: 1.5,`), "it takes a whole number"},
		{replace(`"type": "file", `, ``), `line 6: hubs.chat.eventListeners[1].endpoint: the type "" is not one of EventHub, File and Http`},
		{replace(`"path": "-"`, `"url": "http://x"`), "line 6: hubs.chat.eventListeners[1].endpoint: the settings are not those of its type"},
		{replace(`"type": "EventName"`, `"type": "Other"`), `line 6: hubs.chat.eventListeners[0].filter.type: "Other" is not EventName`},
		{replace(`["connected"], "user`, `["connect"], "user`), "line 6: hubs.chat.eventListeners[0]: system event \"connect\" is not for event listeners"},
		{replace(`"eventHubName": "e"`, `"hub": "e"`), "line 6: hubs.chat.eventListeners[0].endpoint.hub: there is no such setting"},
		{replace(`http://localhost:7071`, `localhost:7071`), "line 9: " + first + ".urlTemplate: the event handler URL must begin with http://, https:// or tunnel:///"},
		{replace(`e={event}`, `e={x}`), "line 9: " + first + ".urlTemplate: the event handler URL has an unknown parameter"},
		{replace(`"*"`, `"a*"`), "line 10: " + first + ".userEventPattern: user events"},
		{replace(`"*"`, `["a"]`), "line 10: " + first + ".userEventPattern: array is not what belongs here: it takes a text"},
		{replace(`["connect", "connected"]`, `"connect"`), "line 11: " + first + ".systemEvents: string is not what belongs here: it takes a list"},
		{replace(`"connect", "connected"]`, `"connect", "message"]`), `line 11: ` + first + `.systemEvents: system event "message" is unknown`},
		{replace(`"joined"`, `"join"`), `line 12: ` + first + `.groupPresenceEvents.eventNames: group event "join" is unknown`},
		{replace(`"resource"`, `"audience"`), "line 13: " + first + ".auth.managedIdentity.audience: there is no such setting"},
		{replace(`{"resource": "api://my-app"}`, `{}`), "line 13: " + first + ".auth: managedIdentity.resource is missing"},
		{replace(`"ManagedIdentity"`, `"Key"`), `line 13: ` + first + `.auth.type: "Key" is neither`},
		{replace(`"urlTemplate": "http://localhost/second", `, ``), "line 15: hubs.chat.eventHandlers[1]: the event handler URL is empty"},
		{replace(`"other"`, `"chat"`), "line 3: hubs.chat: it occurs a second time, on line 18"},
		{replace(`"other"`, `"CHAT"`), `hub "chat" is configured twice`},
		{replace(`"other"`, `"o-o!"`), "line 18: hubs.o-o!: "},
		{strings.Repeat("[", 20) + strings.Repeat("]", 20), "line 1: this is nested too deeply"},
		{`{"hubs":{}` + strings.Repeat(" ", 1<<20) + `}`, "exceed 1 MiB"},
	} {
		_, err := emulator.ReadHubs(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a key: %v", err)
		}
	}
}

func FuzzReadHubs(f *testing.F) {
	for _, s := range []string{hubsExample, firewallExample, `{"hubs":{"a":{"eventHandlers":[{"urlTemplate":"http://x"}]}}}`, `{"hubs":[]}`, "[[[", `{"a":1,"a":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hubs, err := emulator.ReadHubs(strings.NewReader(s))
		if err != nil {
			return
		}
		// What was read is what an emulator takes.
		if err := emulator.CheckHubs(hubs); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHubsFileReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handlers, events := upstreamInProcess(t, nil)
		text := func(pattern string) string {
			return fmt.Sprintf(`{"hubs":{"chat":{"eventHandlers":[{"urlTemplate":%q,"userEventPattern":%q}]}}}`, handlers[0].URL, pattern)
		}
		path := filepath.Join(t.TempDir(), "hubs.json")
		write := func(s string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		options := emulator.Options{HubsFile: path, Hubs: map[string]emulator.HubSettings{"base": {AllowAnonymous: true}}}
		if _, err := emulator.Start(options); err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("without a file: %v", err)
		}
		write(`{"hubs":`)
		if _, err := emulator.Start(options); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Fatalf("with a broken file: %v", err)
		}
		write(text("a"))
		srv := virtual(t, options)
		dial(t, srv, dialOptions{hub: "base", noToken: true})
		c, _ := dialJSON(t, srv, dialOptions{})
		ack := 0
		expect := func(name string, delivered bool) {
			t.Helper()
			ack++
			c.send(fmt.Sprintf(`{"type":"event","event":%q,"ackId":%d,"data":%d}`, name, ack, ack))
			if got := c.recv(); strings.Contains(got, `"success":true`) != delivered {
				t.Errorf("%s: %s", name, got)
			}
			if delivered {
				wantEvents(t, events, fmt.Sprintf("%s %d", name, ack))
			}
		}
		last := func() emulator.Entry {
			j := srv.Journal()
			return j[len(j)-1]
		}
		expect("a", true)
		expect("b", false)

		write(text("b"))
		advance(time.Second)
		if e := last(); e.Kind != emulator.EntryReloaded || e.Name != path {
			t.Errorf("after a change the journal says %v", e)
		}
		expect("a", false)
		expect("b", true)

		// Neither a broken nor a missing file takes anything away, and each is told
		// once.
		for _, broken := range []func(){
			func() { write(strings.Replace(text("a"), `"userEventPattern"`, `"userEvents"`, 1)) },
			func() { _ = os.Remove(path) },
		} {
			broken()
			advance(time.Second)
			if e := last(); e.Kind != emulator.EntryRejected || !strings.Contains(e.Reason, path) || !strings.Contains(e.Reason, "remain in force") {
				t.Errorf("the journal says %v", e)
			}
			expect("b", true)
			before := last()
			advance(3 * time.Second)
			if last() != before {
				t.Errorf("told again: %v", last())
			}
		}
		if err := srv.SetHub("chat", emulator.HubSettings{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("SetHub on a hub of the file: %v", err)
		}
		if err := srv.SetHub("base", emulator.HubSettings{}); err != nil {
			t.Error(err)
		}

		write(text("a"))
		advance(time.Second)
		expect("a", true)
		// A hub that the file no longer has falls back to the options.
		write(`{}`)
		advance(time.Second)
		expect("a", false)
	})
}
