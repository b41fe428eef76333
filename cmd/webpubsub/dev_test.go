package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

const patience = 10 * time.Second

// startDev runs the command until the test ends, on free ports.
func startDev(t *testing.T, flags ...string) (page, connectionString string, log *testlog.Buffer) {
	t.Helper()
	log = &testlog.Buffer{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- dispatch(ctx, testEnv(log, log, nil), append([]string{"dev", "-addr", "127.0.0.1:0", "-functions-addr", "127.0.0.1:0"}, flags...))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("dev ended with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	ready := regexp.MustCompile(`page +(\S+)\n +connection string +(\S+)`)
	waitFor(t, func() bool { return ready.MatchString(log.String()) }, "the page's address")
	m := ready.FindStringSubmatch(log.String())
	return m[1], m[2], log
}

func waitFor(t *testing.T, ok func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never saw %s", what)
		}
	}
}

// person is a user of the application, as far as the wire shows.
type person struct {
	t  *testing.T
	ws *websocket.Conn
}

func join(t *testing.T, page, user string) *person {
	t.Helper()
	return joinOver(t, page, user, nil)
}

func joinOver(t *testing.T, page, user string, config *tls.Config) *person {
	t.Helper()
	resp, err := http.Get(strings.TrimSuffix(page, "index") + "negotiate?userId=" + user)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var n struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&n); err != nil || n.URL == "" {
		t.Fatalf("negotiate answered %s without a URL: %v", resp.Status, err)
	}
	d := websocket.Dialer{TLSClientConfig: config, Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
	ws, _, err := d.Dial(n.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &person{t, ws}
}

func (p *person) send(frame string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		p.t.Fatal(err)
	}
}

// until reads on to a frame that has all these parts.
func (p *person) until(parts ...string) string {
	p.t.Helper()
	var seen []string
	_ = p.ws.SetReadDeadline(time.Now().Add(patience))
next:
	for {
		_, data, err := p.ws.ReadMessage()
		if err != nil {
			p.t.Fatalf("no frame with %q: %v; got\n%s", parts, err, strings.Join(seen, "\n"))
		}
		seen = append(seen, string(data))
		for _, part := range parts {
			if !strings.Contains(string(data), part) {
				continue next
			}
		}
		return string(data)
	}
}

// The whole way: negotiate, emulator, event handler, REST client, emulator,
// and back to the browsers, from the one command: with the application in its own
// process, and with one that it builds and starts.
func TestDevEndToEnd(t *testing.T) {
	for _, flags := range [][]string{nil, {"-app", "../../internal/test/testapp/functions"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			if len(flags) > 0 && testing.Short() {
				t.Skip("programs are not built in short mode")
			}
			page, connectionString, log := startDev(t, flags...)

			resp, err := http.Get(page)
			if err != nil {
				t.Fatal(err)
			}
			html, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || !strings.Contains(string(html), "<html") {
				t.Fatalf("the page answered %s", resp.Status)
			}

			alice := join(t, page, "alice")
			alice.until(`"event":"connected"`, `"userId":"alice"`)
			bob := join(t, page, "bob")
			bob.until(`"event":"connected"`)
			alice.until("bob connected")

			bob.send(`{"type":"event","event":"say","ackId":1,"dataType":"text","data":"hello <b>alice</b>"}`)
			bob.until(`"from":"server"`, testapp.Said)
			bob.until(`"type":"ack"`, `"success":true`)
			alice.until(`bob: hello <b>alice</b>`)

			_ = bob.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"))
			alice.until("bob disconnected")

			// The tools of the command speak to it as to the service.
			if _, _, err := call(t, nil, "send", "-connection-string", connectionString, "-user", "alice", "from the terminal"); err != nil {
				t.Fatal(err)
			}
			alice.until(`"from":"server"`, `"from the terminal"`)

			for _, line := range []string{"connected alice", "event bob", "disconnected bob", "sent " + testapp.Group + " in chat"} {
				waitFor(t, func() bool { return strings.Contains(log.String(), line) }, "the line "+line)
			}
			if strings.Contains(log.String(), "eyJ") {
				t.Error("a token was printed")
			}
		})
	}
}

// An application without a page begins with negotiate.
func TestDevWithoutPage(t *testing.T) {
	log := &testlog.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	e := testEnv(log, log, nil)
	e.newApp = webapp.New
	ended := make(chan error, 1)
	go func() {
		ended <- dispatch(ctx, e, []string{"dev", "-addr", "127.0.0.1:0", "-functions-addr", "127.0.0.1:0"})
	}()
	waitFor(t, func() bool { return strings.Contains(log.String(), "/api/negotiate?userId=alice") }, "the URL of negotiate")
	if strings.Contains(log.String(), "page") {
		t.Errorf("it speaks of a page: %s", log)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("dev ended with %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// What a program does that does not run is the error of the command.
func TestDevAppErrors(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(crashing, "yes")
	for _, tt := range []struct{ app, want string }{
		{self, "it exited before it listened: exit status 3"},
		{"./nowhere", "go build: exit status 1"},
		{"dev.go", "go build: exit status 1"},
	} {
		t.Run(tt.app, func(t *testing.T) {
			_, _, err := call(t, nil, "dev", "-addr", "127.0.0.1:0", "-functions-addr", "127.0.0.1:0", "-app", tt.app)
			if err == nil || !strings.Contains(err.Error(), "-app "+tt.app) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
