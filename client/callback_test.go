package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/client"
	"example.com/webpubsub/internal/test/testlog"
)

// A callback may stop and start the client with its own context, which Stop
// cancels.
func TestStopAndStartInCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, e := prepare(t, s, client.Options{})
		first := true
		c.OnGroupMessage(func(ctx context.Context, _ client.GroupMessage) {
			if err := c.Stop(ctx); err != nil {
				t.Error(err)
			}
			e.add("stop returned, context ended: %v", ctx.Err() != nil)
		})
		c.OnStopped(func(ctx context.Context, _ client.StoppedEvent) {
			e.add("stopped")
			if first {
				first = false
				if err := c.Start(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		p := begin(t, s, c)
		p.message(1, "stop")
		if code := p.closeCode(); code != 1000 {
			t.Errorf("closed with %d", code)
		}
		go s.hello("c2").serve()
		e.expect(t, "connected c1 alice", "stop returned, context ended: true", `disconnected c1 1000 "" tried=false`, "stopped", "connected c2 alice")
	})
}

// The contexts of a client that is restarted in a callback again and again are not
// nested more and more deeply.
func TestRestartsInCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		s := newScript(t)
		c, err := client.New(client.URL(accessURL), client.Options{DialContext: s.dial, DisableReconnect: true})
		if err != nil {
			t.Fatal(err)
		}
		depths := make(chan int, 100)
		c.OnStopped(func(ctx context.Context, _ client.StoppedEvent) {
			depths <- len(fmt.Sprint(ctx))
			if ctx.Value(key{}) != "a value" {
				t.Error("the values of the context of Start are lost")
			}
			if len(depths) < 10 {
				if err := c.Start(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		s.answerAll(func(p *peer) {
			p.hello("c")
			p.close(1008, "")
		})
		must(t, background(func() error { return c.Start(context.WithValue(t.Context(), key{}, "a value")) }))
		synctest.Wait()
		first := <-depths
		for range 9 {
			if n := <-depths; n != first {
				t.Errorf("the context has the text length %d, and the first %d", n, first)
			}
		}
	})
}

// Regression test: Stop in a goroutine that a callback waits for blocked forever, since
// Stop waited for the callback. With a context derived from that of the callback, Stop
// does not wait for callbacks.
func TestStopInGoroutineOfCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		c.OnGroupMessage(func(ctx context.Context, m client.GroupMessage) {
			if m.SequenceID > 1 {
				e.add("%s, context ended: %v", m.Message, ctx.Err() != nil)
				return
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if err := <-background(func() error { return c.Stop(ctx) }); err != nil {
				t.Error(err)
			}
			e.add("stop returned")
		})
		p.message(1, "stop")
		p.message(2, "queued")
		if code := p.closeCode(); code != 1000 {
			t.Errorf("closed with %d", code)
		}
		must(t, background(func() error { return c.Stop(t.Context()) }))
		e.expect(t, "connected c1 alice", "stop returned", "queued, context ended: true", `disconnected c1 1000 "" tried=false`, "stopped <nil>")
	})
}

// The context of a callback has the values of the context of Start. It is canceled when
// the client stops, with or without a call of Stop.
func TestCallbackContext(t *testing.T) {
	type key struct{}
	for name, end := range map[string]func(t *testing.T, c *client.Client, p *peer){
		"stopped": func(t *testing.T, c *client.Client, p *peer) {
			go p.hangUp()
			must(t, background(func() error { return c.Stop(t.Context()) }))
		},
		"gave up": func(_ *testing.T, _ *client.Client, p *peer) { p.close(1008, "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				c, e := prepare(t, s, client.Options{DisableReconnect: true})
				c.OnGroupMessage(func(ctx context.Context, _ client.GroupMessage) {
					e.add("called with %v, %v", ctx.Value(key{}), ctx.Err())
					<-ctx.Done()
					e.add("ended")
				})
				c.OnStream(func(ctx context.Context, in *client.IncomingStream) {
					e.add("stream with %v", ctx.Value(key{}))
					<-ctx.Done()
				})
				ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "a value"))
				started := background(func() error { return c.Start(ctx) })
				p := s.hello("c1")
				must(t, started)
				cancel() // it was for the start only
				p.piece(1, "s", 1, "x", "")
				p.message(2, "x")
				synctest.Wait()
				time.Sleep(10 * time.Second)
				if got := e.take(); !strings.Contains(got, "called with a value, <nil>") || !strings.Contains(got, "stream with a value") || strings.Contains(got, "ended") {
					t.Errorf("events: %s", got)
				}
				end(t, c, p)
				if got := e.take(); !strings.HasPrefix(got, "ended\ndisconnected") {
					t.Errorf("events: %s", got)
				}
			})
		})
	}
}

// With another context, Stop in a callback waits for itself. A hint is logged.
func TestStopWithOtherContextInCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		var log testlog.Buffer
		c, p, e := start(t, s, client.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		c.OnGroupMessage(func(context.Context, client.GroupMessage) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			e.add("stop: %v", c.Stop(ctx))
		})
		p.message(1, "stop")
		go p.hangUp()
		time.Sleep(2 * time.Minute)
		e.expect(t, "connected c1 alice", "stop: client: stop: context deadline exceeded", `disconnected c1 1000 "" tried=false`, "stopped <nil>")
		if !strings.Contains(log.String(), "pass the context of the callback to Stop") {
			t.Errorf("log: %s", log.String())
		}
	})
}
