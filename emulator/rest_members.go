package emulator

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
)

// groupName checks the group of the path, where the operation has one.
func (c *call) groupName() error {
	segments := splitPath(c.r.URL.EscapedPath())[3:]
	for i, s := range segments[:len(segments)-1] {
		if s == "groups" {
			if err := names.Group(segments[i+1]); err != nil {
				return invalid("group", err.Error())
			}
		}
	}
	return nil
}

// Existence. The bodies are not sent, but their codes are.

func (c *call) connectionExists() error {
	if c.hub.get(c.args[0]) == nil {
		return c.noConnection("Warning.Connection.NotExisted", c.args[0])
	}
	return nil
}

func (c *call) groupExists() error {
	if len(c.hub.groupMembers(c.args[0])) == 0 {
		return notFound("Warning.Group.NotExisted", "Group", fmt.Sprintf("Group `%s` is not found.", c.args[0]))
	}
	return nil
}

func (c *call) userExists() error {
	if len(c.hub.user(c.args[0])) == 0 {
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

func (c *call) closeHub() error   { return c.closeAll(c.hub.all()) }
func (c *call) closeGroup() error { return c.closeAll(c.hub.groupMembers(c.args[0])) }
func (c *call) closeUser() error  { return c.closeAll(c.hub.user(c.args[0])) }

func (c *call) closeConnection() error {
	if target := c.hub.get(c.args[0]); target != nil {
		return c.closeAll([]*conn{target})
	}
	return nil
}

func (c *call) closeAll(targets []*conn) error {
	if err := c.groupName(); err != nil {
		return err
	}
	reason, _, err := c.single("reason")
	if err != nil {
		return err
	}
	for _, t := range targets {
		if !slices.Contains(c.query["excluded"], t.id) {
			t.closeByServer(reason)
		}
	}
	return nil
}

// Groups. Membership belongs to connections: a user's later ones do not join.

func (c *call) addConnectionToGroup() error {
	target := c.hub.get(c.args[1])
	if target == nil {
		return c.noConnection("Error.Connection.NotExisted", c.args[1])
	}
	return c.join(c.args[0], target)
}

func (c *call) removeConnectionFromGroup() error {
	return c.leave(c.args[0], c.hub.get(c.args[1]))
}

func (c *call) addUserToGroup() error {
	targets := c.hub.user(c.args[0])
	if len(targets) == 0 {
		return c.noUser(c.args[0])
	}
	return c.join(c.args[1], targets...)
}

func (c *call) removeUserFromGroup() error {
	return c.leave(c.args[1], c.hub.user(c.args[0])...)
}

func (c *call) removeConnectionFromAllGroups() error {
	return c.leaveAll(c.hub.get(c.args[0]))
}

func (c *call) removeUserFromAllGroups() error {
	return c.leaveAll(c.hub.user(c.args[0])...)
}

func (c *call) join(group string, targets ...*conn) error {
	if err := names.Group(group); err != nil {
		return invalid("group", err.Error())
	}
	for _, t := range targets {
		c.hub.mu.Lock()
		joined := c.hub.conns[t.id] == t && c.hub.join(t, group)
		c.hub.mu.Unlock()
		if joined {
			t.journal(Entry{Kind: KindJoined, Name: group})
		}
	}
	return nil
}

func (c *call) leave(group string, targets ...*conn) error {
	if err := names.Group(group); err != nil {
		return invalid("group", err.Error())
	}
	for _, t := range targets {
		if t == nil {
			continue
		}
		c.hub.mu.Lock()
		left := c.hub.leave(t, group)
		c.hub.mu.Unlock()
		if left {
			t.journal(Entry{Kind: KindLeft, Name: group})
		}
	}
	return nil
}

func (c *call) leaveAll(targets ...*conn) error {
	for _, t := range targets {
		if t == nil {
			continue
		}
		c.hub.mu.RLock()
		var in []string
		for g := range t.groups {
			in = append(in, g.name)
		}
		c.hub.mu.RUnlock()
		for _, g := range in {
			if err := c.leave(g, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) addToGroups() error {
	req, keep, err := c.bulk()
	if err != nil {
		return err
	}
	return c.each(req.Groups, keep, c.join)
}

func (c *call) removeFromGroups() error {
	req, keep, err := c.bulk()
	if err != nil {
		return err
	}
	return c.each(req.Groups, keep, c.leave)
}

// each applies a change to the connections of the hub that the filter names.
func (c *call) each(groups []string, keep func(*conn) bool, do func(string, ...*conn) error) error {
	targets := c.hub.all()
	if keep != nil {
		c.hub.mu.RLock()
		targets = slices.DeleteFunc(targets, func(t *conn) bool { return !keep(t) })
		c.hub.mu.RUnlock()
	}
	for _, g := range groups {
		if err := do(g, targets...); err != nil {
			return err
		}
	}
	return nil
}

// member is one row of a listing. An anonymous member has a null user.
type member struct {
	ConnectionID string  `json:"connectionId"`
	UserID       *string `json:"userId"`
}

type memberPage struct {
	Value    []member `json:"value"`
	NextLink string   `json:"nextLink,omitempty"`
}

// listConnections pages through a group in the order of connection ids. The
// continuation token is the id of the last member that was returned.
func (c *call) listConnections() error {
	if err := c.groupName(); err != nil {
		return err
	}
	size, _, err := c.number("maxpagesize", 200)
	if err != nil {
		return err
	}
	top, limited, err := c.number("top", 1<<31-1)
	if err != nil {
		return err
	}
	after, given, err := c.single("continuationToken")
	if err != nil {
		return err
	}
	if given && after == "" {
		return invalid("continuationToken", "The continuationToken is empty.")
	}
	members := c.hub.groupMembers(c.args[0])
	start, found := slices.BinarySearchFunc(members, after, func(m *conn, id string) int { return strings.Compare(m.id, id) })
	if found {
		start++
	}
	members = members[start:]
	page := memberPage{Value: []member{}}
	n := min(size, top, len(members))
	for _, m := range members[:n] {
		page.Value = append(page.Value, member{m.id, m.user()})
	}
	if n < len(members) && n < top {
		q := url.Values{}
		if limited {
			q.Set("top", strconv.Itoa(top-n))
		}
		if c.query.Has("maxpagesize") {
			q.Set("maxpagesize", strconv.Itoa(size))
		}
		q.Set("continuationToken", members[n-1].id)
		q.Set("api-version", apiVersions[len(apiVersions)-1])
		page.NextLink = origin(c.r) + c.r.URL.EscapedPath() + "?" + q.Encode()
	}
	c.body = page
	return nil
}

// number reads a count from 1 to most, which is also its default.
func (c *call) number(name string, most int) (n int, given bool, err error) {
	text, given, err := c.single(name)
	if err != nil || !given {
		return most, given, err
	}
	if n, err = strconv.Atoi(text); err != nil || n < 1 || n > most {
		return 0, true, invalid(name, fmt.Sprintf("The field %s must be between 1 and %d.", name, most))
	}
	return n, true, nil
}

// Permissions of one connection for one group, by its literal name.

// permission reads what the permission operations have in common. Without a
// connection it returns the error for it beside the rest.
func (c *call) permission() (p role.Permission, target *conn, group string, err error) {
	if p, err = role.ParsePermission(c.args[0]); err != nil {
		return p, nil, "", badRequest("permission", err.Error())
	}
	group, _, err = c.single("targetName")
	if err != nil {
		return p, nil, "", err
	}
	if err := names.Group(group); err != nil {
		return p, nil, "", badRequest("Request", err.Error())
	}
	return p, c.hub.get(c.args[1]), group, nil
}

func (c *call) checkPermission() error {
	p, target, group, err := c.permission()
	if err != nil {
		return err
	}
	if target != nil {
		c.hub.mu.RLock()
		allowed := target.may.Allows(p, group)
		c.hub.mu.RUnlock()
		if allowed {
			return nil
		}
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
	return c.change(target.may.Grant, p, group)
}

func (c *call) revokePermission() error {
	p, target, group, err := c.permission()
	if err != nil || target == nil {
		return err
	}
	return c.change(target.may.Revoke, p, group)
}

func (c *call) change(do func(role.Permission, string) error, p role.Permission, group string) error {
	c.hub.mu.Lock()
	err := do(p, group)
	c.hub.mu.Unlock()
	if errors.Is(err, role.ErrTooMany) {
		return &apiError{status: 409, code: "Error.Connection.Conflict", target: "Connection", message: err.Error()}
	}
	return err
}
