package emulator

import (
	"errors"

	"example.com/webpubsub/internal/names"
)

// joinedEntry is the journal entry of a connection that joined a group. The reason
// warns of a group that no REST path can contain: clients can use it, and calls of
// the application succeed and reach nobody, which first shows in production.
func joinedEntry(group string) Entry {
	e := Entry{Kind: KindJoined, Name: group}
	if err := names.RoutableInPath(group); err != nil {
		e.Reason = "clients can use this group, REST calls on it reach nobody: " + err.Error()
	}
	return e
}

// connectedEntry is the journal entry of a new connection, with the same warning
// about its user and the groups and roles that it was granted.
func (c *conn) connectedEntry(a admission) Entry {
	e := Entry{Kind: KindConnected, Name: c.subprotocol}
	if found := names.Unaddressable(c.userID, a.roles, a.groups); found != nil {
		e.Reason = "clients can use these names, REST calls on them reach nobody: " + errors.Join(found...).Error()
	}
	return e
}
