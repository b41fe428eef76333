package emulator_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

const (
	jsonProtocol     = "json.webpubsub.azure.v1"
	reliableProtocol = "json.reliable.webpubsub.azure.v1"
	hubName          = "chat"
)

// patience is how long a test waits for something that must come. Nothing
// passes by waiting it out.
const patience = 10 * time.Second

// dialOptions says how a test client connects.
type dialOptions struct {
	hub         string // default hubName
	user        string
	roles       []string
	groups      []string
	subprotocol string
	query       url.Values // beside the token
	noToken     bool
	network     *emulator.MemoryListener // default: the machine's
}

// anything lets a client join and publish to every group.
var anything = []string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"}

// client is a bare WebSocket client: it shows what is on the wire.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func accessToken(t *testing.T, srv *emulator.Server, o dialOptions) string {
	t.Helper()
	if o.hub == "" {
		o.hub = hubName
	}
	compact, err := token.Sign(emulator.DefaultAccessKey, token.Claims{
		Audience: srv.URL() + "/client/hubs/" + o.hub,
		UserID:   o.user, Roles: o.roles, Groups: o.groups,
		Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func tryDial(t *testing.T, srv *emulator.Server, o dialOptions) (*client, *http.Response, error) {
	t.Helper()
	if o.hub == "" {
		o.hub = hubName
	}
	q := url.Values{}
	for k, v := range o.query {
		q[k] = v
	}
	if !o.noToken {
		q.Set("access_token", accessToken(t, srv, o))
	}
	d := websocket.Dialer{}
	if o.network == nil {
		o.network = networkOf(srv)
	}
	if o.network != nil {
		d.NetDialContext = o.network.DialContext
	}
	if o.subprotocol != "" {
		d.Subprotocols = strings.Split(o.subprotocol, ",")
	}
	ws, resp, err := d.Dial(srv.ClientURL(o.hub)+"?"+q.Encode(), nil)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &client{t, ws}, resp, nil
}

func dial(t *testing.T, srv *emulator.Server, o dialOptions) *client {
	t.Helper()
	c, resp, err := tryDial(t, srv, o)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		t.Fatalf("dial: %v (status %d)", err, status)
	}
	return c
}

// connected is the first frame of a client with a subprotocol.
type connected struct {
	ConnectionID, ReconnectionToken string
	UserID                          *string
}

func dialJSON(t *testing.T, srv *emulator.Server, o dialOptions) (*client, connected) {
	t.Helper()
	if o.subprotocol == "" {
		o.subprotocol = jsonProtocol
	}
	c := dial(t, srv, o)
	var hello connected
	if err := json.Unmarshal([]byte(c.recv()), &hello); err != nil || hello.ConnectionID == "" {
		t.Fatalf("no connected frame: %v", err)
	}
	return c, hello
}

func (c *client) send(frame string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) next() (int, string, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	kind, data, err := c.ws.ReadMessage()
	return kind, string(data), err
}

func (c *client) recv() string {
	c.t.Helper()
	_, data, err := c.next()
	if err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return data
}

func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.recv(); got != w {
			c.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// expectClose wants the connection to be closed now, with this code and reason.
func (c *client) expectClose(code int, reason string) {
	c.t.Helper()
	_, data, err := c.next()
	if err == nil {
		c.t.Fatalf("got the message %s, want a close", data)
	}
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code || closed.Text != reason {
		c.t.Fatalf("got %v, want close %d %q", err, code, reason)
	}
}

// expectNothingElse sends a ping frame and wants its pong to be next: whatever
// was sent before would have come first.
func (c *client) expectNothingElse() {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	c.expect(`{"type":"pong"}`)
}
