package emulator

import (
	"fmt"
	"io"
	"time"

	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/upstream"
)

// HubSettings contains the settings of one hub.
type HubSettings struct {
	// EventHandlers receive the hub's events; the first that matches an event
	// receives it. Default: none.
	EventHandlers []EventHandler
	// AllowAnonymous lets clients connect without an access token. Default: they are
	// rejected with 401.
	AllowAnonymous bool
	// KeepAlive is the interval of WebSocket pings, 1 s to 120 s. A client that does
	// not respond until the next one is disconnected. Default: 20 s.
	KeepAlive time.Duration
	// ApplicationFirewall contains rules against abuse. Default: none.
	ApplicationFirewall ApplicationFirewall
}

// EventHandler is one event handler of a hub.
type EventHandler struct {
	// URL is where events are posted. {hub} and {event} are replaced; for the
	// validation request {event} becomes "validate".
	URL string
	// UserEvents names the user events to deliver: "*" for all, or a comma
	// separated list. Default: none.
	UserEvents string
	// SystemEvents names the system events to deliver: "connect", "connected"
	// and "disconnected". Default: none.
	SystemEvents []string
	// GroupEvents names the group presence events to deliver, which are a preview
	// of the service: "joined" and "left". Default: none.
	GroupEvents []string
	// GroupFilters are patterns of the groups that GroupEvents are about: ? is
	// one character except ".", * any number of them and ** any characters.
	// Default: all groups.
	GroupFilters []string
	// Audience makes requests carry a token of the emulator's managed identity for
	// this audience, as the service does if the handler's authentication is set to
	// managed identity with this as its resource. [Server.AuthorityHost] describes
	// how it is verified. Default: no token.
	Audience string
}

// ReadHubs reads the settings of hubs, at most 1 MiB of JSON. The settings of a
// hub have the names that its properties have in Azure Resource Manager:
//
//	{
//	  "allowedHosts": ["emulator.example"],
//	  "allowedOrigins": ["https://app.example"],
//	  "requireGroupStateRoles": true,
//	  "hubs": {
//	    "chat": {
//	      "anonymousConnectPolicy": "allow",
//	      "webSocketKeepAliveIntervalInSeconds": 20,
//	      "applicationFirewall": {
//	        "clientConnectionCountRules": [{"type": "ThrottleByUserIdRule", "maxCount": 5}],
//	        "clientTrafficControlRules": [
//	          {"type": "TrafficThrottleByJwtCustomClaimRule", "claimName": "tenant", "maxInboundMessageBytes": 1048576, "aggregationWindowInSeconds": 60}
//	        ],
//	        "maxClientConnectionLifetimeInSeconds": 3600
//	      },
//	      "eventHandlers": [
//	        {
//	          "urlTemplate": "http://localhost:7071/api/events",
//	          "userEventPattern": "*",
//	          "systemEvents": ["connect", "connected", "disconnected"],
//	          "groupPresenceEvents": {"eventNames": ["joined", "left"], "groupFilters": ["room.*"]},
//	          "auth": {"type": "ManagedIdentity", "managedIdentity": {"resource": "api://my-app"}}
//	        }
//	      ]
//	    }
//	  }
//	}
//
// Only urlTemplate is required; see [HubSettings] and [EventHandler] for the
// defaults, and [Options] for allowedHosts, allowedOrigins and
// requireGroupStateRoles, which are not part of what ReadHubs returns. An unknown or repeated setting, or one that breaks a
// rule, is an error that names the line and the setting.
func ReadHubs(r io.Reader) (map[string]HubSettings, error) {
	hubs, _, err := settings.Read(r)
	if err != nil {
		return nil, err
	}
	return publicHubs(hubs), nil
}

func publicHubs(hubs map[string]settings.Hub) map[string]HubSettings {
	out := make(map[string]HubSettings, len(hubs))
	for name, h := range hubs {
		p := HubSettings{AllowAnonymous: h.AllowAnonymous, KeepAlive: h.KeepAlive, ApplicationFirewall: publicFirewall(h.Firewall)}
		for _, e := range h.EventHandlers {
			p.EventHandlers = append(p.EventHandlers, EventHandler{
				URL: e.URL, UserEvents: e.UserEvents, SystemEvents: e.SystemEvents,
				GroupEvents: e.GroupEvents, GroupFilters: e.GroupFilters, Audience: e.Audience,
			})
		}
		out[name] = p
	}
	return out
}

func internalHubs(hubs map[string]HubSettings) map[string]settings.Hub {
	out := make(map[string]settings.Hub, len(hubs))
	for name, h := range hubs {
		out[name] = h.internal()
	}
	return out
}

func (h HubSettings) internal() settings.Hub {
	in := settings.Hub{AllowAnonymous: h.AllowAnonymous, KeepAlive: h.KeepAlive, Firewall: h.ApplicationFirewall.internal()}
	for _, e := range h.EventHandlers {
		in.EventHandlers = append(in.EventHandlers, upstream.Handler{
			URL: e.URL, UserEvents: e.UserEvents, SystemEvents: e.SystemEvents,
			GroupEvents: e.GroupEvents, GroupFilters: e.GroupFilters, Audience: e.Audience,
		})
	}
	return in
}

// SetHub replaces the settings of a hub, its event handlers included, while
// clients are connected. They apply from the next event, handshake and ping on.
// It fails, and changes nothing, if a setting breaks a rule, and for a hub that
// Options.HubsFile names.
func (s *Server) SetHub(name string, h HubSettings) error {
	if err := s.settings.SetHub(name, h.internal()); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}
