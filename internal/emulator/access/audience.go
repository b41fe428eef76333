package access

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/webpubsub/internal/names"
)

// Bearer returns the token of the Authorization header, "" if there is none. The
// scheme is compared without case, and any number of blanks follows it (RFC 9110,
// section 11.1).
func Bearer(r *http.Request) string {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(credentials, " ")
}

// audienceIs reports whether one of a token's audiences (RFC 7519, section
// 4.1.3) is one of the targets, each a path with or without a query, on this
// server. Nothing may follow: a token for a longer path is for another resource.
//
// The scheme may be any of http, https, ws and wss. The targets are compared
// without case and in both spellings of each side, as sent and unescaped once,
// because SDKs differ in how often they escape a path.
func (p *Policy) audienceIs(audiences []string, r *http.Request, targets ...string) bool {
	return slices.ContainsFunc(audiences, func(audience string) bool {
		scheme, rest, ok := strings.Cut(audience, "://")
		if !ok || !slices.Contains([]string{"http", "https", "ws", "wss"}, strings.ToLower(scheme)) {
			return false
		}
		end := strings.IndexAny(rest, "/?#")
		if end < 0 || !p.isMe(scheme, rest[:end], r) {
			return false
		}
		for _, have := range spellings(rest[end:]) {
			for _, target := range targets {
				for _, want := range spellings(target) {
					if strings.EqualFold(have, want) {
						return true
					}
				}
			}
		}
		return false
	})
}

// spellings returns a path as it is and unescaped once.
func spellings(path string) []string {
	once, err := url.PathUnescape(path)
	if err != nil {
		return []string{path}
	}
	return []string{path, once}
}

// isMe reports whether a host, with or without a port, is this server: by the
// name that the request used, by its own or the public one, or by any loopback name with its port.
// The port that belongs to the scheme may be omitted.
func (p *Policy) isMe(scheme, host string, r *http.Request) bool {
	host = withPort(scheme, host)
	requested := "http"
	if r.TLS != nil {
		requested = "https"
	}
	own := []string{
		withPort(requested, r.Host),
		withPort(scheme, r.Host), // a proxy may end TLS
		p.Host,
	}
	if p.Public != nil {
		own = append(own, withPort(p.Public.Scheme, p.Public.Host))
	}
	for _, mine := range own {
		if strings.EqualFold(host, mine) {
			return true
		}
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return false
	}
	_, mine, _ := net.SplitHostPort(p.Host)
	return port == mine && names.Loopback(name)
}

// withPort adds the port of the scheme to a host without one.
func withPort(scheme, host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme = strings.ToLower(scheme); scheme == "https" || scheme == "wss" {
		port = "443"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
