package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/filter"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/wire"
)

func (c *call) sendToAll() error {
	b, keep, err := c.message("filter", "excluded")
	if err != nil {
		return err
	}
	return c.sent("all", b, c.hub.SendAll(b, keep))
}

func (c *call) sendToGroup() error {
	b, keep, err := c.message("filter", "excluded")
	if err != nil {
		return err
	}
	b.Data.From, b.Data.Group = "group", c.args[0]
	return c.sent(c.args[0], b, c.hub.SendGroup(c.args[0], b, keep))
}

func (c *call) sendToUser() error {
	b, keep, err := c.message("filter")
	if err != nil {
		return err
	}
	return c.sent(c.args[0], b, c.hub.SendUser(c.args[0], b, keep))
}

func (c *call) sendToConnection() error {
	b, _, err := c.message()
	if err != nil {
		return err
	}
	return c.sent(c.args[0], b, c.hub.SendConn(c.args[0], b))
}

func (c *call) sent(to string, b *broker.Message, n int) error {
	b.Cause = c.by
	c.hub.JournalSent(to, b, n)
	return b.Err // none: message has checked everything, as some receivers have the message
}

// message reads a send: the parameters first, then the body, in the order in
// which the service complains about them. What chooses among receivers is read
// only if the operation knows it; other parameters are ignored. Every check is
// done here: a request that is rejected has no effect. Microsoft's emulator accepts some
// more: an empty or hexadecimal time to live, a blank filter, a parameter twice.
func (c *call) message(choosers ...string) (*broker.Message, broker.Select, error) {
	b := &broker.Message{Data: wire.Data{From: "server"}}
	ttl, given, err := c.single("messageTtlSeconds")
	if err != nil {
		return nil, nil, err
	}
	if given {
		n, err := strconv.Atoi(ttl)
		if err != nil || n < 0 || n > 300 {
			return nil, nil, invalid("messageTtlSeconds", "The field messageTtlSeconds must be between 0 and 300.")
		}
		if n > 0 {
			b.Expires = time.Now().Add(time.Duration(n) * time.Second)
		}
	}
	var text string
	var excluded []string
	if slices.Contains(choosers, "filter") {
		if text, _, err = c.single("filter"); err != nil {
			return nil, nil, err
		}
	}
	if slices.Contains(choosers, "excluded") {
		excluded = c.query.All("excluded")
	}
	keep, err := keep(text, "filter", excluded)
	if err != nil {
		return nil, nil, err
	}
	if b.Data.Message, err = c.payload(); err != nil {
		return nil, nil, err
	}
	return b, keep, nil
}

// keep returns whom a call is for: those that the filter lets through and that
// are not excluded; nil means all. Ids are whole values and may contain commas.
func keep(text, target string, excluded []string) (broker.Select, error) {
	var f *filter.Filter
	if text != "" {
		var err error
		if f, err = filter.Compile(text); err != nil {
			return nil, invalid(target, err.Error())
		}
	}
	if f == nil && len(excluded) == 0 {
		return nil, nil
	}
	return func(to *broker.Conn) bool {
		return !slices.Contains(excluded, to.ID) && (f == nil || f.Match(broker.SubjectOf(to)))
	}, nil
}

// generateToken makes a client access token. The service lets an identity ask
// for one; here a call signed with the access key may do so too.
func (c *call) generateToken() error {
	minutes, given, err := c.single("minutesToExpire")
	if err != nil {
		return err
	}
	n := 60
	if given {
		if n, err = strconv.Atoi(minutes); err != nil || n < 1 || n > 1<<31-1 {
			return invalidJSON("minutesToExpire", "The field minutesToExpire must be between 1 and 2147483647.")
		}
	}
	user, _, err := c.single("userId")
	if err != nil {
		return err
	}
	clientType, _, err := c.single("clientType")
	if err != nil {
		return err
	}
	path, ok := clientPaths[strings.ToLower(clientType)]
	if !ok {
		e := invalidJSON("clientType", fmt.Sprintf("The value '%s' is not valid.", clientType))
		e.hidden = e.message + " Use default, mqtt or socketio."
		return e
	}
	for _, g := range c.query.All("group") {
		if err := names.Group(g); err != nil {
			return invalidJSON("group", err.Error())
		}
	}
	now := time.Now()
	t, err := token.Sign(c.api.Access.Keys[0], token.Claims{
		KeyID:    c.api.KeyID,
		Audience: c.api.Access.Address(c.r) + path + c.hubName,
		UserID:   user,
		Roles:    c.query.All("role"),
		Groups:   c.query.All("group"),
		Issued:   now,
		Expires:  time.Unix(now.Unix()+60*int64(n), 0), // a time.Duration ends after 292 years, the parameter later
		Issuer:   token.Issuer,
	})
	if err != nil {
		return err
	}
	c.chunked = true
	c.body = struct {
		Token string `json:"token"`
	}{t}
	return nil
}

// clientPaths are the client endpoints by client type.
var clientPaths = map[string]string{
	"":         access.ClientPath,
	"default":  access.ClientPath,
	"mqtt":     access.MQTTPath,
	"socketio": access.SocketIOPath,
}

// invalidJSON is like invalid, in the content type that :generateToken uses.
func invalidJSON(target, message string) *apiError {
	e := invalid(target, message)
	e.contentType = "application/json; charset=utf-8"
	return e
}

// groupsRequest is the body of the bulk operations.
type groupsRequest struct {
	Groups []string `json:"groups"`
	Filter string   `json:"filter"`
}

// bulk reads a bulk operation.
func (c *call) bulk() (groupsRequest, broker.Select, error) {
	var req groupsRequest
	if m, err := payload.FromHTTP(c.r.Header.Get("Content-Type"), nil); err != nil || m.Type != webpubsub.DataTypeJSON {
		return req, nil, unsupportedType("The content type must be application/json.", "")
	}
	body, err := c.readBody()
	if err != nil {
		return req, nil, err
	}
	if err := json.Unmarshal(body, &req); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return req, nil, wrongType(wrong.Field)
		}
		return req, nil, badRequest("Request", "The request body is not a valid JSON.")
	}
	if len(req.Groups) == 0 {
		return req, nil, invalid("Groups", "The Groups field is required.")
	}
	for _, g := range req.Groups {
		if err := names.Group(g); err != nil {
			return req, nil, invalid("Groups", err.Error())
		}
	}
	keep, err := keep(req.Filter, "Filter", nil)
	return req, keep, err
}

// wrongType is the error for a field of a bulk operation that has a JSON
// value of another type, or, with no field, for a body that is not an object.
func wrongType(field string) error {
	switch strings.ToLower(field) {
	case "groups":
		return invalid("Groups", "The Groups field must be an array of strings.")
	case "filter":
		return invalid("Filter", "The Filter field must be a string.")
	}
	return badRequest("Request", "The request body must be a JSON object.")
}
