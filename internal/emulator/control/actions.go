package control

import (
	"net/http"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
)

// Actions act on what the path names: a hub, a group, a user or a connection.

// targets returns the connections that an action is for. Only a connection has to
// exist.
func (c *call) targets() ([]*broker.Conn, error) {
	name, err := c.hubName()
	if err != nil {
		return nil, err
	}
	if _, ok := c.args["connectionId"]; ok {
		conn, err := c.connection()
		return []*broker.Conn{conn}, err
	}
	h := c.Broker.Existing(name)
	if h == nil {
		return nil, nil
	}
	if group, ok := c.args["group"]; ok {
		return h.Members(group), nil
	}
	if id, ok := c.args["userId"]; ok {
		return h.UserConns(id), nil
	}
	return h.Conns(nil), nil
}

type count struct {
	Count int `json:"count"`
}

func (c *call) close() error {
	var in struct {
		Code   *int   `json:"code"`
		Reason string `json:"reason"`
	}
	if err := c.decode(&in, true); err != nil {
		return err
	}
	if in.Code != nil {
		if err := checkCloseCode(*in.Code); err != nil {
			return err
		}
	}
	targets, err := c.targets()
	if err != nil {
		return err
	}
	for _, t := range targets {
		if in.Code == nil {
			t.Session.CloseByServer(in.Reason, c.by)
		} else {
			t.Session.Close(*in.Code, in.Reason, "closed by the control API", c.by)
		}
	}
	return c.answer(count{len(targets)})
}

// checkCloseCode checks that a close frame can have the code (RFC 6455, section
// 7.4): 1004, 1005, 1006 and 1015 are reserved.
func checkCloseCode(code int) error {
	if code < 1000 || code > 4999 || code >= 1004 && code <= 1006 || code == 1015 {
		return invalidf("The code must be one that a close frame can have: 1000 to 4999 except 1004, 1005, 1006 and 1015.")
	}
	return nil
}

func (c *call) resetLinks() error {
	targets, err := c.targets()
	if err != nil {
		return err
	}
	n := 0
	for _, t := range targets {
		if t.Session.Drop("reset by the control API", c.by) {
			n++
		}
	}
	return c.answer(count{n})
}

func (c *call) join() error {
	return c.member(func(t *broker.Conn, group string) { t.Join(group, c.by) })
}

func (c *call) leave() error {
	return c.member(func(t *broker.Conn, group string) { t.Leave(group, c.by) })
}

func (c *call) member(change func(*broker.Conn, string)) error {
	var in struct {
		Group string `json:"group"`
	}
	if err := c.decode(&in, false); err != nil {
		return err
	}
	if err := names.Group(in.Group); err != nil {
		return invalidf("%v", err)
	}
	targets, err := c.targets()
	if err != nil {
		return err
	}
	for _, t := range targets {
		change(t, in.Group)
	}
	return c.answer(count{len(targets)})
}

func (c *call) grant() error  { return c.permission((*broker.Conn).Grant) }
func (c *call) revoke() error { return c.permission((*broker.Conn).Revoke) }

func (c *call) permission(change func(*broker.Conn, role.Permission, string) error) error {
	var in struct {
		Permission string `json:"permission"`
		Group      string `json:"group"`
	}
	if err := c.decode(&in, false); err != nil {
		return err
	}
	var p role.Permission
	switch in.Permission {
	case role.JoinLeave.String():
		p = role.JoinLeave
	case role.Send.String():
		p = role.Send
	default:
		return invalidf("The permission must be joinLeaveGroup or sendToGroup.")
	}
	if err := names.Group(in.Group); err != nil {
		return invalidf("%v", err)
	}
	conn, err := c.connection()
	if err != nil {
		return err
	}
	if err := change(conn, p, in.Group); err != nil {
		return &apiError{http.StatusConflict, "conflict", err.Error() + "."}
	}
	return c.answerAs(http.StatusNoContent, nil)
}
