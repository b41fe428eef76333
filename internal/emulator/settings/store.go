// Package settings contains the settings of hubs: those given at the start, those
// changed later, and those of files that are read again when they change.
package settings

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/upstream"
)

// Hub is the settings of a hub.
type Hub struct {
	EventHandlers  []upstream.Handler
	EventListeners []listeners.Listener
	AllowAnonymous bool
	KeepAlive      time.Duration
	Firewall       limits.Firewall
}

const defaultKeepAlive = 20 * time.Second

var defaultHub = &Hub{KeepAlive: defaultKeepAlive}

// Store is the settings of all hubs by their lower-case names. Its lock is a
// leaf. What it returns is not changed later.
type Store struct {
	mu        sync.RWMutex
	initial   map[string]*Hub
	set       map[string]*Hub
	fromFile  map[string]*Hub // before set
	general   General         // of the file
	file      *file           // nil: none
	base      map[string]*Hub // after set
	microsoft *microsoftFiles // of base; nil: none
}

// New returns the settings that are given, those of a file, if path is not empty,
// which come before them, and those of m, if it is not nil, which come after them.
func New(hubs map[string]Hub, path string, m *Microsoft) (*Store, error) {
	initial, err := normalize(hubs)
	if err != nil {
		return nil, err
	}
	s := &Store{initial: initial, set: maps.Clone(initial)}
	if m != nil {
		if s.base, err = normalize(m.Hubs); err != nil {
			return nil, err
		}
		if m.sources.path != "" {
			s.microsoft = &microsoftFiles{sources: m.sources, content: m.content}
		}
	}
	if path == "" {
		return s, nil
	}
	s.file = &file{path: path}
	if s.fromFile, s.general, _, err = s.file.read(); err != nil {
		return nil, fmt.Errorf("hub settings: %w", err)
	}
	return s, nil
}

// normalize checks settings and returns them by lower-case name.
func normalize(hubs map[string]Hub) (map[string]*Hub, error) {
	out := make(map[string]*Hub, len(hubs))
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
		var err error
		if h.Firewall, err = h.Firewall.Normalize(); err != nil {
			return nil, fmt.Errorf("hub %q: application firewall: %w", name, err)
		}
		for i, e := range h.EventHandlers {
			if err := e.Validate(); err != nil {
				return nil, fmt.Errorf("hub %q, event handler %d: %w", name, i+1, err)
			}
		}
		for i, l := range h.EventListeners {
			if err := l.Validate(); err != nil {
				return nil, fmt.Errorf("hub %q, event listener %d: %w", name, i+1, err)
			}
		}
		out[key] = &h
	}
	return out, nil
}

// Hub returns the settings of a hub, the defaults for one that has none.
func (s *Store) Hub(name string) *Hub {
	key := strings.ToLower(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, from := range []map[string]*Hub{s.fromFile, s.set, s.base} {
		if h := from[key]; h != nil {
			return h
		}
	}
	return defaultHub
}

// Names returns the hubs that have settings.
func (s *Store) Names() map[string]bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make(map[string]bool, len(s.set)+len(s.fromFile)+len(s.base))
	for _, from := range []map[string]*Hub{s.fromFile, s.set, s.base} {
		for name := range from {
			out[name] = true
		}
	}
	return out
}

// SetHub replaces the settings of a hub. It fails, and changes nothing, if a
// setting breaks a rule, and for a hub that the file names.
func (s *Store) SetHub(name string, h Hub) error {
	set, err := normalize(map[string]Hub{name: h})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, h := range set {
		if s.fromFile[key] != nil {
			return fmt.Errorf("hub %q is set by the file %s: change it there", name, s.file.path)
		}
		s.set[key] = h
	}
	return nil
}

// Reset undoes all calls of SetHub.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = maps.Clone(s.initial)
}

// Allowed returns the names that the file allows.
func (s *Store) Allowed() access.Names {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.general.Allowed
}

// RequireGroupStateRoles reports whether the file has clients need the roles of group
// state.
func (s *Store) RequireGroupStateRoles() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.general.RequireGroupStateRoles
}

// Reload reads the files again. It returns the path of one whose settings have
// changed, and an error, once for each reason, if it cannot be read; then what was
// read before stays in force. That also applies to a file that is removed: an editor
// may do so before it writes the new one.
func (s *Store) Reload() (path string, err error) {
	if s.file != nil {
		if hubs, general, changed, err := s.file.read(); changed {
			if err != nil {
				return s.file.path, err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.fromFile, s.general = hubs, general
			return s.file.path, nil
		}
	}
	if s.microsoft == nil {
		return "", nil
	}
	path = s.microsoft.sources.path
	hubs, changed, err := s.microsoft.read()
	switch {
	case !changed:
		return "", nil
	case err != nil:
		return path, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = hubs
	return path, nil
}

// file is a file of settings as it was last read.
type file struct {
	mu      sync.Mutex
	path    string
	content []byte
	failure string // why it could not be read the last time
}

// read returns the settings in the file, and false if nothing has changed.
func (f *file) read() (hubs map[string]*Hub, general General, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, err := readBounded(f.path)
	if err != nil {
		changed = err.Error() != f.failure
		f.failure = err.Error()
		return nil, General{}, changed, err
	}
	if f.failure == "" && f.content != nil && bytes.Equal(content, f.content) {
		return nil, General{}, false, nil
	}
	f.content, f.failure = content, ""
	read, general, err := Read(bytes.NewReader(content))
	if err == nil {
		hubs, err = normalize(read)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return hubs, general, true, err
}

// microsoftFiles are the files of settings of Microsoft's emulator as they were last
// read.
type microsoftFiles struct {
	mu      sync.Mutex
	sources sources
	content []content
	failure string // why they could not be read the last time
}

// read returns the hubs in the files and the environment, and false if nothing has
// changed.
func (f *microsoftFiles) read() (hubs map[string]*Hub, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	files, err := f.sources.files()
	if err != nil {
		changed = err.Error() != f.failure
		f.failure = err.Error()
		return nil, changed, err
	}
	if f.failure == "" && slices.Equal(files, f.content) {
		return nil, false, nil
	}
	f.content, f.failure = files, ""
	m, err := f.sources.read(files)
	if err != nil {
		return nil, true, err
	}
	hubs, err = normalize(m.Hubs)
	return hubs, true, err
}

// readBounded reads no more than is too large already.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
