package client_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

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
		s.setRejection(func(*http.Request) (int, string) { return 503, "" })
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
