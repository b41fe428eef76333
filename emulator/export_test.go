package emulator

// HubCount returns how many hubs are kept.
func (s *Server) HubCount() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.hubs)
}
