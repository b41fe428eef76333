package upstream

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxCookies bounds what one connection keeps: a handler that sets a new name
// every time must not grow the requests without end.
const maxCookies = 20

// MergeCookies returns the cookies of a connection after an answer: a new one
// replaces an old one of the same name, domain and path, and one that has
// expired goes. The newest 20 are kept. Neither argument is changed.
func MergeCookies(have, got []*http.Cookie) []*http.Cookie {
	if len(got) == 0 {
		return have
	}
	out := slices.Clone(have)
	for _, c := range got {
		out = slices.DeleteFunc(out, func(old *http.Cookie) bool {
			return old.Name == c.Name && old.Path == c.Path && old.Domain == c.Domain
		})
		if c.MaxAge >= 0 {
			out = append(out, c)
		}
	}
	return out[max(0, len(out)-maxCookies):]
}

// receiveCookies reads the cookies of an answer from u. Each comes out with the
// domain that it is for and with a point in time instead of an age; a deleted
// one has MaxAge -1.
func receiveCookies(res *http.Response, u *url.URL, now time.Time) []*http.Cookie {
	var out []*http.Cookie
	host := strings.ToLower(u.Hostname())
	for _, c := range res.Cookies() {
		c.Domain = strings.ToLower(strings.TrimPrefix(c.Domain, "."))
		if c.Domain == "" {
			c.Domain = host
		}
		if !covers(c.Domain, host) {
			continue // a host must not set the cookies of another
		}
		switch {
		case c.MaxAge > 0: // goes before Expires
			c.Expires = now.Add(time.Duration(min(c.MaxAge, 400*24*3600)) * time.Second)
			c.MaxAge = 0
		case !c.Expires.IsZero() && !c.Expires.After(now):
			c.MaxAge = -1
		}
		out = append(out, c)
	}
	return out
}

// cookieHeader returns the value of Cookie for a request to u, "" for none: the
// handlers of one connection may be on different hosts.
func cookieHeader(cookies []*http.Cookie, u *url.URL, now time.Time) string {
	r := http.Request{Header: http.Header{}}
	for _, c := range cookies {
		path := strings.TrimSuffix(c.Path, "/")
		switch {
		case !covers(c.Domain, strings.ToLower(u.Hostname())),
			u.Path != path && !strings.HasPrefix(u.Path, path+"/") && path != "",
			c.Secure && u.Scheme != "https",
			!c.Expires.IsZero() && !c.Expires.After(now):
			continue
		}
		r.AddCookie(c)
	}
	return r.Header.Get("Cookie")
}

// covers reports whether a cookie of the domain is for the host.
func covers(domain, host string) bool {
	return domain == host || strings.HasSuffix(host, "."+domain)
}
