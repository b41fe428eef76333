package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
)

// Policy is the rules of an emulator. Its fields do not change.
type Policy struct {
	// Host is the emulator's own host and port.
	Host string
	// Public is the address by which others reach the emulator in addition; nil if
	// there is none. It has a scheme, a host and possibly a port.
	Public *url.URL
	// Keys verify tokens, the primary first.
	Keys []string
	// AllowUnverifiedEntra accepts tokens of Microsoft Entra for the REST API.
	AllowUnverifiedEntra bool
	// Allowed are the names of the options, and File returns those of the file of
	// settings.
	Allowed Names
	File    func() Names
}

// names returns all names that are accepted.
func (p *Policy) names() Names {
	file := p.File()
	a := Names{
		hosts:   slices.Concat([]string{hostname(p.Host)}, p.Allowed.hosts, file.hosts),
		origins: slices.Concat(p.Allowed.origins, file.origins),
	}
	if p.Public != nil {
		a.hosts = append(a.hosts, hostname(p.Public.Host))
		a.origins = append(a.origins, originOf(p.Public))
	}
	return a
}

// Client checks the access token of a client for the path of a hub's endpoint.
// It is the parameter in the query or, if there is none, in the Authorization
// header. Without a token, the claims are empty if anonymous clients are allowed. The lifetime
// matters here only: a connection outlives its token.
func (p *Policy) Client(r *http.Request, tokens []string, path string, anonymous bool) (token.Claims, error) {
	if len(tokens) > 1 {
		return token.Claims{}, errors.New("the query parameter access_token is given more than once")
	}
	compact := strings.Join(tokens, "")
	if compact == "" {
		compact = Bearer(r)
	}
	if compact == "" {
		if anonymous {
			return token.Claims{}, nil
		}
		return token.Claims{}, errors.New("the access token is missing: give it as the query parameter access_token, or allow anonymous clients for the hub")
	}
	claims, err := token.Verify(compact, p.Keys, time.Now())
	if err != nil {
		if token.IsEntra(compact) {
			err = errors.New("tokens of Microsoft Entra are for the REST API: have the application ask for a client token with :generateToken, as the SDKs do")
		}
		return token.Claims{}, err
	}
	if !p.audienceIs(claims.Audiences, r, path) {
		return token.Claims{}, fmt.Errorf("the token is for %q, not for %s of this server: its audience must be %s%s", claims.Audience, path, Origin(r), path)
	}
	return claims, nil
}

// Tunnel checks the access token of a tunnel client, which is the parameter in the
// query: HS256 with an access key, for the address that is called, with the query
// but for the token, or without it; or, if that is allowed, any token of Microsoft
// Entra. It returns why it is rejected, or "".
func (p *Policy) Tunnel(r *http.Request) string {
	var compact string
	var rest []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(name, "access_token") {
			compact = value
			continue
		}
		rest = append(rest, pair)
	}
	compact, err := url.QueryUnescape(compact)
	if err != nil || compact == "" {
		return "the access token is missing: give it as the query parameter access_token"
	}
	claims, err := token.Verify(compact, p.Keys, time.Now())
	if err != nil {
		if token.IsEntra(compact) {
			if e := p.entra(r, compact); e != nil {
				return e.Reason
			}
			return ""
		}
		return err.Error()
	}
	path := r.URL.EscapedPath()
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	query := "?" + strings.Join(rest, "&")
	if !p.audienceIs(claims.Audiences, r, path, path+query, sent, sent+query) {
		return fmt.Sprintf("the token is for %q, not for a tunnel to this server: the audience must be the address of the request without access_token", claims.Audience)
	}
	return ""
}

type authorityKey struct{}

// WithAuthority returns a context for REST calls that need no token, because they
// came through a tunnel.
func WithAuthority(ctx context.Context) context.Context {
	return context.WithValue(ctx, authorityKey{}, true)
}

// Unauthorized is why a REST call is rejected, with the parameters of the
// challenge in WWW-Authenticate.
type Unauthorized struct{ Reason, Challenge string }

func (e *Unauthorized) Error() string { return e.Reason }

// invalidToken is how the sibling service of the same family rejects a token
// that it rejects; of this one no rejection was recorded.
const invalidToken = ` error="invalid_token"`

// REST checks the bearer token of a REST call: HS256 with an access key, for the
// address that is called with or without its query, or, if that is allowed, any
// token of Microsoft Entra.
func (p *Policy) REST(r *http.Request) *Unauthorized {
	if r.Context().Value(authorityKey{}) != nil {
		return nil
	}
	compact := Bearer(r)
	if compact == "" {
		return &Unauthorized{Reason: "the bearer token is missing: sign one with the access key"}
	}
	claims, err := token.Verify(compact, p.Keys, time.Now())
	if err != nil {
		if token.IsEntra(compact) {
			return p.entra(r, compact)
		}
		return &Unauthorized{err.Error(), invalidToken}
	}
	path := r.URL.EscapedPath()
	sent, _, _ := strings.Cut(r.RequestURI, "?") // with the prefix that a server removed on which this one is mounted
	if !p.audienceIs(claims.Audiences, r, path, path+"?"+r.URL.RawQuery, sent, r.RequestURI) {
		return &Unauthorized{
			fmt.Sprintf("the token is for %q, not for %s%s: the audience must be the address of the request", claims.Audience, Origin(r), path),
			invalidToken + `, error_description="The audience is invalid"`,
		}
	}
	return nil
}

// entra accepts a token of Microsoft Entra unverified. It checks the peer too:
// the emulator may be mounted on a server that others can reach.
func (p *Policy) entra(r *http.Request, compact string) *Unauthorized {
	if !p.AllowUnverifiedEntra {
		return &Unauthorized{"this is a token of Microsoft Entra, which only the service can verify: set AllowUnverifiedEntra (the flag -allow-unverified-entra) to accept it without, or use the access key", invalidToken}
	}
	if !FromThisMachine(r) {
		return &Unauthorized{"unverified tokens of Microsoft Entra are accepted from this machine only: use the access key elsewhere", invalidToken}
	}
	if err := token.Lifetime(compact, time.Now()); err != nil {
		return &Unauthorized{err.Error(), invalidToken}
	}
	return nil
}

// FromThisMachine reports whether the peer of a request is on this machine: its
// address is of the loopback interface, a network in memory or a Unix socket.
func FromThisMachine(r *http.Request) bool {
	// The peer on a network in memory is localhost, that on a Unix socket is "@".
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return names.Loopback(host) || r.RemoteAddr == "@"
}

// Address returns scheme, host and port by which the caller reached the emulator:
// the public address if that was the one, which a proxy may have replaced in Host
// by another, and else what the caller wrote.
func (p *Policy) Address(r *http.Request) string {
	if p.Public != nil {
		for _, host := range []string{r.Host, r.Header.Get("X-Forwarded-Host")} {
			if strings.EqualFold(withPort(p.Public.Scheme, host), withPort(p.Public.Scheme, p.Public.Host)) {
				return p.Public.Scheme + "://" + p.Public.Host
			}
		}
	}
	return Origin(r)
}

// Origin is scheme, host and port as the caller wrote them.
func Origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
