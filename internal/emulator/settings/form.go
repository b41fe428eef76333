package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/listeners"
)

// HubForm is the settings of a hub as they are written in a file of settings.
type HubForm struct {
	EventHandlers  []HandlerForm  `json:"eventHandlers"`
	EventListeners []ListenerForm `json:"eventListeners,omitempty"`
	Anonymous      string         `json:"anonymousConnectPolicy"`
	KeepAlive      int            `json:"webSocketKeepAliveIntervalInSeconds"`
	Firewall       *FirewallForm  `json:"applicationFirewall,omitempty"`
}

// HandlerForm is one event handler of a [HubForm].
type HandlerForm struct {
	URL          string        `json:"urlTemplate"`
	UserEvents   string        `json:"userEventPattern,omitempty"`
	SystemEvents []string      `json:"systemEvents,omitempty"`
	Presence     *PresenceForm `json:"groupPresenceEvents,omitempty"`
	Auth         *AuthForm     `json:"auth,omitempty"`
}

// PresenceForm is the group presence events of an event handler.
type PresenceForm struct {
	EventNames   []string `json:"eventNames,omitempty"`
	GroupFilters []string `json:"groupFilters,omitempty"`
}

// AuthForm is how requests to an event handler are authenticated.
type AuthForm struct {
	Type            string          `json:"type"`
	ManagedIdentity ManagedIdentity `json:"managedIdentity"`
}

// ManagedIdentity is the identity of an [AuthForm].
type ManagedIdentity struct {
	Resource string `json:"resource"`
}

// Form returns the settings in that form, which [ReadHub] reads.
func Form(h Hub) HubForm {
	f := HubForm{EventHandlers: []HandlerForm{}, Anonymous: "deny", KeepAlive: int(h.KeepAlive / time.Second), Firewall: firewallForm(&h.Firewall)}
	if h.AllowAnonymous {
		f.Anonymous = "allow"
	}
	for _, e := range h.EventHandlers {
		out := HandlerForm{URL: e.URL, UserEvents: e.UserEvents, SystemEvents: e.SystemEvents}
		if len(e.GroupEvents) > 0 || len(e.GroupFilters) > 0 {
			out.Presence = &PresenceForm{e.GroupEvents, e.GroupFilters}
		}
		if e.Audience != "" {
			out.Auth = &AuthForm{"ManagedIdentity", ManagedIdentity{e.Audience}}
		}
		f.EventHandlers = append(f.EventHandlers, out)
	}
	for _, l := range h.EventListeners {
		f.EventListeners = append(f.EventListeners, listenerForm(l))
	}
	return f
}

// ReadHub reads the settings of one hub from another program: what a file of settings
// has below the hub's name, but for event listeners that write files, since a caller
// may be on another machine.
func ReadHub(data []byte) (Hub, error) {
	if len(data) > maxFile {
		return Hub{}, errors.New("the settings exceed 1 MiB")
	}
	// It is read as a part of a file, so that errors have a line and a path.
	f := reader{data: slices.Concat([]byte(`{"hub":`), data, []byte("}")), lines: make(map[string]int), line: 1}
	if err := f.scan(); err != nil {
		return Hub{}, err
	}
	var top struct {
		Hub json.RawMessage `json:"hub"`
	}
	if err := f.decode("", f.data, &top); err != nil {
		return Hub{}, err
	}
	if len(top.Hub) == 0 || top.Hub[0] != '{' {
		return Hub{}, errors.New("the settings are not an object")
	}
	h, err := f.hub("hub", top.Hub)
	if err != nil {
		return Hub{}, err
	}
	for i, l := range h.EventListeners {
		path := fmt.Sprintf("hub.eventListeners[%d].endpoint", i)
		switch {
		case l.File != "":
			return Hub{}, f.fail(path, errors.New("an event listener with a file can be set by a file of settings, a flag or in Go only"))
		case strings.Contains(l.ConnectionString, "="+listeners.Redacted):
			return Hub{}, f.fail(path+".connectionString", errors.New("it has no key, which is not shown: give the whole connection string"))
		}
	}
	_, err = normalize(map[string]Hub{"hub": h})
	return h, err
}
