package session_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/journal"
)

const (
	jsonProtocol     = "json.webpubsub.azure.v1"
	reliableProtocol = "json.reliable.webpubsub.azure.v1"
)

// recorder is an event handler that takes a while for user events.
type recorder struct {
	mu    sync.Mutex
	calls []string
	takes map[string]time.Duration
}

func (r *recorder) handle(name, body string) (int, string) {
	r.mu.Lock()
	r.calls = append(r.calls, strings.TrimSpace(name+" "+body))
	r.mu.Unlock()
	time.Sleep(r.takes[name])
	if name == "fail" {
		return 400, ""
	}
	return 200, body
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.calls, want) {
		t.Errorf("the handler was called with %q, want %q", r.calls, want)
	}
}

// What followed a slow event overtook it: a join was acknowledged before the
// event, a ping answered, and a message sent with the permissions that the event
// was about to change. Microsoft's emulator carries out one frame after another.
func TestFramesAreCarriedOutInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{takes: map[string]time.Duration{"slow": 5 * time.Second}}
		c := newRig(t, h.handle).dial("id=a", jsonProtocol)
		c.send(
			`{"type":"joinGroup","group":"g","ackId":1}`,
			`{"type":"event","event":"slow","dataType":"text","data":"x","ackId":2}`,
			`{"type":"event","event":"fast","dataType":"text","data":"y","ackId":2}`, // the same id, in flight
			`{"type":"sendToGroup","group":"g","dataType":"text","data":"z","ackId":3}`,
			`{"type":"ping"}`,
			`{"type":"leaveGroup","group":"g","ackId":4}`,
		)
		c.expect("connected", "ack 1", "message x", "ack 2", "ack 2 Duplicate", "message z", "ack 3", "pong", "ack 4")
		synctest.Wait()
		h.expect(t, "connected {}", `joined {"group":"g"}`, "slow x", `left {"group":"g"}`)
	})
}

// More than a thousand events in flight once failed with an internal error. Now
// reading stops until there is room, and the pause is not taken for silence.
func TestAFloodOfEventsMeetsBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		h := &recorder{takes: map[string]time.Duration{"e": time.Second}}
		r := newRig(t, h.handle)
		c := r.dial("id=a", jsonProtocol)
		go func() {
			for i := range n {
				_ = c.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"event","event":"e","dataType":"text","data":"%d"}`, i))
			}
		}()
		keepAlive := time.NewTicker(time.Second) // as the emulator runs it
		defer keepAlive.Stop()
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case now := <-keepAlive.C:
					for _, conn := range r.hub.Conns(nil) {
						conn.Session.KeepAlive(now)
					}
				case <-done:
					return
				}
			}
		}()
		c.expect("connected")
		for i := range n {
			c.expect(fmt.Sprintf("message %d", i))
		}
	})
}

// A notification is not awaited: what the client says right after it connected
// reaches the handler while connected is still being handled, or has failed.
func TestConnectedIsNotAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{takes: map[string]time.Duration{"connected": time.Minute}}
		r := newRig(t, h.handle)
		c := r.dial("id=a", jsonProtocol)
		start := time.Now()
		c.send(`{"type":"event","event":"e","dataType":"text","data":"x","ackId":1}`)
		c.expect("connected", "message x", "ack 1")
		_ = c.ws.Close()
		synctest.Wait()
		if took := time.Since(start); took > time.Second {
			t.Errorf("the event waited %v", took)
		}
		h.expect(t, "connected {}", "e x", `disconnected {"reason":"The connection ended."}`)
	})
}

// What a client said before it closed is carried out, and the handler hears of
// its end after that.
func TestFramesBeforeACloseAreCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{takes: map[string]time.Duration{"slow": 5 * time.Second}}
		r := newRig(t, h.handle)
		other := r.dial("id=b", jsonProtocol)
		other.send(`{"type":"joinGroup","group":"g","ackId":1}`)
		other.expect("connected", "ack 1")
		synctest.Wait() // the joined event is a notification
		c := r.dial("id=a", jsonProtocol)
		c.send(
			`{"type":"event","event":"slow","dataType":"text","data":"x"}`,
			`{"type":"sendToGroup","group":"g","dataType":"text","data":"bye"}`,
		)
		_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		other.expect("message bye")
		synctest.Wait()
		h.expect(t, "connected {}", `joined {"group":"g"}`, "connected {}", "slow x", `disconnected {"reason":""}`)
	})
}

// A simple client whose event fails is closed; its next frame once reached the
// handler all the same.
func TestNothingFollowsTheEventThatClosesASimpleClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		r := newRig(t, func(name, body string) (int, string) {
			calls = append(calls, name+" "+body)
			return map[bool]int{true: 200, false: 400}[name != "message"], ""
		})
		c := r.dial("id=a", "")
		c.send("one", "two")
		_, _, err := c.ws.ReadMessage()
		if !websocket.IsCloseError(err, websocket.CloseInternalServerErr) {
			t.Errorf("the client got %v", err)
		}
		synctest.Wait()
		if want := []string{"connected {}", "message one", `disconnected {"reason":"Internal server error"}`}; !slices.Equal(calls, want) {
			t.Errorf("the handler was called with %q", calls)
		}
	})
}

// Invocations keep their place among the frames, but one can be cancelled while
// it waits: then it is never made.
func TestCancelAnInvocationInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{takes: map[string]time.Duration{"slow": 5 * time.Second}}
		c := newRig(t, h.handle).dial("id=a", jsonProtocol)
		c.send(
			`{"type":"invoke","target":"event","event":"slow","invocationId":"1","dataType":"text","data":"x"}`,
			`{"type":"invoke","target":"event","event":"never","invocationId":"2","dataType":"text","data":"y"}`,
			`{"type":"cancelInvocation","invocationId":"2"}`,
			`{"type":"ping"}`,
		)
		c.expect("connected", "response 1 x", "pong")
		h.expect(t, "connected {}", "slow x")
	})
}

// The retry of an event that is in flight waits for it, on whatever link it comes,
// and is then known: the handler is called once.
func TestARetryOnANewLinkIsADuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{takes: map[string]time.Duration{"slow": 5 * time.Second}}
		r := newRig(t, h.handle)
		c := r.dial("id=a", reliableProtocol)
		const event = `{"type":"event","event":"slow","dataType":"text","data":"x","ackId":1}`
		c.expect("connected")
		c.send(event)
		synctest.Wait()
		_ = c.ws.NetConn().Close()
		synctest.Wait()
		c = r.dial("recover=a", reliableProtocol)
		c.send(event)
		c.expect("message x", "ack 1", "ack 1 Duplicate")
		h.expect(t, "connected {}", "slow x")
		var kinds []journal.Kind
		entries, _ := r.journal.Since(0)
		for _, e := range entries {
			kinds = append(kinds, e.Kind)
		}
		if s := fmt.Sprint(kinds); !strings.Contains(s, "interrupted recovered") {
			t.Errorf("the journal has %s", s)
		}
	})
}
