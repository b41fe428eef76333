package emulator

import (
	"fmt"
	"io"
	"time"

	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/upstream"
)

// HubSettings contains the settings of one hub.
type HubSettings struct {
	// EventHandlers receive the hub's events; the first that matches an event
	// receives it. Default: none.
	EventHandlers []EventHandler
	// EventListeners get copies of the hub's events: each that matches an event does,
	// before its event handler and without being waited for. A user event that only
	// listeners match succeeds. Default: none.
	EventListeners []EventListener
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

// EventListener is one event listener of a hub. It has one endpoint: EventHub, File or
// URL, of which the service has the first.
//
// The events of one connection arrive in the order in which they were raised. A failed
// attempt is repeated for at most a minute. Then, or if more than 10,000 events or
// 64 MiB wait for the endpoint, events are dropped: the journal has an EntryEventFailed
// about it, and the control API counts them. [Server.Close] drops those that wait.
type EventListener struct {
	// UserEvents names the user events to copy: "*" for all, or a comma separated
	// list. Default: none.
	UserEvents string
	// SystemEvents names the system events to copy: "connected" and "disconnected".
	// Default: none.
	SystemEvents []string
	// EventHub is an event hub of Azure Event Hubs, to which events are sent by AMQP in
	// the form in which the service sends them.
	EventHub EventHub
	// File is the path of a file, to which each event is appended as a line of JSON with
	// the members of that form: messageId, partitionKey, contentType,
	// applicationProperties, and body, or bodyBase64 if it is not UTF-8. "-" is the
	// standard output.
	File string
	// URL gets each event in a POST request, as a CloudEvent in binary mode; it is not
	// validated first, and requests are not signed.
	URL string
}

// EventHub is an event hub of Azure Event Hubs.
type EventHub struct {
	// Namespace is the host name of the namespace, such as
	// "example.servicebus.windows.net". The emulator signs in to it with
	// [Options].EventHubsCredential.
	Namespace string
	// Name is the name of the event hub.
	Name string
	// ConnectionString is given in place of Namespace. That of the Event Hubs emulator
	// has UseDevelopmentEmulator=true.
	ConnectionString string
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
//	      ],
//	      "eventListeners": [
//	        {
//	          "filter": {"type": "EventName", "systemEvents": ["connected"], "userEventPattern": "*"},
//	          "endpoint": {"type": "EventHub", "fullyQualifiedNamespace": "example.servicebus.windows.net", "eventHubName": "events"}
//	        }
//	      ]
//	    }
//	  }
//	}
//
// An endpoint of the type EventHub may have a connectionString in place of the
// namespace. Types that only the emulator has are File, with a path, and Http, with a
// url.
//
// Only urlTemplate and endpoint are required; see [HubSettings], [EventHandler] and
// [EventListener] for the defaults, and [Options] for allowedHosts, allowedOrigins and
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
		for _, l := range h.EventListeners {
			p.EventListeners = append(p.EventListeners, EventListener{
				UserEvents: l.UserEvents, SystemEvents: l.SystemEvents, File: l.File, URL: l.URL,
				EventHub: EventHub{Namespace: l.Namespace, Name: l.EventHub, ConnectionString: l.ConnectionString},
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
	for _, l := range h.EventListeners {
		in.EventListeners = append(in.EventListeners, listeners.Listener{
			UserEvents: l.UserEvents, SystemEvents: l.SystemEvents,
			Endpoint: listeners.Endpoint{
				Namespace: l.EventHub.Namespace, EventHub: l.EventHub.Name, ConnectionString: l.EventHub.ConnectionString,
				File: l.File, URL: l.URL,
			},
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
