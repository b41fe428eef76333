package app

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

const (
	// MaxText is the longest message in characters.
	MaxText = 4000
	// MaxRooms is how many rooms a connection can be in.
	MaxRooms = 16
	// DefaultRoom is the room of a client whose URL has none.
	DefaultRoom = "general"
)

var (
	roomPattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_-]{0,31}$`)
	idPattern   = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// What clients send, see Protocol in the package documentation.
type (
	roomRequest struct {
		Room string `json:"room"`
	}
	messageRequest struct {
		ID   string `json:"id"`
		Room string `json:"room"`
		Text string `json:"text"`
	}
)

// What clients get.
type (
	roomReply struct {
		Type    string   `json:"type"` // room
		Room    string   `json:"room"`
		Members []string `json:"members,omitempty"` // user IDs; absent if they cannot be listed
		// Names are the readable names of members, by user ID, if they differ.
		Names map[string]string `json:"names,omitempty"`
		// History is the last messages, oldest first; null if they cannot be read.
		History []Message `json:"history"`
		// Complete reports whether there are no messages before History.
		Complete bool `json:"complete"`
	}
	leftReply struct {
		Type string `json:"type"` // left
		Room string `json:"room"`
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
		Room  string `json:"room,omitempty"`
		Error string `json:"error"`
	}
	chatMessage struct {
		Type string `json:"type"` // message
		Room string `json:"room"`
		Message
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

// Message is a message of a user in a room. Messages with the same user and ID are
// the same message.
type Message struct {
	ID   string    `json:"id"`
	User string    `json:"user"` // user ID
	Name string    `json:"name"` // readable
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

func roomName(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if !roomPattern.MatchString(s) {
		return "", errors.New("a room name has 1 to 32 letters, digits, - and _, and begins with a letter or digit")
	}
	return s, nil
}
