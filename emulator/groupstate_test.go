package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/emulator"
)

const ack = `{"type":"ack","ackId":%d,"success":true}`

func acked(id int) string { return fmt.Sprintf(ack, id) }

func stateItem(hello connected, user, state string, at int64) string {
	s := fmt.Sprintf(`{"connectionId":%q`, hello.ConnectionID)
	if user != "" {
		s += fmt.Sprintf(`,"userId":%q`, user)
	}
	if state != "" {
		s += `,"state":` + state
	}
	return s + fmt.Sprintf(`,"updatedAt":%d}`, at)
}

func states(kind string, items ...string) string {
	return fmt.Sprintf(`{"type":"groupState%s","group":"g","items":[%s]}`, kind, strings.Join(items, ","))
}

func TestGroupState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UnixMilli()
		srv := virtual(t, emulator.Options{})
		dial := func(user string) (*client, connected) {
			return dialJSON(t, srv, dialOptions{user: user, roles: anything, groups: []string{"g"}})
		}
		a, ann := dial("ann")
		b, bob := dial("bob")

		b.send(`{"type":"subscribeGroupState","group":"g","ackId":1}`)
		b.expect(acked(1), states("Snapshot"))
		a.send(`{"type":"setGroupState","group":"g","ackId":1,"state":{"mood":"fine"}}`)
		a.expect(acked(1)) // it did not subscribe
		b.expect(states("Update", stateItem(ann, "ann", `{"mood":"fine"}`, start)))

		// Who subscribes later sees what is there, and its own changes before the ack.
		// The time rises with each of them, though the clock does not.
		a.send(`{"type":"subscribeGroupState","group":"g"}`)
		a.expect(states("Snapshot", stateItem(ann, "ann", `{"mood":"fine"}`, start)))
		b.send(`{"type":"setGroupState","group":"g","ackId":2,"state":{}}`)
		update := states("Update", stateItem(bob, "bob", `{}`, start+1))
		b.expect(update, acked(2))
		a.expect(update)

		// Clearing is an update without state; clearing what is not set, none.
		for range 2 {
			a.send(`{"type":"setGroupState","group":"g"}`)
		}
		update = states("Update", stateItem(ann, "ann", "", start+2))
		a.expect(update)
		a.expectNothingElse()
		b.expect(update)

		// Leaving clears too, and ends the subscription.
		b.send(`{"type":"leaveGroup","group":"g","ackId":3}`)
		b.expect(acked(3))
		a.expect(states("Update", stateItem(bob, "bob", "", start+3)))
		a.send(`{"type":"setGroupState","group":"g","state":{"k":"v"}}`)
		a.expect(states("Update", stateItem(ann, "ann", `{"k":"v"}`, start+4)))
		b.expectNothingElse()

		// So does the end of the connection.
		b.send(`{"type":"joinGroup","group":"g","ackId":4}`)
		b.expect(acked(4))
		b.send(`{"type":"subscribeGroupState","group":"g","ackId":5}`)
		b.expect(acked(5), states("Snapshot", stateItem(ann, "ann", `{"k":"v"}`, start+4)))
		_ = a.ws.NetConn().Close()
		b.expect(states("Update", stateItem(ann, "ann", "", start+5)))

		b.send(`{"type":"unsubscribeGroupState","group":"g","ackId":6}`)
		b.expect(acked(6))
		b.send(`{"type":"setGroupState","group":"g","ackId":7,"state":{"k":"v"}}`)
		b.expect(acked(7))
	})
}

func TestGroupStateIsRefused(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	refused := func(id int, text string) string {
		return fmt.Sprintf(`{"type":"ack","ackId":%d,"success":false,"error":{"name":"BadRequest","message":%q}}`, id, text)
	}
	const notJoined = "The client has not joined group 'x', whose state it asks for."
	for i, tt := range []struct{ send, want string }{
		{`{"type":"setGroupState","group":"x","ackId":0,"state":{}}`, notJoined},
		{`{"type":"subscribeGroupState","group":"x","ackId":1}`, notJoined},
		{`{"type":"setGroupState","group":"g","ackId":2,"state":{"k":"` + strings.Repeat("v", 8192) + `"}}`, "The state has 8193 bytes: 8192 are allowed."},
	} {
		c.send(tt.send)
		c.expect(refused(i, tt.want))
	}
	c.send(`{"type":"unsubscribeGroupState","group":"x","ackId":3}`)
	c.expect(acked(3))
	c.expectNothingElse()
}

// What changed while a client was away it learns when it comes back: the frames
// of group states are not kept for it.
func TestGroupStateAfterRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().UnixMilli()
		srv := virtual(t, emulator.Options{})
		o := dialOptions{subprotocol: reliableProtocol, roles: anything, groups: []string{"g"}}
		away, hello := dialJSON(t, srv, o)
		c, stays := dialJSON(t, srv, o)
		gone, goes := dialJSON(t, srv, o)
		away.send(`{"type":"setGroupState","group":"g","state":{"away":"yes"}}`)
		away.send(`{"type":"subscribeGroupState","group":"g","ackId":1}`)
		away.expect(acked(1), states("Snapshot", stateItem(hello, "", `{"away":"yes"}`, start)))
		gone.send(`{"type":"setGroupState","group":"g","ackId":1,"state":{"k":"v"}}`)
		gone.expect(acked(1))
		away.expect(states("Update", stateItem(goes, "", `{"k":"v"}`, start+1)))

		_ = away.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		gone.send(`{"type":"leaveGroup","group":"g","ackId":2}`)
		gone.expect(acked(2))
		// What was cleared and set again is not reported as cleared.
		c.send(`{"type":"setGroupState","group":"g","state":{"old":"yes"}}`)
		c.send(`{"type":"setGroupState","group":"g"}`)
		c.send(`{"type":"setGroupState","group":"g","ackId":1,"state":{"new":"yes"}}`)
		c.expect(acked(1))

		items := []string{stateItem(hello, "", `{"away":"yes"}`, start), stateItem(stays, "", `{"new":"yes"}`, start+5)}
		if stays.ConnectionID < hello.ConnectionID {
			items[0], items[1] = items[1], items[0]
		}
		back := dial(t, srv, recovery(hello))
		back.expect(states("Snapshot", items...), states("Update", stateItem(goes, "", "", start+2)))
		back.expectNothingElse()
	})
}
