package listeners

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"example.com/webpubsub/internal/upstream"
)

// Listener is one configured event listener of a hub (resource model of Azure Web
// PubSub, hub property eventListeners).
type Listener struct {
	// UserEvents and SystemEvents select the events, as those of an event handler do.
	// There is no connect event for listeners.
	UserEvents   string
	SystemEvents []string
	Endpoint
}

// Endpoint is where the events go: exactly one of an event hub, a file and a URL.
type Endpoint struct {
	// Namespace is the host of an Event Hubs namespace, which the emulator signs in
	// to. In place of it ConnectionString may be given.
	Namespace, EventHub, ConnectionString string
	// File is the path of a file of JSON Lines, to which events are appended, or "-"
	// for the standard output.
	File string
	// URL gets each event as a CloudEvent in binary mode.
	URL string
}

// Validate reports the first setting that breaks a rule. Errors never show a key.
func (l Listener) Validate() error {
	for _, e := range l.SystemEvents {
		if e = strings.TrimSpace(e); !strings.EqualFold(e, "connected") && !strings.EqualFold(e, "disconnected") {
			return fmt.Errorf("system event %q is not for event listeners: there are connected and disconnected", e)
		}
	}
	err := l.filter().Validate()
	var field *upstream.FieldError
	if errors.As(err, &field) {
		return field.Err
	}
	if err != nil {
		return err
	}
	return l.Endpoint.validate()
}

// filter is an event handler that gets the same events.
func (l Listener) filter() upstream.Handler {
	return upstream.Handler{URL: "http://localhost/", UserEvents: l.UserEvents, SystemEvents: l.SystemEvents}
}

// Matches reports whether the listener is configured for the event.
func (l Listener) Matches(e upstream.Event) bool {
	switch e.Kind {
	case upstream.User, upstream.Connected, upstream.Disconnected:
		return l.filter().Matches(e)
	default:
		return false
	}
}

func (e Endpoint) validate() error {
	given := 0
	for _, set := range []bool{e.Namespace != "" || e.EventHub != "" || e.ConnectionString != "", e.File != "", e.URL != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("an event listener has one endpoint: an event hub, a file or a URL")
	case e.File != "":
		return nil
	case e.URL != "":
		_, err := e.url()
		return err
	case e.EventHub == "":
		return errors.New("the name of the event hub is missing")
	case e.ConnectionString == "":
		u, err := url.Parse("sb://" + e.Namespace)
		if err != nil || u.Host != e.Namespace || u.Port() != "" || u.Hostname() == "" {
			return fmt.Errorf("%q is not the host name of an Event Hubs namespace, such as name.servicebus.windows.net", e.Namespace)
		}
		return nil
	case e.Namespace != "":
		return errors.New("give the namespace or the connection string of the event hub, not both")
	}
	p, err := azeventhubs.ParseConnectionString(e.ConnectionString)
	switch {
	case err != nil:
		return fmt.Errorf("the connection string of the event hub: %w", err)
	case p.EntityPath != nil && *p.EntityPath != e.EventHub:
		return fmt.Errorf("the connection string is for the event hub %q, and the listener for %q", *p.EntityPath, e.EventHub)
	}
	return nil
}

func (e Endpoint) url() (*url.URL, error) {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil: // the error shows all of it
		return nil, errors.New("the URL of the event listener cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("the URL of the event listener must begin with http:// or https://")
	case u.User != nil:
		return nil, errors.New("the URL of the event listener has a user name, which is not sent")
	}
	return u, nil
}

// String returns a name for logs, without keys and without the query of a URL.
func (e Endpoint) String() string {
	switch {
	case e.File == "-":
		return "the standard output"
	case e.File != "":
		return e.File
	case e.URL != "":
		u, err := e.url()
		if err != nil {
			return "a URL"
		}
		return u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	host := e.Namespace
	if p, err := azeventhubs.ParseConnectionString(e.ConnectionString); host == "" && err == nil {
		host = p.FullyQualifiedNamespace
	}
	return "event hub " + e.EventHub + " of " + host
}

// RedactedConnectionString returns the connection string without its key.
func (e Endpoint) RedactedConnectionString() string {
	parts := strings.Split(e.ConnectionString, ";")
	for i, part := range parts {
		if name, _, ok := strings.Cut(part, "="); ok && (strings.EqualFold(name, "SharedAccessKey") || strings.EqualFold(name, "SharedAccessSignature")) {
			parts[i] = name + "=" + Redacted
		}
	}
	return strings.Join(parts, ";")
}

// Redacted is in the place of a key.
const Redacted = "***"
