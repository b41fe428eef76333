package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
)

// Existence. The bodies are not sent, but their codes are.

func (c *call) connectionExists() error {
	if c.hub.Conn(c.args[0]) == nil {
		return c.noConnection("Warning.Connection.NotExisted", c.args[0])
	}
	return nil
}

func (c *call) groupExists() error {
	if len(c.hub.Members(c.args[0])) == 0 {
		return notFound("Warning.Group.NotExisted", "Group", fmt.Sprintf("Group `%s` is not found.", c.args[0]))
	}
	return nil
}

func (c *call) userExists() error {
	if len(c.hub.UserConns(c.args[0])) == 0 {
		return c.noUser(c.args[0])
	}
	return nil
}

func (c *call) noConnection(code, id string) error {
	return notFound(code, "Connection", fmt.Sprintf("Connection `%s` is not found.", id))
}

func (c *call) noUser(id string) error {
	return notFound("Warning.User.NotExisted", "User", fmt.Sprintf("User `%s` is not found.", id))
}

// Closing. What is not there counts as closed.

func (c *call) closeHub() error { return c.closeAll(c.hub.Conns(nil), c.query.All("excluded")) }

func (c *call) closeGroup() error {
	return c.closeAll(c.hub.Members(c.args[0]), c.query.All("excluded"))
}

func (c *call) closeUser() error {
	return c.closeAll(c.hub.UserConns(c.args[0]), c.query.All("excluded"))
}

func (c *call) closeConnection() error {
	if target := c.hub.Conn(c.args[0]); target != nil {
		return c.closeAll([]*broker.Conn{target}, nil)
	}
	return nil
}

func (c *call) closeAll(targets []*broker.Conn, excluded []string) error {
	reason, _, err := c.single("reason")
	if err != nil {
		return err
	}
	if strings.TrimSpace(reason) == "" {
		reason = ""
	}
	for _, t := range targets {
		if !slices.Contains(excluded, t.ID) {
			t.Session.CloseByServer(reason, c.by)
		}
	}
	return nil
}

// Groups. Membership belongs to connections: a user's later ones do not join.

func (c *call) addConnectionToGroup() error {
	target := c.hub.Conn(c.args[1])
	if target == nil {
		return c.noConnection("Error.Connection.NotExisted", c.args[1])
	}
	c.join(c.args[0], target)
	return nil
}

func (c *call) removeConnectionFromGroup() error {
	c.leave(c.args[0], c.hub.Conn(c.args[1]))
	return nil
}

func (c *call) addUserToGroup() error {
	targets := c.hub.UserConns(c.args[0])
	if len(targets) == 0 {
		return c.noUser(c.args[0])
	}
	c.join(c.args[1], targets...)
	return nil
}

func (c *call) removeUserFromGroup() error {
	c.leave(c.args[1], c.hub.UserConns(c.args[0])...)
	return nil
}

func (c *call) removeConnectionFromAllGroups() error {
	c.leaveAll(c.hub.Conn(c.args[0]))
	return nil
}

func (c *call) removeUserFromAllGroups() error {
	c.leaveAll(c.hub.UserConns(c.args[0])...)
	return nil
}

func (c *call) join(group string, targets ...*broker.Conn) {
	for _, t := range targets {
		t.Join(group, c.by)
	}
}

func (c *call) leave(group string, targets ...*broker.Conn) {
	for _, t := range targets {
		if t != nil {
			t.Leave(group, c.by)
		}
	}
}

func (c *call) leaveAll(targets ...*broker.Conn) {
	for _, t := range targets {
		if t != nil {
			t.LeaveAll(c.by)
		}
	}
}

func (c *call) addToGroups() error {
	req, keep, err := c.bulk()
	if err != nil {
		return err
	}
	c.each(req.Groups, keep, c.join)
	return nil
}

func (c *call) removeFromGroups() error {
	req, keep, err := c.bulk()
	if err != nil {
		return err
	}
	c.each(req.Groups, keep, c.leave)
	return nil
}

// each applies a change to the connections of the hub that are selected.
func (c *call) each(groups []string, keep broker.Select, do func(string, ...*broker.Conn)) {
	targets := c.hub.Conns(keep)
	for _, g := range groups {
		do(g, targets...)
	}
}

// Permissions of one connection for one group, by its literal name.

// permission reads what the permission operations have in common. Without a
// connection it returns the error for it with the other results.
func (c *call) permission() (p role.Permission, target *broker.Conn, group string, err error) {
	if p, err = role.ParsePermission(c.args[0]); err != nil {
		return p, nil, "", badRequest("permission", err.Error())
	}
	group, _, err = c.single("targetName")
	if err != nil {
		return p, nil, "", err
	}
	if err := names.Group(group); err != nil {
		e := badRequest("Request", err.Error())
		e.hidden = e.message + " Give it as the query parameter targetName."
		return p, nil, "", e
	}
	return p, c.hub.Conn(c.args[1]), group, nil
}

func (c *call) checkPermission() error {
	p, target, group, err := c.permission()
	if err != nil {
		return err
	}
	if target != nil && target.Allows(p, group) {
		return nil
	}
	return c.noConnection("Info.Connection.NotExisted", c.args[1])
}

func (c *call) grantPermission() error {
	p, target, group, err := c.permission()
	if err != nil {
		return err
	}
	if target == nil {
		return c.noConnection("Info.Connection.NotExisted", c.args[1])
	}
	return conflict(target.Grant(p, group))
}

func (c *call) revokePermission() error {
	p, target, group, err := c.permission()
	if err != nil || target == nil {
		return err
	}
	return conflict(target.Revoke(p, group))
}

func conflict(err error) error {
	if errors.Is(err, role.ErrTooMany) {
		return &apiError{status: http.StatusConflict, code: "Error.Connection.Conflict", target: "Connection", message: err.Error()}
	}
	return err
}
