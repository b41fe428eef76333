package control

import (
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/names"
)

type hubState struct {
	Name           string          `json:"name"`
	InUse          bool            `json:"inUse"`
	Configured     bool            `json:"configured"`
	Connections    int             `json:"connections"`
	Interrupted    int             `json:"interrupted"`
	Groups         int             `json:"groups"`
	Users          int             `json:"users"`
	Tunnels        int             `json:"tunnels"`
	Anonymous      bool            `json:"anonymous"`
	EventHandlers  []handlerState  `json:"eventHandlers"`
	EventListeners []listenerState `json:"eventListeners"`
	LastCall       *lastCall       `json:"lastCall,omitempty"`
}

// listenerState is an event listener of a hub. The numbers are those of its endpoint,
// which other listeners may have too, since the start.
type listenerState struct {
	Endpoint     string   `json:"endpoint"`
	UserEvents   string   `json:"userEventPattern"`
	SystemEvents []string `json:"systemEvents"`
	Sent         uint64   `json:"sent"`
	Dropped      uint64   `json:"dropped"`
	Waiting      int      `json:"waiting"`
	LastError    string   `json:"lastError,omitempty"`
}

// lastCall is the newest call in one direction.
type lastCall struct {
	Time   time.Time `json:"time"`
	Name   string    `json:"name"`
	Status int       `json:"status,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Entry  uint64    `json:"entry,omitempty"`
}

// hubName returns the hub that the path names.
func (c *call) hubName() (string, error) {
	name := c.args["hub"]
	if err := names.Hub(name); err != nil {
		return "", invalidf("%v", err)
	}
	return strings.ToLower(name), nil
}

// hubs returns the hubs that are asked for: the one of the parameter hub, or all
// that are in use.
func (c *call) hubs() []*broker.Hub {
	if !c.query.Has("hub") {
		return c.Broker.Hubs()
	}
	if h := c.Broker.Existing(c.query.Get("hub")); h != nil {
		return []*broker.Hub{h}
	}
	return nil
}

func (c *call) listHubs() error {
	all := c.Settings.Names()
	for _, h := range c.Broker.Hubs() {
		all[h.Name] = true
	}
	found := c.searcher()
	hubs := slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(name string) bool { return !found(name) })
	calls := c.lastCalls()
	self := func(name string) string { return name }
	return answerPage(c, hubs, self, false, func(name string) hubState { return c.hubState(name, calls) })
}

func (c *call) getHub() error {
	name, err := c.hubName()
	if err != nil {
		return err
	}
	s := c.hubState(name, c.lastCalls())
	if !s.InUse && !s.Configured {
		return notFoundf("The hub %s is not in use, and has no settings. It can be used nevertheless.", name)
	}
	return c.answer(s)
}

func (c *call) hubState(name string, calls map[string]*lastCall) hubState {
	set := c.Settings.Hub(name)
	s := hubState{
		Name: name, Configured: c.Settings.Names()[name], Anonymous: set.AllowAnonymous,
		Tunnels: len(c.tunnels(name)), EventHandlers: []handlerState{}, EventListeners: []listenerState{}, LastCall: calls[name],
	}
	for _, h := range set.EventHandlers {
		s.EventHandlers = append(s.EventHandlers, c.Handlers.state(name, h))
	}
	for _, l := range set.EventListeners {
		n := c.Listener(l.Endpoint)
		s.EventListeners = append(s.EventListeners, listenerState{
			Endpoint: l.String(), UserEvents: l.UserEvents, SystemEvents: append([]string{}, l.SystemEvents...),
			Sent: n.Sent, Dropped: n.Dropped, Waiting: n.Waiting, LastError: n.LastError,
		})
	}
	h := c.Broker.Existing(name)
	if h == nil {
		return s
	}
	s.InUse = true
	conns := h.Conns(nil)
	s.Connections, s.Groups, s.Users = len(conns), len(h.Groups()), len(h.Users())
	for _, conn := range conns {
		if conn.Session.Status().Detached {
			s.Interrupted++
		}
	}
	return s
}

// lastCalls returns the newest REST call of each hub that the journal has.
func (c *call) lastCalls() map[string]*lastCall {
	out := make(map[string]*lastCall)
	entries, _ := c.Journal.Since(0)
	for _, e := range entries {
		if e.Hub != "" && (e.Kind == journal.REST || e.Kind == journal.Rejected && strings.Contains(e.Name, " /api/")) {
			out[e.Hub] = &lastCall{Time: e.Time.UTC(), Name: e.Name, Status: e.Status, Reason: e.Reason, Entry: e.ID}
		}
	}
	return out
}

func (c *call) getSettings() error {
	name, err := c.hubName()
	if err != nil {
		return err
	}
	return c.answer(settings.Form(*c.Settings.Hub(name)))
}

func (c *call) putSettings() error {
	name, err := c.hubName()
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	h, err := settings.ReadHub(body)
	if err != nil {
		return invalidf("The settings break a rule: %v.", err)
	}
	if err := c.Settings.SetHub(name, h); err != nil {
		return &apiError{409, "conflict", err.Error() + "."}
	}
	return c.answer(settings.Form(*c.Settings.Hub(name)))
}
