package app

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

// MaxText is the longest message in characters.
const MaxText = 4000

// DefaultRoom is the room of a client that names none.
const DefaultRoom = "general"

const (
	// groupPrefix keeps the groups of rooms apart from others of the hub. Room
	// names have no dot, so that the pattern room.* fits exactly the rooms.
	groupPrefix = "room."
	// maxMembers is how many connections of a room are looked at: one page of
	// the service's list. In a fuller room some people are not listed.
	maxMembers = 200
	stateRoom  = "room"
)

var (
	roomPattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_-]{0,31}$`)
	idPattern   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// What clients send and get, see Protocol in the package documentation.
type (
	joinRequest struct {
		Room string `json:"room"`
	}
	messageRequest struct {
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	roomReply struct {
		Type    string   `json:"type"` // room
		Room    string   `json:"room"`
		Members []string `json:"members,omitempty"` // user IDs; absent if the list cannot be had
		// Names are the readable names of members, by user ID, where they differ.
		Names map[string]string `json:"names,omitempty"`
	}
	sentReply struct {
		Type string    `json:"type"` // sent
		ID   string    `json:"id"`
		Room string    `json:"room"`
		Time time.Time `json:"time"`
	}
	errorReply struct {
		Type  string `json:"type"` // error
		ID    string `json:"id,omitempty"`
		Error string `json:"error"`
	}
	chatMessage struct {
		Type string    `json:"type"` // message
		ID   string    `json:"id"`
		Room string    `json:"room"`
		User string    `json:"user"`
		Name string    `json:"name"`
		Text string    `json:"text"`
		Time time.Time `json:"time"`
	}
	presence struct {
		Type  string    `json:"type"` // presence
		Room  string    `json:"room"`
		User  string    `json:"user"`
		Name  string    `json:"name"`
		Event string    `json:"event"` // joined or left
		Time  time.Time `json:"time"`
	}
)

// chat holds what the callbacks need. Its state is in the service: rooms are
// groups, and each connection's room is in its state.
type chat struct {
	service *service.Client
	log     *slog.Logger
}

func (c *chat) connected(ctx context.Context, e *handler.ConnectedEvent) error {
	room := roomOf(&e.Event)
	return c.announce(ctx, &e.Event, room, "joined", c.others(ctx, &e.Event, room))
}

func (c *chat) disconnected(ctx context.Context, e *handler.DisconnectedEvent) error {
	room := roomOf(&e.Event)
	return c.announce(ctx, &e.Event, room, "left", c.others(ctx, &e.Event, room))
}

// connect puts a client into a room. It is the one place that grants roles.
func (c *chat) connect(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
	room := DefaultRoom
	if wanted := r.Query.Get("room"); wanted != "" {
		var err error
		if room, err = roomName(wanted); err != nil {
			return nil, handler.Reject(http.StatusBadRequest, err.Error())
		}
	}
	return &handler.ConnectResponse{
		State:  map[string]any{stateRoom: room},
		Groups: []string{groupPrefix + room},
		Roles: []string{
			webpubsub.RoleJoinLeaveGroups(groupPrefix + "*"),
			webpubsub.RoleSendToGroups(groupPrefix + "*"),
		},
	}, nil
}

// join notes which room a client has gone to and says who is there. The client
// has joined the group itself, and leaves the old one after the answer.
func (c *chat) join(ctx context.Context, e *handler.UserEvent, in joinRequest) (*handler.EventResponse, error) {
	to, err := roomName(in.Room)
	if err != nil {
		return refusal("", err)
	}
	others := c.others(ctx, &e.Event, to)
	from := roomOf(&e.Event)
	if from != to {
		left := c.announce(ctx, &e.Event, from, "left", c.others(ctx, &e.Event, from))
		if err := errors.Join(left, c.announce(ctx, &e.Event, to, "joined", others)); err != nil {
			// A notice that is not sent is no reason to keep somebody out.
			c.log.WarnContext(ctx, "a change of rooms was not announced", "from", from, "to", to, "error", err)
		}
	}
	reply := roomReply{Type: "room", Room: to, Names: make(map[string]string)}
	if others != nil {
		others[e.UserID] = true
		reply.Members = slices.Sorted(maps.Keys(others))
	}
	for _, user := range reply.Members {
		name := webapp.DecodeUserID(user)
		if user == e.UserID {
			name = webapp.UserName(&e.Event)
		}
		if name != user {
			reply.Names[user] = name
		}
	}
	res := &handler.EventResponse{Message: webpubsub.MustJSON(reply)}
	if from != to {
		res.State = map[string]any{stateRoom: to}
	}
	return res, nil
}

// message brings what a client says to the others in its room.
func (c *chat) message(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
	var in messageRequest
	switch e.Message.Type {
	case webpubsub.DataTypeText:
		in.Text = e.Message.String()
	case webpubsub.DataTypeJSON:
		if err := json.Unmarshal(e.Message.Data, &in); err != nil {
			return refusal("", errors.New(`a message is {"id": "…", "text": "…"}`))
		}
	default:
		return refusal("", fmt.Errorf("a message is text or JSON, not %s", e.Message.Type))
	}
	if in.ID == "" {
		// The same for every delivery of this event.
		sum := sha256.Sum256([]byte(e.ConnectionID + "\n" + e.ID))
		in.ID = fmt.Sprintf("%x", sum[:8])
	}
	if !idPattern.MatchString(in.ID) {
		return refusal("", errors.New("a message id has 1 to 64 letters, digits and -"))
	}
	text := strings.TrimSpace(in.Text)
	room := roomOf(&e.Event)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return refusal(in.ID, errors.New("the message is empty"))
	case n > MaxText:
		return refusal(in.ID, fmt.Errorf("the message has %d characters: at most %d are allowed", n, MaxText))
	case room == "":
		return refusal(in.ID, errors.New("join a room first"))
	}
	at := now()
	err := e.SendToGroup(ctx, groupPrefix+room, webpubsub.MustJSON(chatMessage{
		Type: "message", ID: in.ID, Room: room, User: e.UserID, Name: webapp.UserName(&e.Event), Text: text, Time: at,
	}), &webpubsub.SendOptions{Excluded: []string{e.ConnectionID}})
	if err != nil {
		return nil, err
	}
	return &handler.EventResponse{Message: webpubsub.MustJSON(sentReply{Type: "sent", ID: in.ID, Room: room, Time: at})}, nil
}

// announce tells a room that the user of the event has come or gone. Somebody
// among the others, in another window, has done neither.
func (c *chat) announce(ctx context.Context, e *handler.Event, room, what string, others map[string]bool) error {
	if room == "" || others[e.UserID] {
		return nil
	}
	return e.SendToGroup(ctx, groupPrefix+room, webpubsub.MustJSON(presence{
		Type: "presence", Room: room, User: e.UserID, Name: webapp.UserName(e), Event: what, Time: now(),
	}), &webpubsub.SendOptions{Excluded: []string{e.ConnectionID}})
}

// others returns the users with a connection in a room besides the event's own,
// or nil where the service does not tell.
func (c *chat) others(ctx context.Context, e *handler.Event, room string) map[string]bool {
	if room == "" {
		return nil
	}
	users := make(map[string]bool)
	for conn, err := range c.service.ListConnectionsInGroup(ctx, groupPrefix+room, &service.ListConnectionsInGroupOptions{Top: maxMembers}) {
		if err != nil {
			c.log.WarnContext(ctx, "the members of a room could not be listed", "room", room, "error", err)
			return nil
		}
		if conn.ConnectionID != e.ConnectionID && conn.UserID != "" {
			users[conn.UserID] = true
		}
	}
	return users
}

// refusal answers the sender. It is no failed event: of that the client would
// not learn the reason, and the service would try again.
func refusal(id string, why error) (*handler.EventResponse, error) {
	return &handler.EventResponse{Message: webpubsub.MustJSON(errorReply{Type: "error", ID: id, Error: why.Error()})}, nil
}

// roomOf returns the room of a connection, or "" for one that the connect event
// did not see.
func roomOf(e *handler.Event) string {
	room, err := handler.StateValue[string](e.State(), stateRoom)
	if err != nil {
		return ""
	}
	return room
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func roomName(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if !roomPattern.MatchString(s) {
		return "", errors.New("a room name has 1 to 32 letters, digits, - and _, and begins with a letter or digit")
	}
	return s, nil
}
