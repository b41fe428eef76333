package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// fill queues n messages of size bytes for whoever is in the group g, without
// ending the bubble's time.
func fill(t *testing.T, srv *emulator.Server, o dialOptions, n, size int) {
	t.Helper()
	sender := dial(t, srv, dialOptions{network: o.network, roles: anything, query: map[string][]string{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}})
	for range n {
		sender.send(strings.Repeat("x", size))
	}
	_ = sender.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	if _, _, err := sender.next(); !websocket.IsCloseError(err, 1000) {
		t.Fatal(err)
	}
}

// A client behind a slow network reads for minutes what was queued before a ping,
// so it cannot answer in time. It was cut after 40 s, though it made progress.
func TestSlowReaderIsNotCut(t *testing.T) {
	bubble(t, emulator.Options{MaxPendingMessages: 2000, MaxPendingBytes: 64 << 20}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		slow := dial(t, srv, dialOptions{network: o.network, groups: []string{"g"}})
		fill(t, srv, o, 200, 100_000) // 20 MB
		start := time.Now()
		buf := make([]byte, 8192)
		total := 0
		for total < 200*100_000 {
			time.Sleep(100 * time.Millisecond) // 80 kB/s
			n, err := slow.ws.NetConn().Read(buf)
			if err != nil {
				t.Fatalf("cut after %v and %d bytes: %v", time.Since(start), total, err)
			}
			total += n
		}
		if d := time.Since(start); d < 2*time.Minute {
			t.Errorf("that took %v only", d)
		}
	})
}

// A peer that takes nothing is disconnected when a write has made no progress for
// a while, though frames come from it.
func TestPeerThatDoesNotReadIsClosed(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.groups = []string{"g"}
		deaf, hello := dialJSON(t, srv, o)
		fill(t, srv, o, 20, 100_000)
		start := time.Now()
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			for deaf.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"sequenceAck","sequenceId":0}`)) == nil {
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(2 * time.Minute)
		e := waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		if d := e.Time.Sub(start); d < 20*time.Second || d > 70*time.Second {
			t.Errorf("cut after %v", d)
		}
		<-stop
	})
}

// A client that sends pings and reads no pong was kept with all of them. One pong
// waits in place of all that were not written.
func TestPongsAreBounded(t *testing.T) {
	bubble(t, emulator.Options{MaxPendingMessages: 100}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		hostile, hello := dialJSON(t, srv, o)
		payload := rawFrame(fin|opPing, strings.Repeat("x", 125))
		start := time.Now()
		for range 20_000 { // 2.5 MB of pongs
			if _, err := hostile.ws.NetConn().Write(payload); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		e := waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		if d := e.Time.Sub(start); d > 70*time.Second {
			t.Errorf("disconnected after %v", d)
		}
	})
}

// A network that fails in silence is noticed by the ping that is not answered,
// also where single messages are still taken into its buffers.
func TestSilentPeerIsCutThoughMessagesAreTaken(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.groups = []string{"g"}
		_, hello := dialJSON(t, srv, o)
		sender := dial(t, srv, dialOptions{network: o.network, roles: anything, query: map[string][]string{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}})
		go func() { _, _, _ = sender.ws.ReadMessage() }() // it answers pings
		start := time.Now()
		for i := range 60 {
			sender.send(fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		e := waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		if d := e.Time.Sub(start); d != 40*time.Second {
			t.Errorf("cut after %v", d)
		}
	})
}

// The end of a client that says goodbye but reads nothing does not wait for what
// is being written to it.
func TestCloseBehindABatch(t *testing.T) {
	bubble(t, emulator.Options{}, func(t *testing.T, srv *emulator.Server, o dialOptions) {
		o.groups = []string{"g"}
		deaf, hello := dialJSON(t, srv, o)
		fill(t, srv, o, 20, 100_000)
		start := time.Now()
		if err := deaf.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")); err != nil {
			t.Fatal(err)
		}
		e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID)
		if d := e.Time.Sub(start); e.Reason != "bye" || d > 5*time.Second {
			t.Errorf("ended after %v: %s", d, e.Reason)
		}
	})
}
