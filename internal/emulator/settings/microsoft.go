package settings

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/upstream"
)

// Microsoft is the settings of Microsoft's emulator, from a file and from environment
// variables, as that emulator has them (Azure/azure-webpubsub, tools/emulator), and
// settings that only this one has. The public ReadSettings documents them.
type Microsoft struct {
	AccessKey, AccessKeyFrom string
	AllowUnverifiedEntra     bool
	Addresses                []Address
	Hubs                     map[string]Hub
	Warnings                 []string

	sources sources
	content []content
}

// Address is an address to listen on.
type Address struct {
	Host, Port string
	TLS        bool
	From       string // the setting and its source
}

// ReadMicrosoft reads a file, none if the path is empty, and the environment
// variables, each NAME=value.
func ReadMicrosoft(path string, environ []string) (*Microsoft, error) {
	s := sources{path, environ}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	return s.read(files)
}

func (s sources) read(files []content) (*Microsoft, error) {
	c, err := s.config(files)
	if err != nil {
		return nil, err
	}
	m := &Microsoft{Hubs: make(map[string]Hub), sources: s, content: files}
	if err := m.addresses(c); err != nil {
		return nil, err
	}
	top := c.get("WebPubSub")
	if top == nil && s.path != "" {
		m.Warnings = append(m.Warnings, s.path+" has no section WebPubSub")
	}
	err = top.fields(fields{
		"AccessKey":                   m.accessKey,
		"AllowUnvalidatedEntraTokens": func(f *section) error { return f.bool(&m.AllowUnverifiedEntra) },
		"Hubs":                        m.hubs,
	})
	if err != nil {
		return nil, err
	}
	_, err = normalize(m.Hubs)
	return m, err
}

func (m *Microsoft) accessKey(s *section) error {
	if err := s.string(&m.AccessKey); err != nil {
		return err
	}
	m.AccessKeyFrom = s.from
	switch key := m.AccessKey; {
	case strings.TrimSpace(key) != key, strings.ContainsFunc(key, func(r rune) bool { return r == ';' || unicode.IsControl(r) }):
		return s.errorf("the key begins or ends with a blank, or contains a semicolon or a control character: a connection string cannot contain it")
	case key != "" && len(key) < 32:
		m.Warnings = append(m.Warnings, fmt.Sprintf("%s has less than 32 bytes, which Microsoft's emulator rejects", s.path))
	}
	return nil
}

func (m *Microsoft) hubs(s *section) error {
	for _, h := range s.sorted() {
		if err := names.Hub(h.name()); err != nil {
			return h.errorf("%w", err)
		}
		var hub Hub
		err := h.fields(fields{
			"EventHandlers": func(f *section) error {
				for _, e := range f.sorted() {
					handler, err := e.eventHandler(h.name())
					if err != nil {
						return err
					}
					hub.EventHandlers = append(hub.EventHandlers, handler)
				}
				return nil
			},
			"EventListeners": func(f *section) error {
				for _, e := range f.sorted() {
					l, err := m.eventListener(e)
					if err != nil {
						return err
					}
					hub.EventListeners = append(hub.EventListeners, l)
				}
				return nil
			},
			"AnonymousConnectPolicy": func(f *section) error {
				var text string
				if err := f.string(&text); err != nil {
					return err
				}
				hub.AllowAnonymous = strings.EqualFold(text, "allow")
				if !hub.AllowAnonymous && text != "" && !strings.EqualFold(text, "deny") {
					return f.errorf("%q is neither allow nor deny", text)
				}
				return nil
			},
			"ApplicationFirewall": func(f *section) (err error) {
				raw, err := json.Marshal(f.plain())
				if err == nil {
					hub.Firewall, err = (&reader{}).firewall(f.path, raw)
				}
				if err != nil {
					return fmt.Errorf("%w (%s)", err, f.from)
				}
				return nil
			},
			"WebSocketKeepAliveIntervalInSeconds": func(f *section) error {
				var text string
				if err := f.string(&text); err != nil || text == "" {
					return err
				}
				n, err := strconv.Atoi(text)
				if err != nil || n < 1 || n > 120 {
					return f.errorf("%s: 1 to 120 are allowed", text)
				}
				hub.KeepAlive = time.Duration(n) * time.Second
				return nil
			},
		})
		if err != nil {
			return err
		}
		m.Hubs[h.name()] = hub
	}
	return nil
}

// eventHandler reads an event handler. In addition to the names of Microsoft's emulator, it
// takes those of Azure Resource Manager for what only this emulator supports.
func (s *section) eventHandler(hub string) (upstream.Handler, error) {
	var e upstream.Handler
	var auth, pattern string
	err := s.fields(fields{
		"UrlTemplate":      func(f *section) error { return f.string(&e.URL) },
		"EventPattern":     func(f *section) error { return f.string(&e.UserEvents) },
		"UserEventPattern": func(f *section) error { return f.string(&pattern) },
		"SystemEvents":     func(f *section) error { return f.list(&e.SystemEvents) },
		"GroupPresenceEvents": func(f *section) error {
			return f.fields(fields{
				"EventNames":   func(f *section) error { return f.list(&e.GroupEvents) },
				"GroupFilters": func(f *section) error { return f.list(&e.GroupFilters) },
			})
		},
		"Auth": func(f *section) error {
			return f.fields(fields{
				"Type": func(f *section) error { return f.string(&auth) },
				"ManagedIdentity": func(f *section) error {
					return f.fields(fields{"Resource": func(f *section) error { return f.string(&e.Audience) }})
				},
			})
		},
	})
	if err != nil {
		return e, err
	}
	if pattern != "" {
		if e.UserEvents != "" {
			return e, s.errorf("EventPattern and UserEventPattern are the same setting: give one of them")
		}
		e.UserEvents = pattern
	}
	switch {
	case strings.EqualFold(auth, "ManagedIdentity"):
		if e.Audience == "" {
			return e, s.errorf("Auth:ManagedIdentity:Resource is missing: give the App ID URI that the token is to be for")
		}
	case auth == "" || strings.EqualFold(auth, "None"):
		e.Audience = ""
	default:
		return e, s.errorf("Auth:Type %q is neither None nor ManagedIdentity", auth)
	}
	e.URL = fillTemplate(e.URL, hub)
	err = e.Validate()
	var field *upstream.FieldError
	if errors.As(err, &field) {
		at := s
		for name := range strings.SplitSeq(fileNames[field.Field], ".") {
			if name == "userEventPattern" && s.get(name) == nil {
				name = "EventPattern"
			}
			at = cmp.Or(at.get(name), at) // it may be left out
		}
		return e, at.errorf("%w", err)
	}
	return e, err
}

// fillTemplate gives a URL template the form that the service has: the parameters
// of Microsoft's emulator are in any case, and {hub} may be in the host.
func fillTemplate(template, hub string) string {
	for _, name := range []string{"{hub}", "{event}"} {
		for i := 0; i+len(name) <= len(template); i++ {
			if strings.EqualFold(template[i:i+len(name)], name) {
				template = template[:i] + name + template[i+len(name):]
			}
		}
	}
	scheme, rest, ok := strings.Cut(template, "://")
	if !ok {
		return template
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	return scheme + "://" + strings.ReplaceAll(rest[:end], "{hub}", hub) + rest[end:]
}
