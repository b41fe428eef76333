package control_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/tunnel"
)

// tunnel opens a tunnel of the hub. opened receives the id of each connection of
// it, done the error with which it ends.
func (r *rig) tunnel(hub string) (opened <-chan string, done <-chan error) {
	r.t.Helper()
	ids, ended := make(chan string, 10), make(chan error, 1)
	tun, err := tunnel.NewFromConnectionString(r.srv.ConnectionString(), hub, &tunnel.Options{
		Dialer:    &websocket.Dialer{NetDialContext: r.network.DialContext},
		Connected: func(id string) { ids <- id },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	go func() { ended <- tun.Serve(r.t.Context(), http.NotFoundHandler()) }()
	return ids, ended
}

// The faults of tunnels do to a tunnel client what those of the Go API do.
func TestTunnels(t *testing.T) {
	r := start(t, emulator.Options{})
	opened, done := r.tunnel("chat")
	others, othersDone := r.tunnel("news")
	first, other := <-opened, <-others
	text := func(path string) string { return fmt.Sprint(r.must("GET", path, "").get("value")) }
	shown := func(hub, id, target string) string {
		if target != "" {
			target = " target:" + target
		}
		return fmt.Sprintf("map[connectionId:%s hub:%s%s]", id, hub, target)
	}
	if got, want := text("/tunnels?hub=CHAT"), "["+shown("chat", first, "")+"]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := text("/tunnels"); !strings.Contains(got, first) || !strings.Contains(got, other) {
		t.Errorf("got %s", got)
	}

	do := func(action, body, want string) {
		t.Helper()
		if got := r.must("POST", "/hubs/chat/tunnels/"+action, body).text("count"); got != want {
			t.Errorf("%s %s was applied to %s tunnels, want %s", action, body, got, want)
		}
	}
	do("rebalance", `{"target":"b"}`, "1")
	second := <-opened
	if got := text("/tunnels?hub=chat"); !strings.Contains(got, shown("chat", first, "")) || !strings.Contains(got, shown("chat", second, "b")) {
		t.Errorf("got %s", got)
	}
	do("reconnect", `{"target":"c","connectionId":"`+first+`"}`, "1")
	third := <-opened
	do("reset", `{"connectionId":"`+second+`"}`, "1")
	fourth := <-opened
	closed := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if _, err := r.srv.WaitFor(t.Context(), func(e emulator.Entry) bool {
				return e.Kind == emulator.EntryTunnelClosed && e.ConnectionID == id
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	closed(first, second)
	if got := text("/tunnels?hub=chat"); !strings.Contains(got, shown("chat", third, "c")) || !strings.Contains(got, fourth) {
		t.Errorf("got %s", got)
	}
	do("close", "", "2")
	if err := <-done; !errors.Is(err, tunnel.ErrClosed) {
		t.Errorf("the tunnel ended with %v", err)
	}
	closed(third, fourth)
	if got, want := text("/tunnels"), "["+shown("news", other, "")+"]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	do("close", "{}", "0")
	r.must("POST", "/hubs/news/tunnels/close", `{"message":"enough"}`)
	if err := <-othersDone; !errors.Is(err, tunnel.ErrClosed) {
		t.Errorf("the tunnel ended with %v", err)
	}

	r.fails(404, "POST", "/hubs/chat/tunnels/reset", `{"connectionId":"`+first+`"}`)
	r.fails(400, "POST", "/hubs/chat/tunnels/reset", `{"target":"b"}`)
	r.fails(400, "POST", "/hubs/chat/tunnels/rebalance", `{"message":"b"}`)
	r.fails(400, "POST", "/hubs/1/tunnels/close", "")
}
