package emulator

import (
	"fmt"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/upstream"
)

// hubSettings are the settings of a hub as they are used.
type hubSettings struct {
	Hub
	handlers []upstream.Handler
}

const defaultKeepAlive = 20 * time.Second

var defaultHub = &hubSettings{Hub: Hub{KeepAlive: defaultKeepAlive}}

// newHubSettings checks settings and returns them by lower-case name.
func newHubSettings(hubs map[string]Hub) (map[string]*hubSettings, error) {
	out := make(map[string]*hubSettings, len(hubs))
	for name, h := range hubs {
		key := strings.ToLower(name)
		if err := names.Hub(name); err != nil {
			return nil, err
		}
		if _, ok := out[key]; ok {
			return nil, fmt.Errorf("hub %q is configured twice; names are compared without case", key)
		}
		if h.KeepAlive == 0 {
			h.KeepAlive = defaultKeepAlive
		}
		if h.KeepAlive < time.Second || h.KeepAlive > 120*time.Second {
			return nil, fmt.Errorf("hub %q: KeepAlive is %v: 1 s to 120 s are allowed", name, h.KeepAlive)
		}
		set := &hubSettings{Hub: h}
		for i, e := range h.EventHandlers {
			u := e.upstream()
			if err := u.Validate(); err != nil {
				return nil, fmt.Errorf("hub %q, event handler %d: %w", name, i+1, err)
			}
			set.handlers = append(set.handlers, u)
		}
		out[key] = set
	}
	return out, nil
}

func (e EventHandler) upstream() upstream.Handler {
	return upstream.Handler{
		URL: e.URL, UserEvents: e.UserEvents, SystemEvents: e.SystemEvents,
		GroupEvents: e.GroupEvents, GroupFilters: e.GroupFilters, Audience: e.Audience,
	}
}

// SetHub replaces the settings of a hub, its event handlers among them, while
// clients are connected. They hold from the next event, handshake and ping on.
// It fails, and changes nothing, where a setting breaks a rule, and for a hub
// that Options.HubsFile names.
func (s *Server) SetHub(name string, h Hub) error {
	set, err := newHubSettings(map[string]Hub{name: h})
	if err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, settings := range set {
		if s.fromFile[key] != nil {
			return fmt.Errorf("emulator: hub %q is set by the file %s: change it there", name, s.file.path)
		}
		s.configured[key] = settings
		if hub := s.hubs[key]; hub != nil {
			hub.settings.Store(settings)
		}
	}
	return nil
}

// hubSettings needs s.mu.
func (s *Server) hubSettings(key string) *hubSettings {
	for _, from := range []map[string]*hubSettings{s.fromFile, s.configured} {
		if set := from[key]; set != nil {
			return set
		}
	}
	return defaultHub
}
