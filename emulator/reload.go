package emulator

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// hubsFile is Options.HubsFile as it was last read.
type hubsFile struct {
	mu      sync.Mutex
	path    string
	content []byte
	failure string // why it could not be read the last time
}

// openHubsFile reads the file for the first time. No path is no file.
func openHubsFile(path string) (*hubsFile, fileSettings, error) {
	if path == "" {
		return nil, fileSettings{}, nil
	}
	f := &hubsFile{path: path}
	set, _, err := f.read()
	return f, set, err
}

// fileSettings is what a file of settings says.
type fileSettings struct {
	hubs   map[string]*hubSettings
	access access
}

// read returns the settings in the file, and false where nothing has changed.
func (f *hubsFile) read() (set fileSettings, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, err := readBounded(f.path)
	if err != nil {
		changed = err.Error() != f.failure
		f.failure = err.Error()
		return set, changed, err
	}
	if f.failure == "" && f.content != nil && bytes.Equal(content, f.content) {
		return set, false, nil
	}
	f.content, f.failure = content, ""
	hubs, access, err := readSettings(bytes.NewReader(content))
	set.access = access
	if err == nil {
		set.hubs, err = newHubSettings(hubs)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return set, true, err
}

// readBounded reads no more than what is too large already.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxHubsFile+1))
}

// reloadHubs takes over the file where it has changed: all that it said before
// is replaced. What cannot be read changes nothing and is told once.
func (s *Server) reloadHubs() {
	set, changed, err := s.file.read()
	switch {
	case !changed:
		return
	case err != nil:
		s.journal.add(Entry{Kind: KindRefused, Name: "hub settings", Reason: err.Error() + "; the settings before it remain in force"})
		return
	}
	s.mu.Lock()
	s.fromFile = set.hubs
	for key, h := range s.hubs {
		h.settings.Store(s.hubSettings(key))
	}
	s.mu.Unlock()
	s.fileAccess.Store(&set.access)
	s.journal.add(Entry{Kind: KindReloaded, Name: s.file.path})
}
