package broker

import (
	"slices"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
)

// Session is the client of a connection, in its protocol.
type Session interface {
	// Deliver queues a message for the client, and reports whether the client
	// receives it. It is called under the hub's lock.
	Deliver(*Message) bool
	// DeliverState queues a change of a group's state. It is called under the
	// hub's lock.
	DeliverState(*StateUpdate)
	// Joined and Left are called under the hub's lock when the connection has
	// joined or left a group. by is what that follows from, here as below.
	Joined(group string, by *journal.Cause)
	Left(group string, by *journal.Cause)

	// CloseByServer ends the connection on behalf of the application server.
	CloseByServer(reason string, by *journal.Cause)
	// Close ends the connection with a close code.
	Close(code int, reason, why string, by *journal.Cause)
	// Drop resets the network connection of the client, as a lost network does.
	// It reports false if there is none.
	Drop(why string, by *journal.Cause) bool
	// Abandon ends the session as a crash of the service would: nothing is sent.
	Abandon()
	// KeepAlive is called about every second.
	KeepAlive(now time.Time)
	// Status describes the session.
	Status() Status
}

// Status is a session at one moment.
type Status struct {
	Detached bool // the client has lost its WebSocket and may come back
	Unacked  int  // messages that the client has not acknowledged
	Queued   int  // messages that wait to be written
	Kept     int  // bytes of what waits and is not acknowledged, as far as they are counted
}

// Conn is a connection: what the service calls a client. The connection of a
// reliable or MQTT client outlives its WebSocket for a while.
type Conn struct {
	Hub         *Hub
	ID          string
	UserID      string // empty: anonymous
	Subprotocol string // as selected, known or not
	Session     Session
	Since       time.Time // when it came into its hub

	// Guarded by Hub.mu.
	groups map[*group]int // with the position among the members
	roles  role.Set
}

// User returns the user id, or nil for an anonymous client.
func (c *Conn) User() *string {
	if c.UserID == "" {
		return nil
	}
	return &c.UserID
}

// Journal records an entry about the connection.
func (c *Conn) Journal(e journal.Entry) {
	e.Hub, e.ConnectionID, e.UserID = c.Hub.Name, c.ID, c.UserID
	c.Hub.journal.Add(e)
}

// Remove takes the connection out of its hub. It reports false if that has
// happened before, so that a connection ends once.
func (c *Conn) Remove(by *journal.Cause) bool { return c.Hub.remove(c, by) }

// SetRoles sets the initial permissions, and returns what is wrong with roles
// that are ignored. Call it before [Hub.Add].
func (c *Conn) SetRoles(roles []string) []error {
	var ignored []error
	c.roles, ignored = role.Parse(roles)
	return ignored
}

// Join adds the connection to a group.
func (c *Conn) Join(group string, by *journal.Cause) { c.join(group, false, by) }

// TryJoin is Join as a request of the client. It reports false if the client
// does not have the permission.
func (c *Conn) TryJoin(group string, by *journal.Cause) bool { return c.join(group, true, by) }

func (c *Conn) join(group string, ask bool, by *journal.Cause) bool {
	h := c.Hub
	h.mu.Lock()
	allowed := !ask || c.roles.Allows(role.JoinLeave, group)
	joined := allowed && h.conns[c.ID] == c && h.join(c, group, by)
	h.mu.Unlock()
	if joined {
		e := journal.Entry{Kind: journal.Joined, Name: group, Cause: by}
		if err := names.RoutableInPath(group); err != nil {
			e.Reason = "clients can use this group, but REST calls on it have no effect: " + err.Error()
		}
		c.Journal(e)
	}
	return allowed
}

// Leave removes the connection from a group. That it was not a member is no
// error: the result is what was asked for.
func (c *Conn) Leave(group string, by *journal.Cause) { c.leave(group, false, by) }

// TryLeave is Leave as a request of the client. It reports false if the client
// does not have the permission.
func (c *Conn) TryLeave(group string, by *journal.Cause) bool { return c.leave(group, true, by) }

func (c *Conn) leave(group string, ask bool, by *journal.Cause) bool {
	h := c.Hub
	h.mu.Lock()
	allowed := !ask || c.roles.Allows(role.JoinLeave, group)
	left := allowed && h.leave(c, group, by)
	h.mu.Unlock()
	if left {
		c.Journal(journal.Entry{Kind: journal.Left, Name: group, Cause: by})
	}
	return allowed
}

// LeaveAll removes the connection from all groups.
func (c *Conn) LeaveAll(by *journal.Cause) {
	for _, g := range c.Groups() {
		c.Leave(g, by)
	}
}

// Groups returns the names of the connection's groups in alphabetical order.
func (c *Conn) Groups() []string {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	return c.sortedGroups()
}

// sortedGroups needs the hub's lock.
func (c *Conn) sortedGroups() []string {
	in := make([]string, 0, len(c.groups))
	for g := range c.groups {
		in = append(in, g.name)
	}
	slices.Sort(in)
	return in
}

// IsMember reports whether the connection is in the group.
func (c *Conn) IsMember(group string) bool {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	return c.isMember(group)
}

func (c *Conn) isMember(group string) bool {
	g := c.Hub.groups[group]
	if g == nil {
		return false
	}
	_, ok := c.groups[g]
	return ok
}

// Allows reports whether the client has a permission for a group.
func (c *Conn) Allows(p role.Permission, group string) bool {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	return c.roles.Allows(p, group)
}

// GroupStateRoles reports whether the client has the roles to read and to set the
// state of groups.
func (c *Conn) GroupStateRoles() (get, set bool) {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	return c.roles.GetsGroupState(), c.roles.SetsGroupState()
}

// Permissions returns the permissions as roles, and those that were revoked for
// single groups.
func (c *Conn) Permissions() (roles []string, revoked []role.Revoked) {
	c.Hub.mu.RLock()
	defer c.Hub.mu.RUnlock()
	return c.roles.List()
}

// Grant gives the client a permission for a group. It fails with
// [role.ErrTooMany].
func (c *Conn) Grant(p role.Permission, group string) error {
	c.Hub.mu.Lock()
	defer c.Hub.mu.Unlock()
	return c.roles.Grant(p, group)
}

// Revoke takes a permission for a group away. It fails with [role.ErrTooMany].
func (c *Conn) Revoke(p role.Permission, group string) error {
	c.Hub.mu.Lock()
	defer c.Hub.mu.Unlock()
	return c.roles.Revoke(p, group)
}
