package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

const (
	// groupPrefix keeps the groups of rooms apart from others of the hub.
	groupPrefix = "room."
	// maxMembers is how many connections of a room are looked at: one page of
	// the service's list. In a fuller room some people are not listed.
	maxMembers = 200
	// The history of a reply has at most so many messages, and bytes of text.
	maxHistory      = 50
	maxHistoryBytes = 128 << 10
	// stateRooms is the key of the names of a connection's rooms in its state.
	stateRooms = "rooms"
)

// chat has the callbacks. The service stores who is in which room: rooms are groups,
// and the rooms of a connection are in its state.
type chat struct {
	service *service.Client
	store   Store
	log     *slog.Logger
}

// connect puts a client into the rooms of its URL. A client may publish to the
// rooms that it is in, and cannot join others by itself: that is what the events
// join and leave are for.
func (c *chat) connect(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
	wanted := r.Query["room"]
	if len(wanted) == 0 {
		wanted = []string{DefaultRoom}
	}
	var res handler.ConnectResponse
	var rooms []string
	for _, w := range wanted {
		room, err := roomName(w)
		if err != nil {
			return nil, handler.Reject(http.StatusBadRequest, err.Error())
		}
		if slices.Contains(rooms, room) {
			continue
		}
		rooms = append(rooms, room)
		res.Groups = append(res.Groups, groupPrefix+room)
		res.Roles = append(res.Roles, webpubsub.RoleSendToGroup(groupPrefix+room))
	}
	if len(rooms) > MaxRooms {
		return nil, handler.Reject(http.StatusBadRequest, errTooManyRooms.Error())
	}
	res.State = map[string]any{stateRooms: rooms}
	return &res, nil
}

var errTooManyRooms = fmt.Errorf("a connection can be in %d rooms: leave one first", MaxRooms)

// connected may be handled after events that the client has sent since, and
// after the event disconnected.
func (c *chat) connected(ctx context.Context, e *handler.ConnectedEvent) error {
	var errs []error
	for _, room := range roomsOf(&e.Event) {
		errs = append(errs, c.name(ctx, &e.Event, room))
		others, here := c.members(ctx, &e.Event, room)
		if others != nil && !here {
			continue // disconnected already, which is or will be announced
		}
		errs = append(errs, c.announce(ctx, &e.Event, room, "joined", others))
	}
	return errors.Join(errs...)
}

func (c *chat) disconnected(ctx context.Context, e *handler.DisconnectedEvent) error {
	var errs []error
	for _, room := range roomsOf(&e.Event) {
		others, _ := c.members(ctx, &e.Event, room)
		errs = append(errs, c.announce(ctx, &e.Event, room, "left", others))
	}
	return errors.Join(errs...)
}

// join puts a client into a room, if it is not there already, and returns who is
// in the room and what was said last.
func (c *chat) join(ctx context.Context, e *handler.UserEvent, in roomRequest) (*handler.EventResponse, error) {
	room, err := roomName(in.Room)
	if err != nil {
		return rejection("", "", err)
	}
	rooms := roomsOf(&e.Event)
	entering := !slices.Contains(rooms, room)
	res := &handler.EventResponse{}
	if entering {
		if len(rooms) >= MaxRooms {
			return rejection("", room, errTooManyRooms)
		}
		if err := errors.Join(c.admit(ctx, e.ConnectionID, room), c.name(ctx, &e.Event, room)); err != nil {
			return nil, err
		}
		res.State = map[string]any{stateRooms: append(slices.Clone(rooms), room)}
	}
	others, _ := c.members(ctx, &e.Event, room)
	if entering {
		c.tryAnnounce(ctx, &e.Event, room, "joined", others)
	}
	reply := roomReply{Type: "room", Room: room}
	if others != nil {
		others[e.UserID] = true
		reply.Members = slices.Sorted(maps.Keys(others))
		reply.Names = c.names(ctx, room, reply.Members)
	}
	// Read after the connection has joined, so that a message that is sent at the same
	// time is received twice rather than not at all.
	reply.History, reply.Complete = c.history(ctx, room)
	res.Message = webpubsub.MustJSON(reply)
	return res, nil
}

// leave takes a client out of a room.
func (c *chat) leave(ctx context.Context, e *handler.UserEvent, in roomRequest) (*handler.EventResponse, error) {
	room, err := roomName(in.Room)
	if err != nil {
		return rejection("", "", err)
	}
	reply := webpubsub.MustJSON(leftReply{Type: "left", Room: room})
	rooms := roomsOf(&e.Event)
	i := slices.Index(rooms, room)
	if i < 0 {
		return &handler.EventResponse{Message: reply}, nil
	}
	err = errors.Join(
		c.service.RemoveConnectionFromGroup(ctx, groupPrefix+room, e.ConnectionID, nil),
		c.service.RevokePermission(ctx, service.PermissionSendToGroup, e.ConnectionID, groupPrefix+room, nil),
	)
	if err != nil {
		return nil, err
	}
	others, _ := c.members(ctx, &e.Event, room)
	c.tryAnnounce(ctx, &e.Event, room, "left", others)
	return &handler.EventResponse{Message: reply, State: map[string]any{stateRooms: slices.Delete(slices.Clone(rooms), i, i+1)}}, nil
}

// admit lets a connection receive what is sent to a room, and publish to it.
func (c *chat) admit(ctx context.Context, connectionID, room string) error {
	if err := c.service.GrantPermission(ctx, service.PermissionSendToGroup, connectionID, groupPrefix+room, nil); err != nil {
		return err
	}
	return c.service.AddConnectionToGroup(ctx, groupPrefix+room, connectionID, nil)
}

// message stores a message and sends it to the others in the room.
func (c *chat) message(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
	var in messageRequest
	switch e.Message.Type {
	case webpubsub.DataTypeText:
		in.Text = e.Message.String()
	case webpubsub.DataTypeJSON:
		if err := json.Unmarshal(e.Message.Data, &in); err != nil {
			return rejection("", "", errors.New(`a message is {"id": "…", "room": "…", "text": "…"}`))
		}
	default:
		return rejection("", "", fmt.Errorf("a message is text or JSON, not %s", e.Message.Type))
	}
	delivery := hash(e.ConnectionID, e.ID) // the same for every delivery of this event
	in.ID = cmp.Or(in.ID, delivery)
	if !idPattern.MatchString(in.ID) {
		return rejection("", "", errors.New("a message id has 1 to 64 letters, digits and -"))
	}
	room, err := roomOf(&e.Event, in.Room)
	if err != nil {
		return rejection(in.ID, in.Room, err)
	}
	text := strings.TrimSpace(in.Text)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return rejection(in.ID, room, errors.New("the message is empty"))
	case n > MaxText:
		return rejection(in.ID, room, fmt.Errorf("the message has %d characters: at most %d are allowed", n, MaxText))
	}
	m := Message{ID: in.ID, User: e.UserID, Name: webapp.UserName(&e.Event), Text: text, Time: timeOf(&e.Event)}
	// Stored first: a message that is delivered and not stored would be missing for
	// those who enter later. If it is stored and not sent, the event fails, and is
	// retried under the same key.
	if err := c.store.Append(ctx, room, delivery, m); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	err = e.SendToGroup(ctx, groupPrefix+room, webpubsub.MustJSON(chatMessage{Type: "message", Room: room, Message: m}),
		&webpubsub.SendOptions{Excluded: []string{e.ConnectionID}})
	if err != nil {
		return nil, err
	}
	return &handler.EventResponse{Message: webpubsub.MustJSON(sentReply{Type: "sent", ID: m.ID, Room: room, Time: m.Time})}, nil
}

// announce sends a room that the user of the event has joined or left, unless
// the user is among the others, in another window.
func (c *chat) announce(ctx context.Context, e *handler.Event, room, event string, others map[string]bool) error {
	if others[e.UserID] {
		return nil
	}
	return e.SendToGroup(ctx, groupPrefix+room, webpubsub.MustJSON(presence{
		Type: "presence", Room: room, User: e.UserID, Name: webapp.UserName(e), Event: event, Time: timeOf(e),
	}), &webpubsub.SendOptions{Excluded: []string{e.ConnectionID}})
}

// tryAnnounce logs an error of announce: a user can join and leave a room without a
// presence message.
func (c *chat) tryAnnounce(ctx context.Context, e *handler.Event, room, event string, others map[string]bool) {
	if err := c.announce(ctx, e, room, event, others); err != nil {
		c.log.WarnContext(ctx, "failed to send presence message", "room", room, "error", err)
	}
}

// members returns the users of the other connections in a room, or nil if they cannot
// be listed, and reports whether the connection of the event is in the room.
func (c *chat) members(ctx context.Context, e *handler.Event, room string) (others map[string]bool, here bool) {
	others = make(map[string]bool)
	listed := 0
	for conn, err := range c.service.ListConnectionsInGroup(ctx, groupPrefix+room, &service.ListConnectionsInGroupOptions{Top: maxMembers}) {
		if err != nil {
			c.log.WarnContext(ctx, "failed to list room members", "room", room, "error", err)
			return nil, false
		}
		listed++
		if conn.ConnectionID == e.ConnectionID {
			here = true
		} else if conn.UserID != "" {
			others[conn.UserID] = true
		}
	}
	return others, here || listed == maxMembers // it may be among those that are not listed
}

// name stores the name of the user of an event, if the user ID is not enough.
func (c *chat) name(ctx context.Context, e *handler.Event, room string) error {
	name := webapp.UserName(e)
	if name == webapp.DecodeUserID(e.UserID) {
		return nil
	}
	return c.store.SetName(ctx, room, e.UserID, name)
}

// names returns the readable names of users, by user ID, if they differ from it.
func (c *chat) names(ctx context.Context, room string, users []string) map[string]string {
	names, err := c.store.Names(ctx, room)
	if err != nil {
		c.log.WarnContext(ctx, "failed to read the names of room members", "room", room, "error", err)
	}
	out := make(map[string]string)
	for _, user := range users {
		if name := cmp.Or(names[user], webapp.DecodeUserID(user)); name != user {
			out[user] = name
		}
	}
	return out
}

// history returns the last messages of a room, or nil if they cannot be read, and
// whether there are none before them.
func (c *chat) history(ctx context.Context, room string) (history []Message, complete bool) {
	stored, err := c.store.Recent(ctx, room, maxHistory+1)
	if err != nil {
		c.log.WarnContext(ctx, "failed to read the history of a room", "room", room, "error", err)
		return nil, false
	}
	// From the end, so that the last ones are included. A client that did not receive
	// the reply sends a message again with the same ID.
	seen := make(map[[2]string]bool)
	bytes := 0
	for _, m := range slices.Backward(stored) {
		if bytes += len(m.Text); len(history) == maxHistory || bytes > maxHistoryBytes {
			slices.Reverse(history)
			return history, false
		}
		if key := [2]string{m.User, m.ID}; !seen[key] {
			seen[key] = true
			history = append(history, m)
		}
	}
	slices.Reverse(history)
	return append([]Message{}, history...), len(stored) <= maxHistory
}

// rejection is a reply to the sender. The event does not fail, because the client
// would not receive the reason.
func rejection(id, room string, why error) (*handler.EventResponse, error) {
	return &handler.EventResponse{Message: webpubsub.MustJSON(errorReply{Type: "error", ID: id, Room: room, Error: why.Error()})}, nil
}

// roomsOf returns the rooms of a connection; none if its state has no rooms.
func roomsOf(e *handler.Event) []string {
	rooms, err := handler.StateValue[[]string](e.State(), stateRooms)
	if err != nil {
		return nil
	}
	return rooms
}

// roomOf returns the room of a message, which a client in a single room can omit.
func roomOf(e *handler.Event, wanted string) (string, error) {
	rooms := roomsOf(e)
	if wanted == "" && len(rooms) == 1 {
		return rooms[0], nil
	}
	if wanted == "" && len(rooms) > 1 {
		return "", errors.New("the message names no room, and the connection is in several")
	}
	if room, err := roomName(wanted); err == nil && slices.Contains(rooms, room) {
		return room, nil
	}
	return "", errors.New("join the room first")
}

// timeOf returns when an event happened. It is the same for every delivery.
func timeOf(e *handler.Event) time.Time {
	t := e.Time
	if t.IsZero() {
		t = time.Now()
	}
	return t.UTC().Truncate(time.Millisecond)
}

// hash returns a short name for a list of strings.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return fmt.Sprintf("%x", sum[:8])
}
