package client_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/client"
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
		s.setRejection(func(*http.Request) (int, string) { return 401, "no such token" })
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
			s.setRejection(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
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
			s.setRejection(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
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
				s.setRejection(func(r *http.Request) (int, string) { <-r.Context().Done(); return 500, "" })
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
