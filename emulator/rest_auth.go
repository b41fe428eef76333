package emulator

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"example.com/webpubsub/internal/token"
)

// authorize checks the bearer token: HS256 with an access key, for the address
// that is called, or where that is allowed any of Microsoft Entra. SDKs differ
// in whether the audience holds the query and how often the path is escaped, so
// both count for nothing.
func (c *call) authorize() error {
	compact, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return unauthorized("the bearer token is missing: sign one with the access key", "")
	}
	claims, err := token.Verify(compact, c.srv.opts.keys(), c.srv.opts.Clock.Now())
	if err != nil {
		if token.IsEntra(compact) {
			return c.authorizeEntra(compact)
		}
		return unauthorized(err.Error(), invalidToken)
	}
	if !c.audienceOK(claims.Audience) {
		return unauthorized(fmt.Sprintf("the token is for %q, not for %s%s: the audience must be the address of the request", claims.Audience, origin(c.r), c.r.URL.EscapedPath()), invalidToken+`, error_description="The audience is invalid"`)
	}
	return nil
}

// authorizeEntra lets a token of Microsoft Entra in unverified. It looks at the
// peer too: the emulator may be mounted on a server that others can reach.
func (c *call) authorizeEntra(compact string) error {
	if !c.srv.opts.AllowUnverifiedEntra {
		return unauthorized("this is a token of Microsoft Entra, which only the service can verify: set AllowUnverifiedEntra (the flag -allow-unverified-entra) to accept it without, or use the access key", invalidToken)
	}
	peer, _, _ := net.SplitHostPort(c.r.RemoteAddr)
	if ip := net.ParseIP(peer); ip == nil || !ip.IsLoopback() {
		return unauthorized("unverified tokens of Microsoft Entra are accepted from this machine only: use the access key elsewhere", invalidToken)
	}
	if err := token.Lifetime(compact, c.srv.opts.Clock.Now()); err != nil {
		return unauthorized(err.Error(), invalidToken)
	}
	return nil
}

// origin is scheme, host and port as the caller wrote them.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (c *call) audienceOK(audience string) bool {
	scheme, rest, ok := strings.Cut(audience, "://")
	if !ok || !slices.Contains([]string{"http", "https", "ws", "wss"}, strings.ToLower(scheme)) {
		return false
	}
	host, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut("/"+path, "?")
	if !c.srv.isMe(host, c.r) {
		return false
	}
	forms := []string{c.r.URL.EscapedPath(), c.r.URL.Path, c.r.RequestURI}
	if once, err := url.PathUnescape(path); err == nil {
		path = once
	}
	for _, f := range forms {
		f, _, _ = strings.Cut(f, "?")
		if once, err := url.PathUnescape(f); err == nil {
			f = once
		}
		if strings.EqualFold(path, f) || strings.EqualFold(strings.TrimSuffix(path, "/"), f) || hasPrefixFold(path, f+"/") {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
