package broker_test

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/wire"
)

// client is a session that records what the broker calls.
type client struct {
	mu    sync.Mutex
	calls []string
}

func (c *client) record(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, fmt.Sprintf(format, args...))
}

func (c *client) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

func (c *client) Deliver(m *broker.Message) bool {
	c.record("message %s", m.Data.Message.Data)
	return true
}

func (c *client) DeliverState(u *broker.StateUpdate) {
	for _, i := range u.Data.Items {
		c.record("state %s %v %v", i.ConnectionID, i.State, u.Data.Snapshot)
	}
	if len(u.Data.Items) == 0 {
		c.record("state empty")
	}
}
func (c *client) Joined(group string, _ *journal.Cause)     { c.record("joined %s", group) }
func (c *client) Left(group string, _ *journal.Cause)       { c.record("left %s", group) }
func (c *client) CloseByServer(string, *journal.Cause)      {}
func (c *client) Close(int, string, string, *journal.Cause) {}
func (c *client) Drop(string, *journal.Cause) bool          { return false }
func (c *client) Abandon()                                  {}
func (c *client) KeepAlive(time.Time)                       {}
func (c *client) Status() broker.Status                     { return broker.Status{} }

func newBroker() *broker.Broker {
	return broker.New(journal.New(slog.New(slog.DiscardHandler), nil))
}

func add(t *testing.T, h *broker.Hub, id, user string, groups ...string) (*broker.Conn, *client) {
	t.Helper()
	s := &client{}
	c := &broker.Conn{Hub: h, ID: id, UserID: user, Session: s}
	if !h.Add(c, groups, nil) {
		t.Fatalf("the id %s is in use", id)
	}
	s.take()
	return c, s
}

func text(s string) *broker.Message {
	return &broker.Message{Data: wire.Data{From: wire.FromServer, Message: webpubsub.Text(s)}}
}

func expect(t *testing.T, s *client, want ...string) {
	t.Helper()
	if got := s.take(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSendsReachWhomTheyAreFor(t *testing.T) {
	h := newBroker().Hub("Chat")
	_, a := add(t, h, "a", "alice", "g")
	cb, b := add(t, h, "b", "bob", "g")
	_, c := add(t, h, "c", "alice")
	for _, send := range []struct {
		n    int
		want int
	}{
		{h.SendAll(text("all"), nil), 3},
		{h.SendUser("alice", text("user"), nil), 2},
		{h.SendConn("b", text("one")), 1},
		{h.SendConn("x", text("none")), 0},
		{h.SendGroup("g", text("group"), func(c *broker.Conn) bool { return broker.SubjectOf(c).InGroup("g") && c != cb }), 1},
		{h.SendGroup("x", text("none"), nil), 0},
	} {
		if send.n != send.want {
			t.Errorf("%d receivers, want %d", send.n, send.want)
		}
	}
	expect(t, a, "message all", "message user", "message group")
	expect(t, b, "message all", "message one")
	expect(t, c, "message all", "message user")
}

func TestAConnectionEndsOnceAndLeavesNothing(t *testing.T) {
	h := newBroker().Hub("chat")
	c, s := add(t, h, "a", "alice", "g2", "g1")
	if h.Add(&broker.Conn{Hub: h, ID: "a", Session: &client{}}, nil, nil) {
		t.Error("two connections have one id")
	}
	if !c.Remove(nil) || c.Remove(nil) {
		t.Error("Remove reports the first call only")
	}
	expect(t, s, "left g1", "left g2")
	if h.Len() != 0 || len(h.Groups()) != 0 || len(h.Users()) != 0 {
		t.Errorf("left behind: %d connections, %v, %v", h.Len(), h.Groups(), h.Users())
	}
	c.Join("g", nil) // by a REST call that found it before its end
	if len(h.Groups()) != 0 || len(s.take()) != 0 {
		t.Error("a connection that has ended joined a group")
	}
}

func TestPermissions(t *testing.T) {
	h := newBroker().Hub("chat")
	s := &client{}
	c := &broker.Conn{Hub: h, ID: "a", Session: s}
	if ignored := c.SetRoles([]string{"webpubsub.joinLeaveGroup.g", "nonsense"}); len(ignored) != 1 {
		t.Errorf("ignored: %v", ignored)
	}
	h.Add(c, nil, nil)
	if !c.TryJoin("g", nil) || c.TryJoin("other", nil) || !c.TryLeave("g", nil) || c.TryPublish(text("x"), "g", false) {
		t.Error("the permissions are not those of the roles")
	}
	expect(t, s, "joined g", "left g")
}

func TestPublishWithoutEcho(t *testing.T) {
	h := newBroker().Hub("chat")
	c, s := add(t, h, "a", "", "g")
	_, other := add(t, h, "b", "", "g")
	c.SetRoles([]string{"webpubsub.sendToGroup"})
	c.TryPublish(text("x"), "g", true)
	expect(t, s)
	expect(t, other, "message x")
}

// Messages to one group reach all members in one order, whoever sends them.
func TestOneOrderPerGroup(t *testing.T) {
	h := newBroker().Hub("chat")
	var clients []*client
	for i := range 5 {
		_, s := add(t, h, fmt.Sprint(i), "", "g")
		clients = append(clients, s)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				h.SendGroup("g", text(fmt.Sprint(i, " ", n)), nil)
			}
		})
	}
	wg.Wait()
	first := clients[0].take()
	for _, s := range clients[1:] {
		if !slices.Equal(s.take(), first) {
			t.Fatal("two members saw different orders")
		}
	}
}

func TestGroupState(t *testing.T) {
	h := newBroker().Hub("chat")
	a, sa := add(t, h, "a", "", "g")
	b, sb := add(t, h, "b", "", "g")
	if e := a.SetState("other", map[string]string{"k": "v"}); e == nil {
		t.Error("a state was set without membership")
	}
	if e := b.SubscribeState("g", func() { sb.record("ack") }); e != nil {
		t.Fatal(e)
	}
	a.SetState("g", map[string]string{"k": "v"})
	b.ResendStates()
	a.Remove(nil)
	b.ResendStates()
	b.UnsubscribeState("g")
	b.SetState("g", map[string]string{"k": "w"})
	expect(t, sb, "ack", "state empty", "state a map[k:v] false", "state a map[k:v] true", "state a map[] false",
		"state empty", "state a map[] false")
	expect(t, sa, "left g")
}
