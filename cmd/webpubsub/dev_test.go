package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 10 * time.Second

// startDev runs the command until the test ends, on free ports.
func startDev(t *testing.T, flags ...string) (page, connectionString string, log *output) {
	t.Helper()
	log = &output{}
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
	ready := regexp.MustCompile(`chat page +(\S+)\n +connection string +(\S+)`)
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

// chatter is a person at the chat, as far as the wire shows.
type chatter struct {
	t  *testing.T
	ws *websocket.Conn
}

func join(t *testing.T, page, user string) *chatter {
	t.Helper()
	return joinOver(t, page, user, nil)
}

func joinOver(t *testing.T, page, user string, config *tls.Config) *chatter {
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
	return &chatter{t, ws}
}

func (c *chatter) send(frame string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

// until reads on to a frame that has all these parts.
func (c *chatter) until(parts ...string) string {
	c.t.Helper()
	var seen []string
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
next:
	for {
		_, data, err := c.ws.ReadMessage()
		if err != nil {
			c.t.Fatalf("no frame with %q: %v; got\n%s", parts, err, strings.Join(seen, "\n"))
		}
		seen = append(seen, string(data))
		for _, p := range parts {
			if !strings.Contains(string(data), p) {
				continue next
			}
		}
		return string(data)
	}
}

// The whole way: negotiate, emulator, event handler, REST client, emulator,
// and back to the browsers, from the one command.
func TestDevIsAWorkingChat(t *testing.T) {
	page, connectionString, log := startDev(t)

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
	alice.until(`"type":"presence"`, `"user":"bob"`, `"event":"joined"`)

	bob.send(`{"type":"event","event":"message","ackId":1,"dataType":"json","data":{"id":"m1","text":"hello <b>alice</b>"}}`)
	bob.until(`"from":"server"`, `"type":"sent"`, `"id":"m1"`)
	bob.until(`"type":"ack"`, `"success":true`)
	alice.until(`"type":"message"`, `"user":"bob"`, `hello <b>alice</b>`)

	bob.send(`{"type":"sendToGroup","group":"room.general","noEcho":true,"dataType":"json","data":{"type":"typing"}}`)
	alice.until(`"fromUserId":"bob"`, `"typing"`)

	_ = bob.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye"))
	alice.until(`"type":"presence"`, `"user":"bob"`, `"event":"left"`)

	// The tools of the command speak to it as to the service.
	if _, _, err := call(t, nil, "send", "-connection-string", connectionString, "-user", "alice", "from the terminal"); err != nil {
		t.Fatal(err)
	}
	alice.until(`"from":"server"`, `"from the terminal"`)

	for _, line := range []string{"connected alice", "event bob", "disconnected bob", "sent room.general in chat"} {
		waitFor(t, func() bool { return strings.Contains(log.String(), line) }, "the line "+line)
	}
	if strings.Contains(log.String(), "eyJ") {
		t.Error("a token was printed")
	}
}
