package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
)

// slowConn limits the bytes per second in each direction.
type slowConn struct {
	net.Conn
	rate int
}

const slowPiece = 16 << 10

func (c *slowConn) pass(n int) { time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate)) }

func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), slowPiece)])
	c.pass(n)
	return n, err
}

func (c *slowConn) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n, err := c.Conn.Write(b[:min(len(b), slowPiece)])
		written += n
		if err != nil {
			return written, err
		}
		c.pass(n)
		b = b[n:]
	}
	return written, nil
}

// Regression test: a publisher that was faster than its network was disconnected every
// 30 seconds, since the write deadline was set once for everything that was written
// without a pause. Acknowledgements, pings and cancellations were queued behind
// megabytes of messages.
func TestSustainedLoadOverASlowNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, addr)
			return &slowConn{Conn: conn, rate: 500_000}, err
		}})
		received := 0
		c.OnGroupMessage(func(context.Context, client.GroupMessage) { received++ })
		began := time.Now()
		running := func() bool { return time.Since(began) < 65*time.Second }

		// The service reads and publishes at the same time.
		sent := 0
		go func() {
			text := strings.Repeat("y", 10_000)
			for running() {
				if p.write(fmt.Appendf(nil, messageFormat, sent+1, text)) != nil {
					return
				}
				sent++
			}
		}()
		published, cancelled := 0, 0
		var lastPing, lastAck time.Time
		var worstPing, worstAck time.Duration
		note := func(last *time.Time, worst *time.Duration) {
			if !last.IsZero() {
				*worst = max(*worst, time.Since(*last))
			}
			*last = time.Now()
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				_, data, err := p.ws.ReadMessage()
				if err != nil {
					return
				}
				text := string(data[:min(len(data), 200)])
				switch {
				case strings.Contains(text, "sendToGroup"):
					published++
				case strings.Contains(text, `"ping"`):
					note(&lastPing, &worstPing)
				case strings.Contains(text, "sequenceAck"):
					note(&lastAck, &worstAck)
				case strings.Contains(text, "cancelInvocation"):
					cancelled++
				}
			}
		}()
		// An invocation is written, and canceled while messages are queued behind it.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		invoked := background(func() error { _, err := c.Invoke(ctx, "e", webpubsub.Text("x"), nil); return err })
		synctest.Wait()

		m := webpubsub.Text(strings.Repeat("x", 50_000))
		for i := 0; running(); i++ {
			if err := c.SendToGroup(t.Context(), "g", m, &client.SendToGroupOptions{FireAndForget: true}); err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			time.Sleep(time.Millisecond)
			if i == 100 {
				cancel()
				if err := <-invoked; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				time.Sleep(time.Second) // writing the queue takes two
				if cancelled != 1 {
					t.Error("the cancellation was queued behind the messages")
				}
			}
		}
		time.Sleep(10 * time.Second) // until everything has arrived
		if events := e.take(); events != "connected c1 alice" {
			t.Errorf("events: %.300s", events)
		}
		if published < 600 || received != sent || sent < 3000 {
			t.Errorf("published %d, received %d of %d", published, received, sent)
		}
		if worstPing > 21*time.Second || worstAck > 2*time.Second {
			t.Errorf("a ping came %v after the other, an ack %v", worstPing, worstAck)
		}
		p.cut()
		<-served
	})
}

// A connection is not dropped while a large message is received or sent slowly.
func TestLargeMessagesOverASlowNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := s.dial(ctx, network, addr)
				return &slowConn{Conn: conn, rate: 10_000}, err
			},
			IdleTimeout: 30 * time.Second, PingInterval: -1,
		})
		c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { e.add("%d bytes", len(m.Message.Data)) })
		began := time.Now()
		p.message(1, strings.Repeat("x", 1<<20)) // takes 105 s
		time.Sleep(time.Second)
		e.expect(t, "connected c1 alice", fmt.Sprintf("%d bytes", 1<<20))
		if d := time.Since(began); d < 90*time.Second {
			t.Errorf("took %v", d)
		}
		p.read("sequenceAck")
		sent := background(func() error {
			return c.SendToGroup(t.Context(), "g", webpubsub.Text(strings.Repeat("x", 1<<20-200)), nil)
		})
		go func() { // no ping can be sent meanwhile
			for range 6 {
				time.Sleep(20 * time.Second)
				p.send(`{"type":"pong"}`)
			}
		}()
		f := p.read("sendToGroup")
		p.ack(*f.AckID)
		must(t, sent)
		go p.serve()
		time.Sleep(20 * time.Second)
		if events := e.take(); events != "" {
			t.Errorf("events: %s", events)
		}
	})
}

// Sustained load through the emulator over slow networks, in both directions.
func TestSustainedLoadThroughTheEmulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := emulator.NewMemoryListener()
		srv := emulator.StartT(t, emulator.Options{Listener: network})
		slow := client.Options{DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
			conn, err := network.DialContext(ctx, n, addr)
			return &slowConn{Conn: conn, rate: 100_000}, err
		}}
		var e events
		e.add("start")
		watch := func(c *client.Client) {
			c.OnRecovering(func(context.Context, client.RecoveringEvent) { e.add("recovering") })
			c.OnDisconnected(func(_ context.Context, d client.DisconnectedEvent) { e.add("disconnected %v", d.Err) })
		}
		var received atomic.Int64
		both := [2]*client.Client{}
		for i := range both {
			both[i] = connect(t, srv, fmt.Sprint("user", i), slow, func(c *client.Client) {
				watch(c)
				c.OnGroupMessage(func(context.Context, client.GroupMessage) { received.Add(1) })
			})
			if err := both[i].JoinGroup(t.Context(), "room", nil); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		var sent atomic.Int64
		var senders sync.WaitGroup
		for i, c := range both {
			senders.Go(func() {
				// Messages of several sizes, as fast as they are acknowledged.
				for n := 0; time.Since(began) < 90*time.Second; n++ {
					m := webpubsub.Text(strings.Repeat("x", []int{300, 3_000, 30_000, 300_000}[(n+i)%4]))
					if err := c.SendToGroup(t.Context(), "room", m, &client.SendToGroupOptions{NoEcho: true}); err != nil {
						t.Errorf("after %v: %v", time.Since(began), err)
						return
					}
					sent.Add(1)
				}
			})
		}
		senders.Wait()
		time.Sleep(10 * time.Second)
		e.expect(t, "start")
		if sent.Load() < 100 || received.Load() != sent.Load() {
			t.Errorf("received %d of %d", received.Load(), sent.Load())
		}
	})
}
