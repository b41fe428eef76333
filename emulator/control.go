package emulator

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/control"
)

// ControlURL returns the base address of the control API, for example
// "http://localhost:8080/_emulator/v1". It is empty unless [Options.Control] is set.
func (s *Server) ControlURL() string {
	if s.control == nil {
		return ""
	}
	return s.url + control.Path
}

// ControlToken returns the token of the control API, a secret: that of
// [Options.ControlToken], or the one that was generated. It is empty unless
// [Options.Control] is set.
func (s *Server) ControlToken() string {
	if s.control == nil {
		return ""
	}
	return s.control.Token
}

// DashboardURL returns the address of the dashboard with the control token, a
// secret, in its fragment, which browsers do not send. It is that of
// [Options.PublicURL] if there is one. It is empty unless [Options.Control] is set.
func (s *Server) DashboardURL() string {
	if s.control == nil {
		return ""
	}
	return s.publicURL() + control.DashboardPath + "#token=" + url.QueryEscape(s.control.Token)
}

// Version returns the version of this module as the Go command recorded it when it
// built the program, or "(unknown)".
func Version() string { return control.Version() }

func (s *Server) publicURL() string {
	if s.access.Public != nil {
		return s.access.Public.String()
	}
	return s.url
}

func (o *Options) checkControl() error {
	switch {
	case !o.Control && (o.ControlToken != "" || o.ControlReadToken != ""):
		return errors.New("ControlToken and ControlReadToken belong to the control API: set Control too")
	case o.ControlToken == "" && o.ControlReadToken != "":
		return errors.New("ControlReadToken is for reading only: set ControlToken too")
	case o.ControlToken != "" && o.ControlToken == o.ControlReadToken:
		return errors.New("ControlToken and ControlReadToken must differ")
	}
	for _, t := range []string{o.ControlToken, o.ControlReadToken} {
		if strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("a control token has visible ASCII characters only, since it is sent in a header")
		}
	}
	return nil
}

// checkControlAddress requires tokens that cannot be guessed where others can try.
func (o *Options) checkControlAddress(listeners []net.Listener) error {
	const least = 16
	if o.ControlToken == "" || len(o.ControlToken) >= least && (o.ControlReadToken == "" || len(o.ControlReadToken) >= least) {
		return nil
	}
	for _, l := range listeners {
		if !isLoopback(l.Addr()) {
			return fmt.Errorf("%s can be reached from other machines, and a control token has fewer than %d characters, so that it could be guessed: choose a longer one, for example with openssl rand -hex 16", l.Addr(), least)
		}
	}
	return nil
}

// publicAddress returns Options.PublicURL, nil if there is none.
func (o *Options) publicAddress() (*url.URL, error) {
	if o.PublicURL == "" {
		return nil, nil
	}
	endpoint, err := connstr.Endpoint(o.PublicURL, "")
	if err != nil || !strings.Contains(o.PublicURL, "://") {
		return nil, fmt.Errorf("PublicURL %q is not an http or https URL: give scheme, host and port, such as https://name.example:8080", o.PublicURL)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Path != "" {
		return nil, fmt.Errorf("PublicURL %q has a path: the emulator is served at the root of a host", o.PublicURL)
	}
	return u, nil
}

// newControl makes the control API.
func (s *Server) newControl(c control.Config) *control.API {
	o := &s.opts
	c.Context, c.Broker, c.Journal, c.Faults, c.Settings = s.ctx, s.broker, s.journal, s.faults, s.settings
	c.Network, c.Limits = s.network, s.limits
	c.Access, c.Tasks, c.Handlers, c.Tunnels = s.access, &s.tasks, &s.handlers, s.tunnels
	c.Listener = s.listeners.State
	c.Token, c.ReadToken, c.Explicit = o.ControlToken, o.ControlReadToken, o.ControlToken != ""
	c.URL, c.ConnectionString, c.AuthorityHost = s.url, s.ConnectionString(), s.AuthorityHost()
	for _, l := range o.ControlLinks {
		c.Links = append(c.Links, control.Link(l))
	}
	return control.New(c)
}

// servesControl reports whether a path belongs to the control API.
func (s *Server) servesControl(path string) bool { return s.control != nil && control.Serves(path) }

// wsOrigin is where clients connect.
func (s *Server) wsOrigin() string { return "ws" + strings.TrimPrefix(s.publicURL(), "http") }

// ClientURL returns the WebSocket address of a hub, without an access token.
func (s *Server) ClientURL(hub string) string {
	return s.wsOrigin() + access.ClientPath + url.PathEscape(hub)
}

// MQTTURL returns the address of a hub for MQTT 3.1.1 and 5.0 over WebSocket,
// without an access token.
func (s *Server) MQTTURL(hub string) string {
	return s.wsOrigin() + access.MQTTPath + url.PathEscape(hub)
}
