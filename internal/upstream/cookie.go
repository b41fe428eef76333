package upstream

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Limits of the cookies of one connection: an event handler that sets a new name
// with every response must not make the requests grow without bound. They are
// those of .NET's CookieContainer, on which the service is built.
const (
	maxCookies    = 20
	maxCookieSize = 4096 // bytes of name and value
)

// Cookies are the cookies that event handlers set on one connection, with the
// rules of [cookiejar.Jar]. A nil *Cookies is empty.
type Cookies struct {
	mu  sync.Mutex
	jar *cookiejar.Jar
	set []setCookie // oldest first
}

// setCookie identifies a cookie in the jar.
type setCookie struct {
	u                  *url.URL
	name, domain, path string
}

// with returns the cookies after a response from u: c, or new ones if c is nil and
// the response sets a cookie.
func (c *Cookies) with(res *http.Response, u *url.URL) *Cookies {
	u = cookieURL(u)
	for _, cookie := range res.Cookies() {
		unreadable := cookie.RawExpires != "" && cookie.Expires.IsZero()
		if unreadable || len(cookie.Name)+len(cookie.Value) > maxCookieSize {
			continue
		}
		if c == nil {
			jar, _ := cookiejar.New(nil) // never fails
			c = &Cookies{jar: jar}
		}
		c.add(cookie, u)
	}
	return c
}

func (c *Cookies) add(cookie *http.Cookie, u *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jar.SetCookies(u, []*http.Cookie{cookie})
	s := setCookie{u, cookie.Name, strings.ToLower(cookie.Domain), cookie.Path}
	c.set = slices.DeleteFunc(c.set, func(old setCookie) bool {
		return old.name == s.name && old.domain == s.domain && old.path == s.path && old.u.Host == s.u.Host
	})
	if c.set = append(c.set, s); len(c.set) > maxCookies {
		old := c.set[0]
		c.set = slices.Delete(c.set, 0, 1)
		c.jar.SetCookies(old.u, []*http.Cookie{{Name: old.name, Domain: old.domain, Path: old.path, MaxAge: -1}})
	}
}

// cookieURL returns a URL that a cookie jar knows for that of a tunnel, which has
// no host.
func cookieURL(u *url.URL) *url.URL {
	if u.Scheme != tunnelScheme {
		return u
	}
	return &url.URL{Scheme: "http", Host: "tunnel.invalid", Path: u.Path}
}

// header returns the value of the Cookie header for a request to u, "" for none.
func (c *Cookies) header(u *url.URL) string {
	if c == nil {
		return ""
	}
	r := http.Request{Header: http.Header{}}
	for _, cookie := range c.jar.Cookies(cookieURL(u)) {
		r.AddCookie(cookie)
	}
	return r.Header.Get("Cookie")
}
