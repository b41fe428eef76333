package broker

import (
	"time"

	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/wire"
)

// Message is one message to many connections. It belongs to one goroutine.
type Message struct {
	Data wire.Data
	// Expires is when it is no longer delivered. Zero: never.
	Expires time.Time
	// Publisher is the client that published it, nil for the application server.
	Publisher *Conn
	// Cause is what it follows from; nil if that is not recorded.
	Cause *journal.Cause

	// Encodings, made by the session of the first receiver of each protocol for
	// all others: a frame for each protocol, the zero protocol being that of
	// simple clients, and what MQTT clients get.
	Frames [wire.ReliableProtobuf + 1]*frame.Frame
	MQTT   any
	// Err is why it cannot be encoded for a protocol.
	Err error
}

// Bytes returns the size of the payload.
func (m *Message) Bytes() int { return len(m.Data.Message.Data) }

// Select chooses connections. It is called under the hub's lock. nil selects all.
type Select func(*Conn) bool

func (sel Select) selects(c *Conn) bool { return sel == nil || sel(c) }

// Subject is a connection as a [Select] sees it: it implements filter.Subject
// for the time of the call.
type Subject struct{ c *Conn }

// SubjectOf returns c for use in a [Select].
func SubjectOf(c *Conn) Subject { return Subject{c} }

func (s Subject) UserID() (string, bool)   { return s.c.UserID, s.c.UserID != "" }
func (s Subject) ConnectionID() string     { return s.c.ID }
func (s Subject) Protocol() string         { return s.c.Subprotocol }
func (s Subject) GroupCount() int          { return len(s.c.groups) }
func (s Subject) InGroup(name string) bool { return s.c.isMember(name) }

// deliver returns the number of receivers: one or none.
func (m *Message) deliver(c *Conn, sel Select) int {
	if sel.selects(c) && c.Session.Deliver(m) {
		return 1
	}
	return 0
}

// The sends return the number of receivers. They do not write the journal: see
// [Hub.JournalSent].

// SendAll sends to the connections of the hub that are selected.
func (h *Hub) SendAll(m *Message, sel Select) (receivers int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, c := range h.conns {
		receivers += m.deliver(c, sel)
	}
	return receivers
}

// SendUser sends to the connections of a user that are selected.
func (h *Hub) SendUser(id string, m *Message, sel Select) (receivers int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, c := range h.users[id] {
		receivers += m.deliver(c, sel)
	}
	return receivers
}

// SendConn sends to one connection.
func (h *Hub) SendConn(id string, m *Message) (receivers int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if c := h.conns[id]; c != nil {
		receivers = m.deliver(c, nil)
	}
	return receivers
}

// SendGroup sends to the members of a group that are selected.
func (h *Hub) SendGroup(name string, m *Message, sel Select) (receivers int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sendGroup(name, m, sel)
}

func (h *Hub) sendGroup(name string, m *Message, sel Select) (receivers int) {
	g := h.groups[name]
	if g == nil {
		return 0
	}
	g.order.Lock()
	defer g.order.Unlock()
	for _, c := range g.members {
		receivers += m.deliver(c, sel)
	}
	return receivers
}

// TryPublish sends a message of the client to a group, and records that. It
// reports false if the client does not have the permission. Check m.Err after it.
func (c *Conn) TryPublish(m *Message, group string, noEcho bool) bool {
	h := c.Hub
	h.mu.RLock()
	allowed := c.roles.Allows(role.Send, group)
	n := 0
	if allowed {
		n = h.sendGroup(group, m, c.echo(noEcho))
	}
	h.mu.RUnlock()
	if allowed && m.Err == nil {
		c.Journal(m.entry(group, n))
	}
	return allowed
}

// Publish sends a message of the client to a group without asking for the
// permission and without a record: the end of a stream.
func (c *Conn) Publish(m *Message, group string, noEcho bool) {
	c.Hub.SendGroup(group, m, c.echo(noEcho))
}

func (c *Conn) echo(noEcho bool) Select {
	if !noEcho {
		return nil
	}
	return func(to *Conn) bool { return to != c }
}

// JournalSent records what the application server sent, to a group or others.
func (h *Hub) JournalSent(to string, m *Message, receivers int) {
	e := m.entry(to, receivers)
	e.Hub = h.Name
	h.journal.Add(e)
}

// entry returns the journal's entry about the message. It keeps the message if the
// cause is recorded, and else nothing, since most messages are not looked at.
func (m *Message) entry(to string, receivers int) journal.Entry {
	e := journal.Entry{Kind: journal.Sent, Name: to, Receivers: receivers, Bytes: m.Bytes(), Cause: m.Cause}
	if m.Cause == nil {
		return e
	}
	kept := journal.NewPayload(m.Data.Message.Data, payload.ContentType(m.Data.Message.Type))
	e.Detail = &journal.Detail{Message: &kept}
	if kept.Truncated() {
		return e
	}
	e.Detail.Data = &m.Data
	for p := wire.JSON; p <= wire.ReliableProtobuf; p++ {
		if m.Frames[p] != nil {
			e.Detail.Protocols = append(e.Detail.Protocols, p)
		}
	}
	return e
}
