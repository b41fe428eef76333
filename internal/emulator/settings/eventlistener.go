package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"example.com/webpubsub/internal/emulator/listeners"
)

// ListenerForm is one event listener of a [HubForm].
type ListenerForm struct {
	Filter   FilterForm   `json:"filter"`
	Endpoint EndpointForm `json:"endpoint"`
}

// FilterForm is the events of an event listener.
type FilterForm struct {
	Type         string   `json:"type"`
	SystemEvents []string `json:"systemEvents,omitempty"`
	UserEvents   string   `json:"userEventPattern,omitempty"`
}

// EndpointForm is where an event listener sends events. Only EventHub with a
// namespace is a type of the service.
type EndpointForm struct {
	Type             string `json:"type"`
	Namespace        string `json:"fullyQualifiedNamespace,omitempty"`
	EventHub         string `json:"eventHubName,omitempty"`
	ConnectionString string `json:"connectionString,omitempty"`
	File             string `json:"path,omitempty"`
	URL              string `json:"url,omitempty"`
}

// The types of an [EndpointForm], and the one of a [FilterForm].
const (
	typeEventHub  = "EventHub"
	typeFile      = "File"
	typeHTTP      = "Http"
	typeEventName = "EventName"
)

// listenerForm does not contain the key of a connection string.
func listenerForm(l listeners.Listener) ListenerForm {
	e := EndpointForm{
		Type: typeEventHub, Namespace: l.Namespace, EventHub: l.EventHub,
		ConnectionString: l.RedactedConnectionString(), File: l.File, URL: l.URL,
	}
	switch {
	case l.File != "":
		e.Type = typeFile
	case l.URL != "":
		e.Type = typeHTTP
	}
	return ListenerForm{FilterForm{typeEventName, l.SystemEvents, l.UserEvents}, e}
}

func (f *reader) eventListener(path string, raw json.RawMessage) (listeners.Listener, error) {
	var in ListenerForm
	if err := f.decode(path, raw, &in); err != nil {
		return listeners.Listener{}, err
	}
	l := listeners.Listener{
		UserEvents: in.Filter.UserEvents, SystemEvents: in.Filter.SystemEvents,
		Endpoint: listeners.Endpoint{
			Namespace: in.Endpoint.Namespace, EventHub: in.Endpoint.EventHub,
			ConnectionString: in.Endpoint.ConnectionString, File: in.Endpoint.File, URL: in.Endpoint.URL,
		},
	}
	if t := in.Filter.Type; t != "" && !strings.EqualFold(t, typeEventName) {
		return l, f.fail(path+".filter.type", fmt.Errorf("%q is not %s, the only type", t, typeEventName))
	}
	hub, file, web := l.Namespace+l.EventHub+l.ConnectionString != "", l.File != "", l.URL != ""
	var fits bool
	switch t := in.Endpoint.Type; {
	case strings.EqualFold(t, typeEventHub):
		fits = !file && !web
	case strings.EqualFold(t, typeFile):
		fits = file && !hub && !web
	case strings.EqualFold(t, typeHTTP):
		fits = web && !hub && !file
	default:
		return l, f.fail(path+".endpoint", fmt.Errorf("the type %q is not one of %s, %s and %s", t, typeEventHub, typeFile, typeHTTP))
	}
	if !fits {
		return l, f.fail(path+".endpoint", errors.New("the settings are not those of its type: EventHub has fullyQualifiedNamespace or connectionString, and eventHubName, File has path, Http has url"))
	}
	if err := l.Validate(); err != nil {
		return l, f.fail(path, err)
	}
	return l, nil
}

// eventListener reads an event listener of Microsoft's emulator. Beside its endpoint,
// an event hub, it takes File and Url, which only this emulator has.
func (m *Microsoft) eventListener(s *section) (listeners.Listener, error) {
	var l listeners.Listener
	err := s.fields(fields{
		"EventNameFilter": func(f *section) error {
			var all []string
			err := f.fields(fields{
				"UserEventPattern": func(f *section) error { return f.string(&l.UserEvents) },
				"SystemEvents":     func(f *section) error { return f.list(&all) },
			})
			for _, name := range all {
				if !strings.EqualFold(name, "connected") && !strings.EqualFold(name, "disconnected") {
					m.Warnings = append(m.Warnings, fmt.Sprintf("%s: event listeners do not get the system event %q, which is ignored", f.path, name))
					continue
				}
				l.SystemEvents = append(l.SystemEvents, name)
			}
			return err
		},
		"EventHubEndpoint": func(f *section) error {
			return f.fields(fields{
				"FullyQualifiedNamespace": func(f *section) error { return f.string(&l.Namespace) },
				"EventHubName":            func(f *section) error { return f.string(&l.EventHub) },
				"ConnectionString":        func(f *section) error { return f.string(&l.ConnectionString) },
			})
		},
		"File": func(f *section) error { return f.string(&l.File) },
		"Url":  func(f *section) error { return f.string(&l.URL) },
	})
	if err != nil {
		return l, err
	}
	if err := l.Validate(); err != nil {
		return l, s.errorf("%w", err)
	}
	return l, nil
}
