package emulator

import "example.com/webpubsub/internal/emulator/settings"

// HubCount returns the number of hubs that are kept.
func (s *Server) HubCount() int { return len(s.broker.Hubs()) }

// CheckHubs checks settings as Start does.
func CheckHubs(hubs map[string]HubSettings) error {
	_, err := settings.New(internalHubs(hubs), "", nil)
	return err
}
