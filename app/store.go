package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"example.com/webpubsub/webapp"
)

// Store stores what a user sees on entering a room: its last messages, and the names
// of users whose user IDs are not their names. Its methods can be called
// concurrently.
type Store interface {
	// Append adds a message to a room. key identifies the delivery: a second call
	// with the same room and key has no effect.
	Append(ctx context.Context, room, key string, m Message) error
	// Recent returns the last messages of a room, oldest first, at most n.
	Recent(ctx context.Context, room string, n int) ([]Message, error)
	// SetName stores the readable name of a user who is in a room.
	SetName(ctx context.Context, room, user, name string) error
	// Names returns the names that were stored for a room, by user ID. It can omit
	// some if there are more than a thousand.
	Names(ctx context.Context, room string) (map[string]string, error)
}

// newStore returns the store of the setting; see Settings in the package
// documentation.
func newStore(c webapp.Config) (Store, error) {
	setting := c.Setting(settingTable)
	if setting == "" {
		return newMemoryStore(), nil
	}
	s, err := newTableStore(setting, c.Credential)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", settingTable, err)
	}
	return s, nil
}

// settingTable is where the messages are stored.
const settingTable = "ChatTable"

const (
	memoryMessages = 200   // of a room
	memoryNames    = 1_000 // of a room
	memoryRooms    = 1_000 // the one that was not written to for the longest time is forgotten
)

// memoryStore is a Store in the memory of one process. With several instances
// of the application each has its own, so that a room shows only a part of what
// was said.
type memoryStore struct {
	mu    sync.Mutex
	rooms map[string]*memoryRoom
	clock int // counts writes
}

type memoryRoom struct {
	messages []storedMessage
	names    map[string]string
	written  int
}

type storedMessage struct {
	key string
	Message
}

func newMemoryStore() *memoryStore { return &memoryStore{rooms: make(map[string]*memoryRoom)} }

// write returns a room to write to. s.mu must be held.
func (s *memoryStore) write(room string) *memoryRoom {
	r := s.rooms[room]
	if r == nil {
		if len(s.rooms) >= memoryRooms {
			s.forgetRoom()
		}
		r = &memoryRoom{names: make(map[string]string)}
		s.rooms[room] = r
	}
	s.clock++
	r.written = s.clock
	return r
}

func (s *memoryStore) Append(_ context.Context, room, key string, m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.write(room)
	for _, old := range r.messages {
		if old.key == key {
			return nil
		}
	}
	if len(r.messages) >= memoryMessages {
		r.messages = slices.Delete(r.messages, 0, 1)
	}
	r.messages = append(r.messages, storedMessage{key, m})
	return nil
}

func (s *memoryStore) forgetRoom() {
	oldest := ""
	for name, r := range s.rooms {
		if oldest == "" || r.written < s.rooms[oldest].written {
			oldest = name
		}
	}
	delete(s.rooms, oldest)
}

func (s *memoryStore) Recent(_ context.Context, room string, n int) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[room]
	if r == nil {
		return nil, nil
	}
	messages := r.messages[max(0, len(r.messages)-n):]
	out := make([]Message, len(messages))
	for i, m := range messages {
		out[i] = m.Message
	}
	return out, nil
}

func (s *memoryStore) SetName(_ context.Context, room, user, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.write(room).names
	if _, ok := names[user]; !ok && len(names) >= memoryNames {
		for other := range names { // any
			delete(names, other)
			break
		}
	}
	names[user] = name
	return nil
}

func (s *memoryStore) Names(_ context.Context, room string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rooms[room]; r != nil {
		return maps.Clone(r.names), nil
	}
	return nil, nil
}
