package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, e := start(t, s, client.Options{})
		p.message(1, "one")
		p.message(2, "two")
		e.expect(t, "connected c1 alice", "room bob: one 1", "room bob: two 2")
		p.cut()
		p = s.next()
		if got := p.request.URL.RequestURI(); got != "/client/hubs/chat?access_token=secret&awps_connection_id=c1&awps_reconnection_token=token-of-c1" {
			t.Errorf("recovered with %s", got)
		}
		// The recovered event is not sent before the first frame: the service may still
		// close with 1008.
		e.expect(t, "recovering c1")
		p.message(2, "two")
		p.message(3, "three")
		e.expect(t, "recovered c1", "room bob: three 3")
		if f := p.read("sequenceAck"); *f.SequenceID != 3 {
			t.Errorf("acknowledged %d", *f.SequenceID)
		}
		go p.serve()
	})
}

// A connected frame after a recovery contains the token for the next recovery. It does
// not mean a new connection.
func TestRecoveryWithConnectedFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, e := start(t, s, client.Options{})
		p.cut()
		p = s.next()
		p.send(`{"type":"system","event":"connected","userId":"alice","connectionId":"c1","reconnectionToken":"newer"}`)
		e.expect(t, "connected c1 alice", "recovering c1", "recovered c1")
		p.cut()
		p = s.next()
		if got := p.request.URL.Query().Get("awps_reconnection_token"); got != "newer" {
			t.Errorf("recovered with %q", got)
		}
		go p.serve()
		e.expect(t, "recovering c1", "recovered c1")
	})
}

// Requests that have not been acknowledged are sent again after a recovery, with the
// same ack ID. That does not count as a retry.
func TestCallsSurviveRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{MessageRetry: client.RetryOptions{MaxRetries: -1}})
		done := background(func() error { return c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil) })
		for range 5 {
			if f := p.read("sendToGroup"); *f.AckID != 1 {
				t.Errorf("ack id %d", *f.AckID)
			}
			p.cut()
			p = s.next()
		}
		p.refuse(*p.read("sendToGroup").AckID, "Duplicate")
		must(t, done)

		// On a new connection, it counts.
		done = background(func() error { return c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil) })
		p.read("sendToGroup")
		p.close(1008, "")
		if err := <-done; !errors.Is(err, client.ErrConnectionLost) {
			t.Error(err)
		}
		go s.hello("c2").serve()
		synctest.Wait()
	})
}

// If the service rejects the recovery, the client reconnects.
func TestRecoveryRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		p.join(c, "room")
		p.close(1001, "going away")
		s.next().close(1008, "The connection could not be recovered.")
		p = s.hello("c2")
		p.grant("joinGroup")
		p.message(1, "starts over")
		e.expect(t, "connected c1 alice", "recovering c1", `disconnected c1 1001 "going away" tried=true`,
			"connected c2 alice", "room bob: starts over 1")
		go p.serve()
	})
}

// Responses of proxies and a network that is down are not final: attempts go on
// for 30 seconds, at intervals of a half to one second.
func TestRecoveryWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, e := start(t, s, client.Options{})
		<-s.requests
		s.setRejection(func(r *http.Request) (int, string) {
			if r.URL.Query().Has("awps_connection_id") {
				return 502, ""
			}
			return 0, ""
		})
		began := time.Now()
		p.cut()
		p = s.hello("c2")
		if d, n := time.Since(began), len(s.requests); d < 30*time.Second || d > 32*time.Second || n < 31 || n > 62 {
			t.Errorf("a new connection after %v and %d requests", d, len(s.requests))
		}
		e.expect(t, "connected c1 alice", "recovering c1", `disconnected c1 1006 "" tried=true`, "connected c2 alice")
		s.setRejection(nil)
		p.cut()
		go s.next().serve()
		e.expect(t, "recovering c2", "recovered c2")
	})
}

func TestStandardProtocolIsNotRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, e := prepare(t, s, client.Options{Protocol: client.JSON})
		started := background(func() error { return c.Start(t.Context()) })
		p := s.next()
		p.send(`{"type":"system","event":"connected","userId":null,"connectionId":"c1"}`)
		must(t, started)
		p.cut()
		go s.hello("c2").serve()
		e.expect(t, "connected c1 ", `disconnected c1 1006 "" tried=false`, "connected c2 alice")
	})
}

// Rejoins are sent again after an interruption, and the connected event still waits for
// them.
func TestInterruptedRejoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		p.join(c, "room")
		p.close(1008, "")
		p = s.hello("c2")
		id := *p.read("joinGroup").AckID
		p.cut()
		p = s.next()
		f := p.read("joinGroup")
		if *f.AckID != id {
			t.Errorf("joined with ack id %d, then %d", id, *f.AckID)
		}
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "" tried=false`)
		// If the connection ends before the group is joined, the next one joins it.
		p.close(1008, "")
		p = s.hello("c3")
		p.grant("joinGroup")
		e.expect(t, "connected c2 alice", "recovering c2", "recovered c2", `disconnected c2 1008 "" tried=false`, "connected c3 alice")
		go p.serve()
	})
}

// If a rejoin is not acknowledged, the events are delivered after a timeout.
func TestRejoinTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		p.join(c, "room")
		p.close(1008, "")
		p = s.hello("c2")
		id := *p.read("joinGroup").AckID
		p.message(1, "waits")
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "" tried=false`)
		go p.serve()
		time.Sleep(30 * time.Second)
		e.expect(t, "connected c2 alice", "room bob: waits 1")
		p.refuse(id, "Forbidden")
		e.expect(t, "rejoin failed room: service error: Forbidden: because")
	})
}

func TestSequenceAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, _ := start(t, s, client.Options{PingInterval: -1})
		began := time.Now()
		expect := func(id uint64, after time.Duration) {
			t.Helper()
			f := p.read("sequenceAck")
			if *f.SequenceID != id || time.Since(began) != after {
				t.Errorf("acknowledged %d after %v, want %d after %v", *f.SequenceID, time.Since(began), id, after)
			}
		}
		for i := 1; i <= 3; i++ {
			p.message(i, "x")
		}
		expect(3, time.Second) // once a second, with the largest ID
		p.message(2, "x")
		expect(3, 2*time.Second) // again, for the repeated message
		p.message(303, "x")
		expect(303, 3*time.Second) // a gap of 300 can wait
		p.message(604, "x")
		expect(604, 3*time.Second) // one of 301 cannot
		time.Sleep(10*time.Second + 500*time.Millisecond)
		p.send(`{"type":"message","from":"unknown","sequenceId":605}`)
		expect(605, 14*time.Second) // none in between; an unknown message counts
		go p.serve()
	})
}

// A connection on which nothing is received is dropped and recovered.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, e := start(t, s, client.Options{})
		began := time.Now()
		pings := 0
		for {
			_, data, err := p.ws.ReadMessage()
			if err != nil {
				break // not by a close frame, which would end the connection
			}
			if string(data) != `{"type":"ping"}` {
				t.Errorf("got %s", data)
			}
			pings++
		}
		// Activity is recorded by the next beat, 20 s later.
		if d := time.Since(began); d != 140*time.Second || pings != 6 {
			t.Errorf("dropped after %v and %d pings", d, pings)
		}
		go s.next().serve()
		e.expect(t, "connected c1 alice", "recovering c1", "recovered c1")
	})
	// Pongs keep it; without a timeout nothing is needed.
	for _, o := range []client.Options{{}, {IdleTimeout: -1, PingInterval: -1}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			_, p, e := start(t, s, o)
			go p.serve()
			time.Sleep(time.Hour)
			e.expect(t, "connected c1 alice")
		})
	}
}

// While a callback blocks, the client continues to receive acknowledgements and to
// recover, and acknowledges the messages in its queue, but no others.
func TestSlowCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{EventQueueSize: 10})
		release := make(chan struct{})
		var got atomic.Int64
		c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) {
			<-release
			if n := got.Add(1); uint64(n) != m.SequenceID {
				t.Errorf("message %d is the %dth", m.SequenceID, n)
			}
		})
		for i := 1; i <= 100; i++ {
			p.message(i, fmt.Sprint(i))
		}
		if f := p.read("sequenceAck"); *f.SequenceID != 10 {
			t.Errorf("acknowledged %d", *f.SequenceID)
		}
		joined := background(func() error { return c.JoinGroup(t.Context(), "room", nil) })
		for {
			data, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(data, "joinGroup") {
				p.ack(1)
				break
			}
		}
		must(t, joined)
		p.cut()
		p = s.next()
		for i := 11; i <= 110; i++ {
			p.message(i, fmt.Sprint(i))
		}
		if f := p.read("sequenceAck"); *f.SequenceID != 10 {
			t.Errorf("acknowledged %d", *f.SequenceID)
		}
		close(release)
		if f := p.read("sequenceAck"); *f.SequenceID != 110 {
			t.Errorf("acknowledged %d", *f.SequenceID)
		}
		if got.Load() != 110 {
			t.Errorf("got %d messages", got.Load())
		}
		go p.serve()
	})
}

// If the overflow is full, too, which the service does not let happen, the connection
// ends. With a standard subprotocol, messages are dropped.
func TestSlowCallbackOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{EventQueueSize: 10, DisableReconnect: true})
		release := make(chan struct{})
		got := 0
		c.OnGroupMessage(func(context.Context, client.GroupMessage) { <-release; got++ })
		go func() {
			for i := 1; i <= 2011; i++ {
				p.message(i, "x")
			}
		}()
		if code := p.closeCode(); code != 1000 {
			t.Errorf("closed with %d", code)
		}
		close(release)
		synctest.Wait()
		if got != 2010 {
			t.Errorf("got %d messages", got)
		}
		if events := e.take(); !strings.Contains(events, "disconnected c1 1008") || !strings.Contains(events, "cannot keep up") {
			t.Errorf("events: %s", events)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{Protocol: client.JSON, EventQueueSize: 10})
		release := make(chan struct{})
		got := 0
		c.OnGroupMessage(func(context.Context, client.GroupMessage) { <-release; got++ })
		for range 100 {
			p.send(`{"type":"message","from":"group","group":"g","dataType":"text","data":"x"}`)
		}
		p.join(c, "room")
		close(release)
		synctest.Wait()
		if got != 10 {
			t.Errorf("got %d messages", got)
		}
		go p.serve()
	})
}

func TestPanickingCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		c.OnServerMessage(func(context.Context, client.ServerMessage) { panic("oops") })
		p.send(`{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hi"}`)
		p.message(2, "after")
		e.expect(t, "connected c1 alice", "room bob: after 2")
		go p.serve()
	})
}
