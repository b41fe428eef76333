package emulator_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// recovery is how a client comes back: without an access token.
func recovery(hello connected) dialOptions {
	return dialOptions{noToken: true, subprotocol: reliableProtocol, query: url.Values{
		"awps_connection_id":      {hello.ConnectionID},
		"awps_reconnection_token": {hello.ReconnectionToken},
	}}
}

func expectNotRecovered(t *testing.T, srv *emulator.Server, hello connected) {
	t.Helper()
	dial(t, srv, recovery(hello)).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
}

// waitFor waits for a journal entry of that kind for the connection.
func waitFor(t *testing.T, srv *emulator.Server, kind emulator.EntryKind, id string) emulator.Entry {
	t.Helper()
	return waitForNth(t, srv, kind, id, 1)
}

func waitForNth(t *testing.T, srv *emulator.Server, kind emulator.EntryKind, id string, n int) emulator.Entry {
	t.Helper()
	seen := 0
	return waitForEntry(t, srv, fmt.Sprintf("%d entries %q for %s", n, kind, id), func(e emulator.Entry) bool {
		if e.Kind == kind && e.ConnectionID == id {
			seen++
		}
		return seen == n
	})
}

// waitForEntry waits for a journal entry that match accepts.
func waitForEntry(t *testing.T, srv *emulator.Server, what string, match func(emulator.Entry) bool) emulator.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := srv.WaitFor(ctx, match)
	if err != nil {
		t.Fatalf("waiting for %s: %v; the journal has %v", what, err, srv.Journal())
	}
	return e
}

func sequenced(n int, group, user string, data any) string {
	return fmt.Sprintf(`{"sequenceId":%d,"type":"message","from":"group","fromUserId":%s,"group":%q,"dataType":"json","data":%v}`, n, user, group, data)
}

func TestRecoveryReplaysWhatWasNotAcknowledged(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	lost, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"g"}, roles: anything})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything})
	publish := func(from, to int) {
		for i := from; i <= to; i++ {
			c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","data":%d}`, i))
		}
		c.expectNothingElse()
	}
	publish(1, 3)
	for i := 1; i <= 3; i++ {
		lost.expect(sequenced(i, "g", "null", i))
	}
	// An ack is cumulative; the same one again, or a lower one, means nothing.
	for _, id := range []int{2, 2, 1, 0} {
		lost.send(fmt.Sprintf(`{"type":"sequenceAck","sequenceId":%d}`, id))
	}
	lost.send(`{"type":"joinGroup","group":"h","ackId":7}`)
	lost.expect(`{"type":"ack","ackId":7,"success":true}`)
	lost.expectNothingElse()
	_ = lost.ws.NetConn().Close()
	waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
	publish(4, 5)

	back := dial(t, srv, recovery(hello))
	for i := 3; i <= 5; i++ {
		back.expect(sequenced(i, "g", "null", i))
	}
	// Groups, roles and the memory of ack ids came along.
	back.send(`{"type":"joinGroup","group":"h","ackId":7}`)
	back.expect(`{"type":"ack","ackId":7,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 7 has been processed"}}`)
	c.send(`{"type":"sendToGroup","group":"h","data":6}`)
	back.expect(sequenced(6, "h", "null", 6))
}

func TestRecoveryIsRefused(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	alive, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
	_, other := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
	_, simple := dialJSON(t, srv, dialOptions{})
	for name, h := range map[string]connected{
		"unknown connection":      {ConnectionID: "nobody", ReconnectionToken: hello.ReconnectionToken},
		"token of another client": {ConnectionID: hello.ConnectionID, ReconnectionToken: other.ReconnectionToken},
		"no token":                {ConnectionID: hello.ConnectionID},
		"not a reliable protocol": {ConnectionID: simple.ConnectionID, ReconnectionToken: hello.ReconnectionToken},
	} {
		t.Run(name, func(t *testing.T) { expectNotRecovered(t, srv, h) })
	}
	alive.expectNothingElse() // no attempt did any harm
	t.Run("another hub", func(t *testing.T) {
		o := recovery(hello)
		o.hub = "other"
		dial(t, srv, o).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
	})
	t.Run("a hub that cannot be", func(t *testing.T) {
		o := recovery(hello)
		o.hub = "1-hub"
		dial(t, srv, o).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
	})
	t.Run("a token without connection id is a new connection", func(t *testing.T) {
		o := recovery(hello)
		o.query.Del("awps_connection_id")
		if _, resp, err := tryDial(t, srv, o); err == nil || resp.StatusCode != 401 {
			t.Errorf("got %v, want 401: a new connection needs an access token", err)
		}
	})
}

// A second link takes over from one that still looks alive: the network may
// have forgotten to say that it is gone.
func TestRecoveryTakesOver(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	old, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, roles: anything})
	fresh := dial(t, srv, recovery(hello))
	fresh.expectNothingElse()
	if _, _, err := old.next(); err == nil {
		t.Error("the old link is still open")
	}
	fresh.expectNothingElse()
}

func TestRecoveryWindow(t *testing.T) {
	for _, tt := range []struct {
		away time.Duration
		back bool
	}{{29 * time.Second, true}, {31 * time.Second, false}} {
		t.Run(tt.away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{})
				c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
				_ = c.ws.NetConn().Close()
				waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
				advance(tt.away)
				if tt.back {
					dial(t, srv, recovery(hello)).expectNothingElse()
					return
				}
				e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID)
				if e.Reason != "The connection recovery timeout expired." {
					t.Errorf("reason %q", e.Reason)
				}
				expectNotRecovered(t, srv, hello)
			})
		})
	}
}

// A client that closes without a code, as the official JavaScript client does
// when it stops, once lingered in its groups for the recovery window.
func TestRecoveryByCloseCode(t *testing.T) {
	for name, tt := range map[string]struct {
		frame  []byte // nil: the network fails
		final  bool
		reason string
	}{
		"1000":    {websocket.FormatCloseMessage(1000, "bye"), true, "bye"},
		"no code": {[]byte{}, true, ""},
		"1001":    {websocket.FormatCloseMessage(1001, "bye"), false, ""},
		"4000":    {websocket.FormatCloseMessage(4000, "bye"), false, ""},
		"a cut":   {nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
				start := time.Now()
				c, hello := dialJSON(t, srv, o)
				if tt.frame == nil {
					_ = c.ws.NetConn().Close()
				} else if err := c.ws.WriteMessage(websocket.CloseMessage, tt.frame); err != nil {
					t.Fatal(err)
				}
				if tt.final {
					if e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); e.Reason != tt.reason || e.Time != start {
						t.Errorf("ended after %v with %q, want the client's reason", e.Time.Sub(start), e.Reason)
					}
					dial(t, srv, o.again(hello)).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
					return
				}
				waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
				dial(t, srv, o.again(hello)).expectNothingElse()
			})
		})
	}
}

// A client that broke the protocol is not taken back: a reliable SDK tries, and
// has to be told with 1008 to begin anew.
func TestBrokenFrameEndsReliableConnection(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
	c.send("{")
	c.expectClose(1007, "The client message is not a valid JSON protocol message.")
	expectNotRecovered(t, srv, hello)
}

// A test that learns from the journal that a client was lost may let the time
// pass right then. The recovery window used to begin a moment after the entry, and
// so outlived such a test.
func TestRecoveryWindowBeginsBeforeItsEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
		_ = c.ws.NetConn().Close()
		lost := waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		advance(30 * time.Second)
		if ended := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); ended.Time.Sub(lost.Time) != 30*time.Second {
			t.Errorf("the window was %v", ended.Time.Sub(lost.Time))
		}
	})
}
