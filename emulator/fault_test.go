package emulator_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// bubble runs a test in virtual time, with everything in memory.
func bubble(t *testing.T, o emulator.Options, test func(t *testing.T, srv *emulator.Server, o dialOptions)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := emulator.NewMemoryListener()
		o.Listener = network
		test(t, emulator.StartT(t, o), dialOptions{subprotocol: reliableProtocol, roles: anything, network: network})
	})
}

// again is how the client comes back.
func (o dialOptions) again(hello connected) dialOptions {
	r := recovery(hello)
	r.network = o.network
	return r
}

// What is cut when its ack is written has happened: the retry is a duplicate.
// What is cut when it is read has not.
func TestFaultCut(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		to, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}, network: o.network})
		for i, tt := range []struct {
			fault emulator.Fault
			retry string
		}{
			{emulator.Fault{At: emulator.AtSend, Frame: "ack"}, `{"type":"ack","ackId":2,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 2 has been processed"}}`},
			{emulator.Fault{At: emulator.AtReceive, Frame: "sendToGroup"}, acked(2)},
		} {
			c, hello := dialJSON(t, srv, o)
			tt.fault.Action, tt.fault.ConnectionID, tt.fault.Skip, tt.fault.Times = emulator.ResetConnection(), hello.ConnectionID, 1, 1
			f := srv.Inject(tt.fault)
			c.send(`{"type":"sendToGroup","group":"g","ackId":1,"data":0}`)
			c.expect(acked(1)) // the first one passes
			to.recv()
			message := fmt.Sprintf(`{"type":"sendToGroup","group":"g","ackId":2,"data":%d}`, i)
			c.send(message)
			if _, data, err := c.next(); err == nil {
				t.Fatalf("got %s, want the connection to be cut", data)
			}
			back := dial(t, srv, o.again(hello))
			back.send(message)
			back.expect(tt.retry)
			to.expect(fmt.Sprintf(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"json","data":%d}`, i))
			if f.Count() != 1 {
				t.Errorf("%d hits", f.Count())
			}
			f.Remove()
		}
		to.expectNothingElse()
	})
}

func TestFaultDelay(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.groups = []string{"g"}
		slow, hello := dialJSON(t, srv, o)
		srv.Inject(emulator.Fault{At: emulator.AtSend, Action: emulator.Delay(time.Second), ConnectionID: hello.ConnectionID, Frame: "message"})
		start := time.Now()
		for i := range 5 {
			slow.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","data":%d}`, i))
		}
		for i := range 5 {
			slow.expect(sequenced(i+1, "g", "null", i))
			if got, want := time.Since(start), time.Duration(i+1)*time.Second; got != want {
				t.Errorf("message %d came after %v, want %v", i, got, want)
			}
		}
	})
}

// A client that does not read is closed when too much waits for it.
func TestFaultStall(t *testing.T) {
	bubble(t, emulator.Options{MaxPendingMessages: 10}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.groups = []string{"g"}
		o.user = "slow"
		stalled, hello := dialJSON(t, srv, o)
		f := srv.Inject(emulator.Fault{At: emulator.AtSend, Action: emulator.Stall(), UserID: "slow"})
		c, _ := dialJSON(t, srv, dialOptions{roles: anything, network: o.network})
		for i := range 11 {
			c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","data":%d}`, i))
		}
		c.expectNothingElse()
		synctest.Wait()
		if e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); e.Status != websocket.ClosePolicyViolation || !strings.Contains(e.Reason, "SlowClient") {
			t.Errorf("ended with %d %s", e.Status, e.Reason)
		}
		f.Remove()
		// What was being written comes, and then the close.
		var err error
		for err == nil {
			_, _, err = stalled.next()
		}
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), "The reliable message buffer is full.") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFaultHandshake(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.user = "ann"
		inject := func(f emulator.Fault) { f.Times = 1; srv.Inject(f) }

		inject(emulator.Fault{At: emulator.AtHandshake, Action: emulator.RejectHandshake(http.StatusServiceUnavailable), UserID: "ann"})
		dialJSON(t, srv, dialOptions{user: "bob", network: o.network})
		if _, resp, err := tryDial(t, srv, o); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %v, want 503", err)
		}
		inject(emulator.Fault{At: emulator.AtHandshake, Action: emulator.ResetConnection(), Hub: "CHAT"})
		if _, resp, err := tryDial(t, srv, o); err == nil || resp != nil {
			t.Errorf("got %v, want no answer", err)
		}
		inject(emulator.Fault{At: emulator.AtHandshake, Action: emulator.CloseWith(websocket.CloseTryAgainLater, "later")})
		dial(t, srv, o).expectClose(websocket.CloseTryAgainLater, "later")
		inject(emulator.Fault{At: emulator.AtHandshake, Action: emulator.Delay(time.Minute)})
		start := time.Now()
		c, hello := dialJSON(t, srv, o)
		if got := time.Since(start); got != time.Minute {
			t.Errorf("the handshake took %v", got)
		}

		// A recovery that fails leaves the connection as it is.
		_ = c.ws.NetConn().Close()
		synctest.Wait()
		inject(emulator.Fault{At: emulator.AtRecovery, Action: emulator.RejectHandshake(http.StatusBadGateway)})
		if _, resp, err := tryDial(t, srv, o.again(hello)); err == nil || resp.StatusCode != http.StatusBadGateway {
			t.Errorf("got %v, want 502", err)
		}
		inject(emulator.Fault{At: emulator.AtRecovery, Action: emulator.FailRecovery(), UserID: "ann"})
		dial(t, srv, o.again(hello)).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
		dial(t, srv, o.again(hello)).expectNothingElse()
	})
}

func TestStrike(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.user = "ann"
		ann, hello := dialJSON(t, srv, o)
		o.user = "bob"
		bob, _ := dialJSON(t, srv, o)
		if n := srv.InjectNow(emulator.Fault{Action: emulator.ResetConnection(), UserID: "ann"}); n != 1 {
			t.Errorf("struck %d, want 1", n)
		}
		if _, _, err := ann.next(); err == nil {
			t.Error("the connection was not cut")
		}
		bob.expectNothingElse()
		if e := waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID); e.Reason != "a fault reset the connection" {
			t.Errorf("reason %q", e.Reason)
		}
		ann = dial(t, srv, o.again(hello))
		ann.expectNothingElse()
		if n := srv.InjectNow(emulator.Fault{Action: emulator.CloseWith(websocket.CloseInternalServerErr, "gone"), Hub: hubName}); n != 2 {
			t.Errorf("struck %d, want 2", n)
		}
		for _, c := range []*client{ann, bob} {
			c.expectClose(websocket.CloseInternalServerErr, "gone")
		}
		dial(t, srv, o.again(hello)).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
	})
}

func TestInvalidFaults(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for want, f := range map[string]emulator.Fault{
		"the point (At) is missing": {Action: emulator.ResetConnection()},
		"the action is missing":     {At: emulator.AtSend},
		"RejectHandshake rejects":   {At: emulator.AtSend, Action: emulator.RejectHandshake(500)},
		"from 400 to 599":           {At: emulator.AtHandshake, Action: emulator.RejectHandshake(200)},
		"Frame is for AtReceive":    {At: emulator.AtRecovery, Action: emulator.ResetConnection(), Frame: "ack"},
		"has no ConnectionID yet":   {At: emulator.AtHandshake, Action: emulator.ResetConnection(), ConnectionID: "x"},
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
					t.Errorf("panic %q, want it to say %q", got, want)
				}
			}()
			srv.Inject(f)
		})
	}
}

// Closing the emulator releases what a fault holds up.
func TestCloseReleasesStalls(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		c, _ := dialJSON(t, srv, o)
		for _, at := range []emulator.FaultPoint{emulator.AtHandshake, emulator.AtReceive, emulator.AtSend} {
			srv.Inject(emulator.Fault{At: at, Action: emulator.Stall()})
		}
		c.send(`{"type":"ping"}`)
		failed := make(chan error)
		go func() {
			_, _, err := tryDial(t, srv, o)
			failed <- err
		}()
		synctest.Wait()
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; err == nil {
			t.Error("a stalled handshake succeeded")
		}
		var closed *websocket.CloseError
		if _, _, err := c.next(); err == nil || errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
			t.Errorf("got %v, want the connection to be cut", err)
		}
	})
}
