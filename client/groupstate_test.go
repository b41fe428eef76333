package client_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/client"
)

// state returns the state that the client has, in short form.
func state(t *testing.T, c *client.Client) string {
	t.Helper()
	synctest.Wait()
	entries, err := c.GroupState("room")
	if err != nil {
		t.Error(err)
	}
	var out string
	for _, e := range entries {
		out += fmt.Sprintf("%s/%s %v at %d; ", e.ConnectionID, e.UserID, e.State, e.UpdatedAt.UnixMilli())
	}
	return out
}

func expectState(t *testing.T, c *client.Client, want string) {
	t.Helper()
	if got := state(t, c); got != want {
		t.Errorf("state %s\nwant  %s", got, want)
	}
}

func TestGroupState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		ctx := t.Context()
		for _, err := range []error{
			c.SetGroupState(ctx, "room", nil, nil), c.ClearGroupState(ctx, "room", nil),
			c.SubscribeGroupState(ctx, "room", nil), c.UnsubscribeGroupState(ctx, "room", nil),
		} {
			if !errors.Is(err, client.ErrNotJoined) {
				t.Error(err)
			}
		}
		if _, err := c.GroupState("room"); !errors.Is(err, client.ErrNotSubscribed) {
			t.Error(err)
		}
		p.join(c, "room")

		done := background(func() error { return c.SetGroupState(ctx, "room", map[string]string{"k": "v"}, nil) })
		p.expect(`{"type":"setGroupState","group":"room","ackId":2,"state":{"k":"v"}}`)
		p.ack(2)
		must(t, done)
		done = background(func() error { return c.SetGroupState(ctx, "room", nil, nil) })
		p.expect(`{"type":"setGroupState","group":"room","ackId":3,"state":{}}`)
		p.ack(3)
		must(t, done)
		done = background(func() error { return c.ClearGroupState(ctx, "room", nil) })
		p.expect(`{"type":"setGroupState","group":"room","ackId":4}`)
		p.ack(4)
		must(t, done)

		// A rejected subscription has no effect.
		done = background(func() error { return c.SubscribeGroupState(ctx, "room", nil) })
		p.refuse(*p.read("subscribeGroupState").AckID, "Forbidden")
		if err := <-done; !errors.Is(err, client.ErrForbidden) {
			t.Error(err)
		}
		if _, err := c.GroupState("room"); !errors.Is(err, client.ErrNotSubscribed) {
			t.Error(err)
		}

		// The snapshot may be received before the acknowledgement.
		done = background(func() error { return c.SubscribeGroupState(ctx, "room", nil) })
		p.expect(`{"type":"subscribeGroupState","group":"room","ackId":6}`)
		p.send(`{"type":"groupStateSnapshot","group":"room","items":[{"connectionId":"b","userId":"bob","state":{"a":"1"},"updatedAt":100},{"connectionId":"a","state":{},"updatedAt":50}]}`)
		p.ack(6)
		must(t, done)
		expectState(t, c, "a/ map[] at 50; b/bob map[a:1] at 100; ")
		e.expect(t, "connected c1 alice", "state of room")

		update := func(items string) { p.send(`{"type":"groupStateUpdate","group":"room","items":[%s]}`, items) }
		update(`{"connectionId":"b","userId":"bob","state":{"a":"old"},"updatedAt":99},{"connectionId":"a","state":{"x":"y"},"updatedAt":101}`)
		expectState(t, c, "a/ map[x:y] at 101; b/bob map[a:1] at 100; ")
		update(`{"connectionId":"a","updatedAt":102}`)
		expectState(t, c, "b/bob map[a:1] at 100; ")
		update(`{"connectionId":"a","state":{"back":"again"},"updatedAt":101}`) // older than the clearing
		expectState(t, c, "b/bob map[a:1] at 100; ")
		p.send(`{"type":"groupStateUpdate","group":"other","items":[]}`)
		e.expect(t, "state of room", "state of room", "state of room")

		// A snapshot replaces all entries except those updated in the last five minutes.
		update(`{"connectionId":"c","state":{"n":"1"},"updatedAt":200}`)
		synctest.Wait()
		p.send(`{"type":"groupStateSnapshot","group":"room","items":[{"connectionId":"a","state":{"s":"1"},"updatedAt":101},{"connectionId":"c","state":{"n":"0"},"updatedAt":199}]}`)
		expectState(t, c, "c/ map[n:1] at 200; ")
		go p.serve()
		time.Sleep(5 * time.Minute)
		p.send(`{"type":"groupStateSnapshot","group":"room","items":[{"connectionId":"c","state":{"n":"0"},"updatedAt":199}]}`)
		expectState(t, c, "c/ map[n:0] at 199; ")

		must(t, background(func() error { return c.UnsubscribeGroupState(ctx, "room", nil) }))
		if _, err := c.GroupState("room"); !errors.Is(err, client.ErrNotSubscribed) {
			t.Error(err)
		}
	})
}

// On a new connection the client subscribes again, after it has joined the group, and
// removes the old entries.
func TestGroupStateAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		for _, call := range []func() error{
			func() error { return c.JoinGroup(t.Context(), "room", nil) },
			func() error { return c.SubscribeGroupState(t.Context(), "room", nil) },
		} {
			done := background(call)
			data, _ := p.next()
			var id int
			_, _ = fmt.Sscanf(data[len(data)-2:], "%d", &id)
			p.ack(uint64(id))
			must(t, done)
		}
		p.send(`{"type":"groupStateUpdate","group":"room","items":[{"connectionId":"a","state":{},"updatedAt":50}]}`)
		expectState(t, c, "a/ map[] at 50; ")
		p.close(1008, "")
		p = s.hello("c2")
		p.grant("joinGroup")
		f := p.read("subscribeGroupState")
		expectState(t, c, "")
		p.send(`{"type":"groupStateSnapshot","group":"room","items":[{"connectionId":"b","state":{},"updatedAt":60}]}`)
		p.ack(*f.AckID)
		expectState(t, c, "b/ map[] at 60; ")
		e.take()

		// A rejection is reported and ends the subscription.
		p.close(1008, "")
		p = s.hello("c3")
		p.grant("joinGroup")
		p.refuse(*p.read("subscribeGroupState").AckID, "Forbidden")
		e.expect(t, `disconnected c2 1008 "" tried=false`, "connected c3 alice",
			"rejoin failed room: group state: service error: Forbidden: because")
		if _, err := c.GroupState("room"); !errors.Is(err, client.ErrNotSubscribed) {
			t.Error(err)
		}
		go p.serve()
	})
}

// The number of cleared entries that are kept is limited.
func TestGroupStatePrunesClearedEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		go p.serve()
		if err := errors.Join(c.JoinGroup(t.Context(), "room", nil), c.SubscribeGroupState(t.Context(), "room", nil)); err != nil {
			t.Fatal(err)
		}
		for i := range 201 {
			p.send(`{"type":"groupStateUpdate","group":"room","items":[{"connectionId":"c%d","updatedAt":%d}]}`, i, 1000+i)
		}
		for i := range 2 {
			p.send(`{"type":"groupStateUpdate","group":"room","items":[{"connectionId":"c%d","state":{"n":"1"},"updatedAt":1}]}`, i)
		}
		expectState(t, c, "c0/ map[n:1] at 1; ")
	})
}
