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
	"example.com/webpubsub/emulator"
)

// limitedSite is an emulator in a bubble whose hub has rules against abuse.
func limitedSite(t *testing.T, f emulator.ApplicationFirewall) *site {
	t.Helper()
	hubs := map[string]emulator.HubSettings{"chat": {ApplicationFirewall: f}}
	return virtualSite(t, emulator.Options{Hubs: hubs}, emulator.NetworkConditions{Latency: 10 * time.Millisecond})
}

// A connection that has lasted as long as it may is final: the client does not try to
// recover it, connects again and is in its groups.
func TestConnectionLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limitedSite(t, emulator.ApplicationFirewall{MaxClientConnectionLifetime: time.Minute})
		connected, disconnected := make(chan string, 10), make(chan error, 10)
		messages := make(chan string, 10)
		c := srv.connect(t, "alice", client.Options{}, func(c *client.Client) {
			c.OnConnected(func(_ context.Context, e client.ConnectedEvent) { connected <- e.ConnectionID })
			c.OnRecovering(func(context.Context, client.RecoveringEvent) { t.Error("recovering") })
			c.OnDisconnected(func(_ context.Context, e client.DisconnectedEvent) { disconnected <- e.Err })
			c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { messages <- m.Message.String() })
		})
		if err := c.JoinGroup(t.Context(), "room", nil); err != nil {
			t.Fatal(err)
		}
		first, start := <-connected, time.Now()
		for n := range 3 {
			var closed *client.CloseError
			if err := <-disconnected; !errors.As(err, &closed) || closed.Code != 1008 {
				t.Errorf("disconnected by %v", err)
			}
			if next := <-connected; next == first {
				t.Error("it is the same connection")
			} else {
				first = next
			}
			if got := time.Since(start); got < time.Duration(n+1)*time.Minute {
				t.Errorf("connection %d ended after %v", n+1, got)
			}
			time.Sleep(time.Second) // until it has joined again
			if err := c.SendToGroup(t.Context(), "room", webpubsub.Text("hi"), nil); err != nil {
				t.Fatal(err)
			}
			if got := <-messages; got != "hi" {
				t.Errorf("got %q", got)
			}
		}
		if len(disconnected) > 0 {
			t.Errorf("disconnected once more: %v", <-disconnected)
		}
	})
}

// What Start reports of a connection too many.
func TestTooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limitedSite(t, emulator.ApplicationFirewall{ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{MaxCount: 1}}})
		srv.connect(t, "alice", client.Options{}, nil)
		c, err := client.New(accessTo(t, srv.Server, "alice"), client.Options{DialContext: srv.dial})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Start(t.Context())
		var rejected *client.HandshakeError
		if !errors.As(err, &rejected) || rejected.StatusCode != http.StatusTooManyRequests || rejected.Body != "Connection count reaches limit." {
			t.Errorf("Start: %v", err)
		}
	})
}
