// Package access decides who may call the emulator: which host names and web
// pages, and which tokens.
package access

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/webpubsub/internal/names"
)

// Names are the host names and the origins that are accepted in addition to
// those of this machine, in lower case. The default access key is public, so
// without these checks any web page in a browser on this machine could connect
// to the emulator with a token that it signed itself, and a page whose own name
// resolves to this machine (DNS rebinding) could call the REST API and read the
// responses. The service has no such checks: its keys are secret and its name is
// its own.
type Names struct{ hosts, origins []string }

// NewNames checks and normalizes names.
func NewNames(hosts, origins []string) (Names, error) {
	var a Names
	for _, h := range hosts {
		host, err := parseHost(h)
		if err != nil {
			return a, err
		}
		a.hosts = append(a.hosts, host)
	}
	for _, o := range origins {
		origin, err := parseOrigin(o)
		if err != nil {
			return a, err
		}
		a.origins = append(a.origins, origin)
	}
	return a, nil
}

const anyName = "*"

// parseHost checks a host name as it is configured.
func parseHost(s string) (string, error) {
	host := strings.ToLower(strings.TrimSuffix(s, "."))
	if host == anyName {
		return host, nil
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.String(), nil
	}
	u, err := url.Parse("//" + host)
	if err != nil || host == "" || u.Host != host || u.Port() != "" || strings.HasSuffix(host, ":") || strings.Contains(host, anyName) || !isASCII(host) {
		return "", fmt.Errorf("the allowed host %q is not a host name: give the name alone in ASCII, without scheme, port and path, such as emulator.example, or * for any name", s)
	}
	return host, nil
}

// parseOrigin checks an origin as it is configured, and returns it as browsers
// send it.
func parseOrigin(s string) (string, error) {
	origin := strings.ToLower(s)
	if origin == anyName || origin == "null" {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Contains(u.Host, anyName) || u.Scheme+"://"+u.Host != origin || !isASCII(origin) {
		return "", fmt.Errorf("the allowed origin %q is not an origin: give scheme, host and port without a path, such as https://app.example, or * for any origin", s)
	}
	return originOf(u), nil
}

// originOf leaves out the default port, as browsers do.
func originOf(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if p := u.Port(); p != "" && p == defaultPort(scheme) {
		host = strings.TrimSuffix(host, ":"+p)
	}
	return scheme + "://" + host
}

func defaultPort(scheme string) string {
	switch strings.ToLower(scheme) {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}

// allows reports whether a list from NewNames has the name or accepts any.
func allows(list []string, name string) bool {
	return slices.Contains(list, name) || slices.Contains(list, anyName)
}

// hostname returns the host without port and brackets, in lower case.
func hostname(hostport string) string {
	return strings.ToLower(strings.TrimSuffix((&url.URL{Host: hostport}).Hostname(), "."))
}

// isLocalName reports whether a name leads to this machine by definition: the
// names below localhost do too (RFC 6761, section 6.3).
func isLocalName(name string) bool {
	return names.Loopback(name) || strings.HasSuffix(name, ".localhost")
}

// CheckHost returns why a request's Host is rejected, or "". Any IP address is
// accepted, for DNS rebinding needs a name: a browser that sends an address in
// Host has connected to that address, and the page that made it do so has
// another origin unless it was served from there.
func (p *Policy) CheckHost(r *http.Request) string {
	name := hostname(r.Host)
	if isLocalName(name) || net.ParseIP(name) != nil || allows(p.names().hosts, name) {
		return ""
	}
	return fmt.Sprintf("the host name %q is not a name of this emulator, which protects it from web pages that point their own name at this machine: use localhost or an IP address, or allow the name with Options.AllowHosts, the flag -allow-host or allowedHosts in the file of settings", r.Host)
}

// CheckOrigin returns why a WebSocket handshake is rejected for the web page that
// it comes from, or "". Programs that are not browsers send no Origin.
func (p *Policy) CheckOrigin(r *http.Request) string {
	for _, origin := range r.Header["Origin"] {
		if !p.originAllowed(origin, r) {
			return fmt.Sprintf("web pages of the origin %q may not connect, since the access key of an emulator is public: open the page from this machine, or allow the origin with Options.AllowOrigins, the flag -allow-origin or allowedOrigins in the file of settings", origin)
		}
	}
	return ""
}

func (p *Policy) originAllowed(origin string, r *http.Request) bool {
	a := p.names()
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" { // null, the origin of sandboxed pages and files
		return allows(a.origins, strings.ToLower(origin))
	}
	if allows(a.origins, originOf(u)) {
		return true
	}
	name := hostname(u.Host)
	// That any host is allowed does not make a page of any host a page of this
	// machine, so "*" does not count.
	if isLocalName(name) || slices.Contains(a.hosts, name) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && (name == hostname(r.Host) || isOwnAddress(ip))
}

// isOwnAddress reports whether the address belongs to an interface of this machine.
func isOwnAddress(ip net.IP) bool {
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}
