package settings

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// addresses reads where to listen: Urls, or what replaces them, the endpoints of
// Kestrel, which is the server of ASP.NET Core.
func (m *Microsoft) addresses(c *section) error {
	if urls := c.get("Urls"); urls != nil {
		var text string
		if err := urls.string(&text); err != nil {
			return err
		}
		for u := range strings.SplitSeq(text, ";") {
			if u = strings.TrimSpace(u); u == "" {
				continue
			}
			if err := m.address(urls, u); err != nil {
				return err
			}
		}
	}
	kestrel := c.get("Kestrel")
	if kestrel == nil {
		return nil
	}
	if endpoints := kestrel.get("Endpoints"); endpoints != nil && len(endpoints.children) > 0 {
		m.Addresses = nil
		for _, e := range endpoints.sorted() {
			u := e.get("Url")
			if u == nil || u.value == nil {
				return e.errorf("the endpoint has no Url")
			}
			if err := m.address(u, *u.value); err != nil {
				return err
			}
			for _, other := range e.sorted() {
				if other != u {
					m.unsupported(other)
				}
			}
		}
	}
	for _, other := range kestrel.sorted() {
		if !strings.EqualFold(other.name(), "Endpoints") {
			m.unsupported(other)
		}
	}
	return nil
}

// unsupported warns of a setting that is known and ignored.
func (m *Microsoft) unsupported(s *section) {
	m.Warnings = append(m.Warnings, fmt.Sprintf("%s (%s) is not supported by this emulator, and ignored", s.path, s.from))
}

// address reads one URL as Kestrel does: a host that is neither localhost nor an IP
// address, such as * or +, means all addresses.
func (m *Microsoft) address(s *section, text string) error {
	if strings.Contains(strings.ToLower(text), "://unix:") || strings.Contains(strings.ToLower(text), "://pipe:") {
		return s.errorf("%q: this emulator listens on a port only, not on a socket of the file system", text)
	}
	scheme, rest, _ := strings.Cut(text, "://")
	if strings.HasPrefix(rest, "*") || strings.HasPrefix(rest, "+") { // url.Parse takes neither
		rest = "any" + rest[1:]
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return s.errorf("%q is not the URL of an address, such as http://localhost:8080", text)
	}
	if strings.Trim(u.Path, "/") != "" {
		return s.errorf("%q: the emulator is served at the root: remove the path", text)
	}
	a := Address{Host: u.Hostname(), Port: u.Port(), From: s.path + ", " + s.from}
	switch u.Scheme { // url.Parse makes it lower-case
	case "http":
	case "https":
		a.TLS = true
	default:
		return s.errorf("%q: the scheme is neither http nor https", text)
	}
	if a.Port == "" {
		a.Port = map[bool]string{false: "80", true: "443"}[a.TLS]
	}
	if net.ParseIP(a.Host) == nil && !strings.EqualFold(a.Host, "localhost") {
		a.Host = ""
	}
	m.Addresses = append(m.Addresses, a)
	return nil
}
