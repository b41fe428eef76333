package emulator

// HubCount returns how many hubs are kept.
func (s *Server) HubCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.hubs)
}

// CheckHubs checks settings as New does.
func CheckHubs(hubs map[string]Hub) error {
	_, err := newHubSettings(hubs)
	return err
}
