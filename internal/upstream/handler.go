package upstream

import (
	"fmt"
	"iter"
	"strings"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
)

// Handler is one configured event handler of a hub (resource model of Azure
// Web PubSub, hub property eventHandlers).
type Handler struct {
	// URL is the template of the handler's address. {hub} and {event} are
	// replaced by the hub and the event name, except in the host. A query, such as
	// ?code= with a function key, is sent along.
	URL string
	// UserEvents selects the user events of the handler: "*" all, "a,b" those
	// two, "" none. Case is ignored.
	UserEvents string
	// SystemEvents lists which of connect, connected and disconnected it gets.
	SystemEvents []string
	// GroupEvents lists which of joined and left it gets (group presence, in
	// preview), for the groups that match one of GroupFilters, or for all groups
	// when there is no filter. A filter is a pattern as in the roles
	// webpubsub.joinLeaveGroups: the reference does not specify another language.
	GroupEvents  []string
	GroupFilters []string
	// Audience, when set, puts a bearer token with this audience on each request
	// (auth.type ManagedIdentity); it comes from Options.Token.
	Audience string
}

// Validate reports the first setting that the service would reject, as a
// [*FieldError]. Errors never show the query of the URL.
func (h Handler) Validate() error {
	for _, check := range []struct {
		field string
		f     func() error
	}{
		{"URL", func() error { _, err := resolve(h.URL, "hub", "event"); return err }},
		{"UserEvents", h.validateUserEvents},
		{"SystemEvents", func() error { return known("system event", h.SystemEvents, "connect", "connected", "disconnected") }},
		{"GroupEvents", func() error { return known("group event", h.GroupEvents, "joined", "left") }},
		{"GroupFilters", h.validateGroupFilters},
	} {
		if err := check.f(); err != nil {
			return &FieldError{Field: check.field, Err: err}
		}
	}
	return nil
}

func (h Handler) validateUserEvents() error {
	if strings.TrimSpace(h.UserEvents) != "*" {
		for name := range listed(h.UserEvents) {
			if strings.Contains(name, "*") {
				return fmt.Errorf("user events %q: * selects all events and has to be the only entry; otherwise list the names", h.UserEvents)
			}
			if err := names.Event(name); err != nil {
				return fmt.Errorf("user events %q: %w", h.UserEvents, err)
			}
		}
	}
	return nil
}

func (h Handler) validateGroupFilters() error {
	for _, f := range h.GroupFilters {
		if _, err := role.MatchGroup(f, ""); err != nil {
			return err
		}
	}
	return nil
}

func known(what string, list []string, all ...string) error {
	for _, name := range list {
		if !contains(all, name) {
			last := len(all) - 1
			return fmt.Errorf("%s %q is unknown: there are %s and %s", what, name, strings.Join(all[:last], ", "), all[last])
		}
	}
	return nil
}

// Matches reports whether the handler is configured for the event. Of several
// such handlers, the service delivers it to the first.
func (h Handler) Matches(e Event) bool {
	switch e.Kind {
	case User:
		if strings.TrimSpace(h.UserEvents) == "*" {
			return true
		}
		for name := range listed(h.UserEvents) {
			if strings.EqualFold(name, e.Name) {
				return true
			}
		}
		return false
	case GroupJoined, GroupLeft:
		return contains(h.GroupEvents, e.name()) && h.matchesGroup(e.Group)
	default:
		return contains(h.SystemEvents, e.name())
	}
}

func (h Handler) matchesGroup(group string) bool {
	for _, f := range h.GroupFilters {
		if ok, err := role.MatchGroup(f, group); ok && err == nil {
			return true
		}
	}
	return len(h.GroupFilters) == 0
}

// listed yields the trimmed entries of a comma list, without the empty ones.
func listed(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if strings.EqualFold(strings.TrimSpace(s), name) {
			return true
		}
	}
	return false
}
