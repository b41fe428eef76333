package control

import (
	"sync"
	"time"

	"example.com/webpubsub/internal/upstream"
)

// Handlers remembers how the last request to each event handler ended. Its lock is
// a leaf.
type Handlers struct {
	mu   sync.Mutex
	last map[handlerKey]upstream.Attempt
	at   map[handlerKey]time.Time
}

type handlerKey struct{ hub, url string }

// Observe notes an attempt.
func (h *Handlers) Observe(a upstream.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last == nil {
		h.last, h.at = make(map[handlerKey]upstream.Attempt), make(map[handlerKey]time.Time)
	}
	k := handlerKey{a.Hub, a.Template}
	h.last[k], h.at[k] = a, time.Now().UTC()
}

// reset forgets everything.
func (h *Handlers) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.at = nil, nil
}

type handlerState struct {
	URLTemplate  string    `json:"urlTemplate"`
	UserEvents   string    `json:"userEventPattern"`
	SystemEvents []string  `json:"systemEvents"`
	GroupEvents  []string  `json:"groupEvents"`
	State        string    `json:"state"`
	Last         *lastCall `json:"last,omitempty"`
}

// state returns an event handler of a hub with how its last request ended.
func (h *Handlers) state(hub string, e upstream.Handler) handlerState {
	s := handlerState{
		URLTemplate: e.URL, UserEvents: e.UserEvents, SystemEvents: append([]string{}, e.SystemEvents...),
		GroupEvents: append([]string{}, e.GroupEvents...), State: "unknown",
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	k := handlerKey{hub, e.URL}
	a, ok := h.last[k]
	if !ok {
		return s
	}
	s.Last = &lastCall{Time: h.at[k], Name: a.Event, Status: a.Status}
	switch {
	case a.Err != nil:
		s.State, s.Last.Reason = "failing", a.Err.Error()
	case a.Status/100 == 2:
		s.State = "ok"
	case a.Status >= 500 || a.Status == 408 || a.Event == "validate":
		s.State = "failing"
	default:
		s.State = "rejected"
	}
	return s
}
