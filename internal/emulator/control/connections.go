package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
)

type connection struct {
	Hub         string    `json:"hub"`
	ID          string    `json:"id"`
	UserID      string    `json:"userId,omitempty"`
	Protocol    string    `json:"protocol"`
	Subprotocol string    `json:"subprotocol,omitempty"`
	State       string    `json:"state"`
	ConnectedAt time.Time `json:"connectedAt"`
	GroupCount  int       `json:"groupCount"`
	Groups      []string  `json:"groups"`
	Queued      int       `json:"queued"`
	Unacked     int       `json:"unacked"`
}

type connectionDetail struct {
	connection
	Roles      []string     `json:"roles"`
	Revoked    []revocation `json:"revoked"`
	KeptBytes  int          `json:"keptBytes"`
	GroupState []ownState   `json:"groupState"`
}

type revocation struct {
	Permission string `json:"permission"`
	Group      string `json:"group"`
}

type ownState struct {
	Group     string            `json:"group"`
	State     map[string]string `json:"state"`
	UpdatedAt time.Time         `json:"updatedAt"`
}

// The states of connections.
const (
	stateOpen        = "open"
	stateInterrupted = "interrupted"
)

// maxGroups is how many groups a list shows of each connection.
const maxGroups = 20

// seen is a connection with its status at one moment.
type seen struct {
	*broker.Conn
	status broker.Status
	groups []string
}

func look(c *broker.Conn) seen { return seen{c, c.Session.Status(), c.Groups()} }

func (s seen) state() string {
	if s.status.Detached {
		return stateInterrupted
	}
	return stateOpen
}

func (s seen) show() connection {
	return connection{
		Hub: s.Hub.Name, ID: s.ID, UserID: s.UserID, Protocol: journal.ProtocolName(s.Subprotocol), Subprotocol: s.Subprotocol,
		State: s.state(), ConnectedAt: s.Since.UTC(), GroupCount: len(s.groups),
		Groups: append([]string{}, s.groups[:min(len(s.groups), maxGroups)]...),
		Queued: s.status.Queued, Unacked: s.status.Unacked,
	}
}

// sortKeys are the orders of a listing, each with the value that decides.
var sortKeys = map[string]func(seen) string{
	"id":          func(s seen) string { return "" },
	"userId":      func(s seen) string { return s.UserID },
	"connectedAt": func(s seen) string { return ordinal(s.Since.UnixNano()) },
	"queued":      func(s seen) string { return ordinal(s.status.Queued) },
	"unacked":     func(s seen) string { return ordinal(s.status.Unacked) },
	"groups":      func(s seen) string { return ordinal(len(s.groups)) },
}

func (c *call) listConnections() error {
	q := c.query
	order, err := c.oneOf("sort", "id", "userId", "connectedAt", "queued", "unacked", "groups")
	if err != nil {
		return err
	}
	direction, err := c.oneOf("order", "asc", "desc")
	if err != nil {
		return err
	}
	protocol, err := c.oneOf("protocol", "", "simple", "json", "jsonReliable", "protobuf", "protobufReliable", "mqtt")
	if err != nil {
		return err
	}
	state, err := c.oneOf("state", "", stateOpen, stateInterrupted)
	if err != nil {
		return err
	}
	found := c.searcher()
	var all []seen
	for _, h := range c.hubs() {
		conns := h.Conns(nil)
		if q.Has("group") {
			conns = h.Members(q.Get("group"))
		}
		for _, conn := range conns {
			if q.Has("userId") && conn.UserID != q.Get("userId") || protocol != "" && journal.ProtocolName(conn.Subprotocol) != protocol || !found(conn.ID, conn.UserID) {
				continue
			}
			if s := look(conn); state == "" || s.state() == state {
				all = append(all, s)
			}
		}
	}
	key := func(s seen) string { return keyOf(sortKeys[order](s), s.Hub.Name, s.ID) }
	return answerPage(c, all, key, direction == "desc", seen.show)
}

// connection returns the connection that the path names.
func (c *call) connection() (*broker.Conn, error) {
	hub, err := c.hubName()
	if err != nil {
		return nil, err
	}
	if h := c.Broker.Existing(hub); h != nil {
		if conn := h.Conn(c.args["connectionId"]); conn != nil {
			return conn, nil
		}
	}
	return nil, notFoundf("There is no connection %q in the hub %s: it has ended, or never existed.", c.args["connectionId"], hub)
}

func (c *call) getConnection() error {
	conn, err := c.connection()
	if err != nil {
		return err
	}
	s := look(conn)
	d := connectionDetail{connection: s.show(), KeptBytes: s.status.Kept, Revoked: []revocation{}, GroupState: []ownState{}}
	d.Groups = append([]string{}, s.groups...)
	roles, revoked := conn.Permissions()
	d.Roles = append([]string{}, roles...)
	for _, r := range revoked {
		d.Revoked = append(d.Revoked, revocation{r.Permission.String(), r.Group})
	}
	states := conn.States()
	for _, group := range slices.SortedFunc(maps.Keys(states), cmp.Compare[string]) {
		d.GroupState = append(d.GroupState, ownState{group, states[group].State, unixMilli(states[group].UpdatedAt)})
	}
	return c.answer(d)
}

func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
