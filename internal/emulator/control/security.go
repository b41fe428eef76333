package control

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/names"
)

// reject returns why a request is rejected regardless of its token. Host was
// checked against the names of the emulator before.
func (a *API) reject(r *http.Request) string {
	if !a.Explicit {
		if !access.FromThisMachine(r) {
			return "The control API accepts calls from this machine only. To use it from others, set its token: -control-token, or Options.ControlToken."
		}
		if name := (&url.URL{Host: r.Host}).Hostname(); !names.Loopback(name) && !strings.EqualFold(name, a.publicName()) {
			return "The control API accepts the name localhost only, not other names of this machine. To use it by others, set its token: -control-token, or Options.ControlToken."
		}
	}
	if o := r.Header.Get("Origin"); o != "" && !a.ownOrigin(o, r) {
		return "The control API accepts calls of its own page only, not of pages of other origins."
	}
	return ""
}

func (a *API) publicName() string {
	if a.Access.Public == nil {
		return ""
	}
	return a.Access.Public.Hostname()
}

func (a *API) ownOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || a.Access.Public != nil && strings.EqualFold(u.Host, a.Access.Public.Host)
}

// authorize checks the token of a request for an operation.
func (c *call) authorize(op *operation) error {
	given := access.Bearer(c.r)
	c.full = sameToken(given, c.Token)
	switch {
	case c.full:
		return nil
	case !sameToken(given, c.ReadToken):
		c.w.Header().Set("WWW-Authenticate", "Bearer")
		if given == "" {
			return &apiError{http.StatusUnauthorized, "unauthorized", "The token is missing: send the control token in Authorization: Bearer. The emulator prints it, and -ready-file writes it."}
		}
		return &apiError{http.StatusUnauthorized, "unauthorized", "The token is not the control token of this emulator. Unless -control-token sets it, it is another one after each start."}
	case c.r.Method != http.MethodGet && !op.read:
		return &apiError{http.StatusForbidden, "readOnly", "The token is for reading only."}
	}
	return nil
}

// sameToken compares in constant time, also if the lengths differ. An empty token is none.
func sameToken(given, token string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && token != ""
}
