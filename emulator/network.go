package emulator

import (
	"fmt"
	"time"

	"example.com/webpubsub/internal/emulator/network"
)

// NetworkConditions make the network of an emulator slower, to show on one machine what
// depends on the time that messages take. The zero value delays nothing.
//
// Latency, Jitter and Bandwidth apply to the WebSocket of each client separately, in both
// directions. What is sent arrives complete and in order, as over
// TCP. REST calls, tunnels and the control API are not delayed. For connections that
// fail see [Fault].
type NetworkConditions struct {
	// Latency is how long bytes are on their way, in one direction, at most a minute. A
	// round trip takes twice as long, and so does a handshake. Many messages can be on
	// their way at the same time: latency does not reduce throughput. As on any network, a
	// round trip that is longer than the keep-alive interval of the hub ends a connection
	// that is silent. Default: 0.
	Latency time.Duration
	// Jitter is the upper bound of a random time by which bytes arrive later, at most a
	// minute. What is behind them waits. Default: 0.
	Jitter time.Duration
	// Bandwidth is the number of bytes per second in each direction, including the
	// headers of frames, but not those of TCP and TLS. What does not fit waits where it is
	// sent: in the emulator, within Options.MaxPendingMessages and MaxPendingBytes, or in
	// the client. Default: 0, no limit.
	Bandwidth int
	// HandlerLatency is how long each request to an event handler is on its way, at most
	// a minute, in addition to the time that it takes. It counts toward the time limits,
	// 10 s for a validation request and 100 s for an event. Default: 0.
	HandlerLatency time.Duration
}

// NetworkConditions returns the conditions in force.
func (s *Server) NetworkConditions() NetworkConditions {
	return NetworkConditions(s.network.Conditions())
}

// SetNetworkConditions changes the conditions, for existing connections too. What is on
// its way arrives when it would have. It fails, and changes nothing, if a field is not
// within its bounds.
func (s *Server) SetNetworkConditions(c NetworkConditions) error {
	if err := s.network.Set(network.Conditions(c)); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}
