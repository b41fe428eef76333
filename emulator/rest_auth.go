package emulator

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
)

// authorize checks the bearer token: HS256 with an access key, for the address
// that is called with or without its query, or, if that is allowed, any token of
// Microsoft Entra.
func (c *call) authorize() error {
	compact := bearer(c.r)
	if compact == "" {
		return unauthorized("the bearer token is missing: sign one with the access key", "")
	}
	claims, err := token.Verify(compact, c.srv.opts.keys(), c.srv.opts.Clock.Now())
	if err != nil {
		if token.IsEntra(compact) {
			return c.authorizeEntra(compact)
		}
		return unauthorized(err.Error(), invalidToken)
	}
	path := c.r.URL.EscapedPath()
	sent, _, _ := strings.Cut(c.r.RequestURI, "?") // with the prefix that a server removed on which this one is mounted
	if !c.srv.audienceIs(claims.Audiences, c.r, path, path+"?"+c.r.URL.RawQuery, sent, c.r.RequestURI) {
		return unauthorized(fmt.Sprintf("the token is for %q, not for %s%s: the audience must be the address of the request", claims.Audience, origin(c.r), path), invalidToken+`, error_description="The audience is invalid"`)
	}
	return nil
}

// authorizeEntra lets a token of Microsoft Entra in unverified. It looks at the
// peer too: the emulator may be mounted on a server that others can reach.
func (c *call) authorizeEntra(compact string) error {
	if !c.srv.opts.AllowUnverifiedEntra {
		return unauthorized("this is a token of Microsoft Entra, which only the service can verify: set AllowUnverifiedEntra (the flag -allow-unverified-entra) to accept it without, or use the access key", invalidToken)
	}
	// The peer on a network in memory is localhost, that on a Unix socket is "@".
	if peer, _, _ := net.SplitHostPort(c.r.RemoteAddr); !names.Loopback(peer) && c.r.RemoteAddr != "@" {
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
