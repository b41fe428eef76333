package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/internal/test/testlog"
)

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{Header: http.Header{"User-Agent": {"tester"}}})
		r := <-s.requests
		if got := r.Header.Get("Sec-WebSocket-Protocol"); got != "json.reliable.webpubsub.azure.v1" {
			t.Errorf("subprotocol %q", got)
		}
		if r.URL.Query().Get("access_token") != "secret" || r.Header.Get("User-Agent") != "tester" {
			t.Errorf("handshake %s %v", r.URL, r.Header)
		}
		if c.State() != client.StateConnected || c.ConnectionID() != "c1" {
			t.Errorf("state %v, id %q", c.State(), c.ConnectionID())
		}
		if err := c.Start(t.Context()); !errors.Is(err, client.ErrAlreadyStarted) {
			t.Errorf("second start: %v", err)
		}
		e.expect(t, "connected c1 alice")

		stopped := background(func() error { return c.Stop(t.Context()) })
		if code := p.closeCode(); code != 1000 {
			t.Errorf("the client closed with %d", code)
		}
		must(t, stopped)
		e.expect(t, `disconnected c1 1000 "" tried=false`, "stopped <nil>")
		if c.State() != client.StateStopped || c.ConnectionID() != "" {
			t.Errorf("state %v, id %q", c.State(), c.ConnectionID())
		}
		must(t, background(func() error { return c.Stop(t.Context()) }))
		if err := c.JoinGroup(t.Context(), "room", nil); !errors.Is(err, client.ErrNotRunning) {
			t.Errorf("join after stop: %v", err)
		}

		begin(t, s, c)
		e.expect(t, "connected c1 alice")
	})
}

func TestFirstStartIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		s.setRefusal(func(*http.Request) (int, string) { return 401, "no such token" })
		c, e := prepare(t, s, client.Options{})
		err := c.Start(t.Context())
		var refused *client.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != 401 || refused.Body != "no such token" {
			t.Fatalf("got %v", err)
		}
		if c.State() != client.StateStopped || len(s.requests) != 1 {
			t.Errorf("state %v after %d requests", c.State(), len(s.requests))
		}
		e.expect(t)
	})
}

func TestCredentialFails(t *testing.T) {
	broken := errors.New("no token today")
	c, err := client.New(func(context.Context) (string, error) { return "", broken }, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	for _, u := range []string{"", "http://host/client/hubs/chat?access_token=secret", "ws://\x7f?access_token=secret", "ws:///x"} {
		c, _ := client.New(client.URL(u), client.Options{})
		if err := c.Start(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}

func TestInvalidOptions(t *testing.T) {
	if _, err := client.New(nil, client.Options{}); err == nil {
		t.Error("a nil credential is taken")
	}
	for _, o := range []client.Options{
		{Protocol: 4},
		{Protocol: -1},
		{EventQueueSize: -1},
		{OutboundQueueSize: -1},
		{RecoveryWindow: -1},
	} {
		if _, err := client.New(client.URL(accessURL), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// Stop can be called in every state and ends all goroutines: the bubble fails if one is
// left.
func TestStopInEveryState(t *testing.T) {
	states := []struct {
		name  string
		reach func(t *testing.T, s *script, c *client.Client) // returns in that state
		want  client.State
		last  []string
	}{
		{"not started", func(*testing.T, *script, *client.Client) {}, client.StateStopped, nil},
		{"during the handshake", func(t *testing.T, s *script, c *client.Client) {
			s.setRefusal(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
			stopsStart(t, c)
		}, client.StateConnecting, nil},
		{"before the connected frame", func(t *testing.T, s *script, c *client.Client) {
			stopsStart(t, c)
			s.next()
		}, client.StateConnecting, nil},
		{"recovering", func(t *testing.T, s *script, c *client.Client) {
			p := begin(t, s, c)
			s.setDown(true)
			p.cut()
		}, client.StateRecovering, []string{`disconnected c1 1006 "" tried=true`, "stopped <nil>"}},
		{"recovering with a hanging handshake", func(t *testing.T, s *script, c *client.Client) {
			p := begin(t, s, c)
			s.setRefusal(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
			p.cut()
		}, client.StateRecovering, []string{`disconnected c1 1006 "" tried=true`, "stopped <nil>"}},
		{"before reconnecting", func(t *testing.T, s *script, c *client.Client) {
			p := begin(t, s, c)
			s.setDown(true)
			p.close(1008, "enough")
		}, client.StateReconnecting, []string{"stopped <nil>"}},
	}
	for _, tt := range states {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				c, e := prepare(t, s, client.Options{})
				tt.reach(t, s, c)
				e.take()
				if c.State() != tt.want {
					t.Fatalf("state %v, want %v", c.State(), tt.want)
				}
				if err := c.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.State() != client.StateStopped {
					t.Fatalf("state %v", c.State())
				}
				e.expect(t, tt.last...)
			})
		})
	}
}

func stopsStart(t *testing.T, c *client.Client) {
	started := background(func() error { return c.Start(t.Context()) })
	t.Cleanup(func() {
		if err := <-started; !errors.Is(err, client.ErrNotRunning) {
			t.Errorf("start: %v", err)
		}
	})
}

// The context of Start limits the first attempt, at any point of it, and nothing that
// follows.
func TestStartContext(t *testing.T) {
	for _, accepts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			if !accepts {
				s.setRefusal(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
			}
			c, e := prepare(t, s, client.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			started := background(func() error { return c.Start(ctx) })
			synctest.Wait()
			cancel()
			if err := <-started; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if c.State() != client.StateStopped {
				t.Errorf("state %v", c.State())
			}
			e.expect(t)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, _ := prepare(t, s, client.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		started := background(func() error { return c.Start(ctx) })
		p := s.hello("c1")
		must(t, started)
		cancel()
		p.join(c, "room")
	})
}

// Start fails if the service accepts the handshake and sends no connected frame.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, _ := prepare(t, s, client.Options{})
		began := time.Now()
		if err := c.Start(context.Background()); err == nil {
			t.Error("started without a connected frame")
		}
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

// A service that does not answer the close frame delays Stop by three seconds at most,
// or until its context ends.
func TestStopTimeout(t *testing.T) {
	for _, patience := range []time.Duration{time.Minute, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			c, p, _ := start(t, s, client.Options{})
			go func() {
				// It reads and does not answer.
				b := make([]byte, 1<<10)
				for {
					if _, err := p.ws.NetConn().Read(b); err != nil {
						return
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			err := c.Stop(ctx)
			if d := time.Since(began); d != min(patience, 3*time.Second) {
				t.Errorf("stopped after %v: %v", d, err)
			}
			if (patience == time.Second) != errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			p.cut()
		})
	}
}

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
func TestStopThatWaitsForItself(t *testing.T) {
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

func TestReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		urls := 0
		c, err := client.New(func(context.Context) (string, error) { urls++; return accessURL, nil },
			client.Options{DialContext: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop(t.Context())
		e := watch(c)
		p := begin(t, s, c)
		for _, g := range []string{"a", "b"} {
			p.join(c, g)
		}
		p.close(1008, "slow")
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "slow" tried=false`)
		p = s.hello("c2")
		if urls != 2 || p.request.URL.Query().Has("awps_connection_id") {
			t.Errorf("%d urls, then %s", urls, p.request.URL)
		}
		// Messages that are received before the groups are joined are delivered after
		// the event.
		p.message(1, "early")
		if f := p.grant("joinGroup"); f.Group != "a" {
			t.Errorf("joined %q", f.Group)
		}
		f := p.read("joinGroup")
		e.expect(t)
		p.refuse(*f.AckID, "Forbidden")
		e.expect(t, "connected c2 alice", "rejoin failed b: service error: Forbidden: because", "room bob: early 1")

		// A rejected group is not joined again.
		p.close(1008, "")
		p = s.hello("c3")
		if f := p.grant("joinGroup"); f.Group != "a" {
			t.Errorf("joined %q", f.Group)
		}
		go p.serve()
		e.expect(t, `disconnected c2 1008 "" tried=false`, "connected c3 alice")
	})
}

// A negotiate endpoint that never responds must not end the attempts to reconnect.
func TestReconnectCredentialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		calls := 0
		c, err := client.New(func(ctx context.Context) (string, error) {
			if calls++; calls == 2 {
				<-ctx.Done()
				return "", ctx.Err()
			}
			return accessURL, nil
		}, client.Options{DialContext: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop(t.Context())
		e := watch(c)
		p := begin(t, s, c)
		p.close(1008, "slow")
		go s.hello("c2").serve()
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "slow" tried=false`, "connected c2 alice")
		if calls != 3 {
			t.Errorf("the credential was called %d times", calls)
		}
	})
}

func TestDisableReconnectAndRejoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{DisableRejoin: true})
		p.join(c, "a")
		p.close(1008, "")
		p = s.hello("c2")
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "" tried=false`, "connected c2 alice")
		sent := background(func() error { return c.SendToGroup(t.Context(), "a", webpubsub.Text("x"), nil) })
		p.grant("sendToGroup") // and no joinGroup before it
		must(t, sent)
		go p.serve()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{DisableReconnect: true})
		p.close(1008, "closing")
		e.expect(t, "connected c1 alice", `disconnected c1 1008 "closing" tried=false`,
			"stopped connection closed by the service: code 1008: closing")
		if c.State() != client.StateStopped {
			t.Errorf("state %v", c.State())
		}
	})
}

// Attempts to reconnect are made with growing, random delays, up to the configured
// number.
func TestReconnectGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{ReconnectRetry: client.RetryOptions{MaxRetries: 4, RetryDelay: time.Second, MaxRetryDelay: 3 * time.Second}})
		<-s.requests
		s.setRefusal(func(*http.Request) (int, string) { return 503, "" })
		stopped := make(chan client.StoppedEvent, 1)
		c.OnStopped(func(_ context.Context, v client.StoppedEvent) { stopped <- v })
		p.close(1008, "")
		began := time.Now()
		var refused *client.HandshakeError
		if v := <-stopped; !errors.As(v.Err, &refused) || refused.StatusCode != 503 {
			t.Errorf("stopped with %v", v.Err)
		}
		// Up to 1 s, then 1, 2 and 3 s, each less up to a half.
		if d := time.Since(began); d < 3*time.Second || d > 10*time.Second || len(s.requests) != 4 {
			t.Errorf("%d attempts in %v", len(s.requests), d)
		}
		e.take()
	})
}
