package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub/internal/names"
)

// browser sends the requests of a browser: for the page, for the URL of the
// client, and those of App Service authentication.
func (c *checker) browser(ctx context.Context, eventsPass bool) {
	base, ok := c.base()
	if !ok && c.negotiateURL == "" && c.pageURL == "" {
		c.note("page", "page, negotiate and CORS are not checked: their addresses are not known, as the URL has no part \"events\"; set -negotiate and -page")
		return
	}
	if ok && c.negotiateURL == "" {
		c.negotiateURL = base + "negotiate"
	}
	if ok && c.pageURL == "" {
		c.pageURL = base + "index"
	}
	platform := c.platformSignIn(ctx, eventsPass)
	if c.pageURL != "" {
		c.page(ctx)
	}
	if c.negotiateURL != "" {
		c.negotiate(ctx, platform)
	}
}

// base returns the URL up to its last part that is "events".
func (c *checker) base() (base string, ok bool) {
	parts := strings.Split(c.url.EscapedPath(), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.EqualFold(parts[i], "events") {
			return c.url.Scheme + "://" + c.url.Host + strings.Join(parts[:i], "/") + "/", true
		}
	}
	return "", false
}

// fetch sends a request as a browser does, but follows no redirect. The body is
// cut off after 64 KiB.
func (c *checker) fetch(ctx context.Context, method, address string, header ...string) (body string, err error) {
	limited, cancel := c.limit(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(limited, method, address, nil)
	if err != nil {
		return "", errors.New("the URL cannot be parsed") // it may contain a key
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.wire.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(res.Body, most))
	return string(b), err
}

// platformSignIn reports whether App Service authentication, or that of Static
// Web Apps, is in front of the application.
func (c *checker) platformSignIn(ctx context.Context, eventsPass bool) bool {
	if _, err := c.fetch(ctx, http.MethodGet, c.url.Scheme+"://"+c.url.Host+"/.auth/me"); err != nil {
		return false
	}
	last := c.wire.lastResponse()
	isJSON := strings.Contains(last.header.Get("Content-Type"), "json")
	on := last.status == http.StatusUnauthorized || last.status == http.StatusForbidden || last.status/100 == 2 && isJSON || c.isLogin(last)
	if on && eventsPass {
		c.ok("sign-in", "the platform authenticates users, and the path of the events is excluded from it")
	}
	return on
}

// isLogin reports whether a response leads to a login page.
func (c *checker) isLogin(a response) bool {
	to, err := url.Parse(a.header.Get("Location"))
	return err == nil && a.status/100 == 3 && (strings.Contains(to.Path, "/.auth/") || strings.HasPrefix(to.Host, "login."))
}

// wantsToken reports whether App Service authentication, or an authorizer, has
// rejected a request.
func wantsToken(a response) bool {
	return a.status == http.StatusUnauthorized && strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer")
}

// page checks that there is a page, and that it may connect to the service.
func (c *checker) page(ctx context.Context) {
	if _, err := c.fetch(ctx, http.MethodGet, c.pageURL); err != nil {
		c.fail("page", c.explainTransport(err)...)
		return
	}
	last := c.wire.lastResponse()
	switch {
	case last.status == http.StatusNotFound:
		c.note("page", fmt.Sprintf("%s: there is no page at %s; -page names another address", last, withoutSecrets(c.pageURL)))
		return
	case c.isLogin(last):
		c.ok("page", "%s, after sign-in", last)
		return
	case wantsToken(last):
		c.note("page", fmt.Sprintf("%s: visitors who have not signed in see no page: let App Service authentication redirect them to its login page, or exclude the path of the page", last))
		return
	case last.status != http.StatusOK || !last.isHTML():
		lines := c.explainIntermediary()
		if lines == nil {
			lines = []string{c.described(), "the response is not a page: compare the address with the routes of the application"}
		}
		c.fail("page", lines...)
		return
	}
	if !c.mayConnect(last.header.Get("Content-Security-Policy")) {
		c.fail("page", fmt.Sprintf("%s, but its Content-Security-Policy does not allow connections to %s", last, c.origin),
			"the application is configured for another service: compare WebPubSubConnectionString or WebPubSubConnectionString__serviceUri with the one that sends the events")
		return
	}
	c.ok("page", "%s", last)
}

// mayConnect reports whether a policy allows a WebSocket to the service.
func (c *checker) mayConnect(policy string) bool {
	for directive := range strings.SplitSeq(policy, ";") {
		sources := strings.Fields(directive)
		if len(sources) == 0 || !strings.EqualFold(sources[0], "connect-src") {
			continue
		}
		return slices.ContainsFunc(sources[1:], func(source string) bool {
			if source == "*" || source == "wss:" || source == "ws:" {
				return true
			}
			u, err := url.Parse(source)
			return err == nil && c.isService(u.Hostname())
		})
	}
	return true
}

// isService reports whether a host is that of the service. Names of this machine
// are one.
func (c *checker) isService(host string) bool {
	return strings.EqualFold(host, c.origin) || names.Loopback(host) && names.Loopback(c.origin)
}

// negotiate checks who gets a client access URL, and that it is one of the
// service.
func (c *checker) negotiate(ctx context.Context, platform bool) {
	body, err := c.fetch(ctx, http.MethodGet, c.negotiateURL)
	if err != nil {
		c.fail("negotiate", c.explainTransport(err)...)
		return
	}
	last, shown := c.wire.lastResponse(), c.described() // a later response has a token
	switch {
	case last.status == http.StatusOK:
		c.fail("negotiate", fmt.Sprintf("%s: a caller who is not authenticated got a client access URL", last),
			"authenticate callers of negotiate, or everyone who finds the address can connect")
		c.clientURL(body)
	case c.isLogin(last):
		c.ok("negotiate", "%s, after sign-in", last)
		return // nothing else is called without it
	case wantsToken(last):
		c.ok("negotiate", "%s: callers are authenticated before the application is called", last)
		return
	case last.status == http.StatusNotFound:
		c.note("negotiate", fmt.Sprintf("%s: there is no negotiate at %s; -negotiate names another address", last, withoutSecrets(c.negotiateURL)))
		return
	case last.status == http.StatusBadGateway && strings.Contains(last.body, "token"):
		c.fail("negotiate", c.described(), "the application cannot get a client access token: give its identity the role \"Web PubSub Service Owner\" on the resource (this takes some minutes to become effective), and look at its log")
		return
	case last.status != http.StatusUnauthorized && last.status != http.StatusForbidden:
		lines := c.explainIntermediary()
		if lines == nil {
			lines = []string{c.described(), "look at the application's log"}
		}
		c.fail("negotiate", lines...)
		return
	}
	anyUser := c.userIDQuery(ctx)
	c.forgedUser(ctx)
	if last.status == http.StatusUnauthorized && !anyUser {
		switch {
		case platform:
			c.ok("negotiate", "%s: callers who have not signed in are rejected", last)
		case strings.Contains(last.body, "not authenticated"):
			c.fail("negotiate", shown, "no client can connect: callers are not authenticated. Enable App Service authentication (with the path of the events excluded), or on AWS a JWT authorizer; for a demonstration set WebPubSubAllowUserIdQuery to true")
		default:
			c.ok("negotiate", "%s: callers must be authenticated", shown)
		}
	}
	c.cors(ctx)
}

// userIDQuery reports whether callers may choose their user ID, and checks what
// they get then.
func (c *checker) userIDQuery(ctx context.Context) bool {
	body, err := c.fetch(ctx, http.MethodGet, withQuery(c.negotiateURL, "userId", c.user))
	if err != nil || c.wire.lastResponse().status != http.StatusOK {
		return false
	}
	user, ok := c.clientURL(body)
	if !ok || user != c.user {
		return ok
	}
	c.ok("negotiate", "%s, a client access URL for %s", c.wire.lastResponse(), c.user)
	c.note("negotiate", "callers choose their user ID (?userId=), so anyone can take the name of another user: for development and demonstrations only (WebPubSubAllowUserIdQuery)")

	const name = "webpubsub-check-ü"
	body, err = c.fetch(ctx, http.MethodGet, withQuery(c.negotiateURL, "userId", name))
	if last := c.wire.lastResponse(); err == nil && last.status == http.StatusOK {
		if user, ok := c.clientURL(body); ok && strings.ContainsFunc(user, func(r rune) bool { return r > '~' }) {
			c.fail("negotiate", fmt.Sprintf("%s, with the user ID %q: the Functions host rejects the events of a user whose ID is not ASCII", last, clean(user)),
				"encode user IDs in ASCII, for example by webapp.EncodeUserID")
		}
	}
	return true
}

// forgedUser sends the headers by which App Service names a user. Only a platform
// that removes them from requests may be trusted with them.
func (c *checker) forgedUser(ctx context.Context) {
	const forged = "webpubsub-check-forged"
	body, err := c.fetch(ctx, http.MethodGet, c.negotiateURL, "X-MS-CLIENT-PRINCIPAL-ID", forged, "X-MS-CLIENT-PRINCIPAL-NAME", forged)
	if err != nil || c.wire.lastResponse().status != http.StatusOK {
		return
	}
	if user, ok := c.clientURL(body); ok && strings.Contains(user, forged) {
		c.fail("forged user", fmt.Sprintf("%s: negotiate accepted a user from the headers of App Service authentication, which the caller had written", c.wire.lastResponse()),
			"set WebPubSubTrustPlatformAuth to false, or enable App Service authentication, which removes these headers from requests")
	}
}

// clientURL checks a response of negotiate and returns its user ID.
func (c *checker) clientURL(body string) (user string, ok bool) {
	var got struct{ URL string }
	u := &url.URL{}
	err := json.Unmarshal([]byte(body), &got)
	if err == nil {
		u, err = url.Parse(got.URL)
	}
	if err != nil || u.Host == "" {
		c.fail("negotiate", fmt.Sprintf("%s: the response is not a JSON object with \"url\"", c.wire.lastResponse()), "compare the address: the application's negotiate responds with {\"url\": \"wss://…\"}")
		return "", false
	}
	switch {
	case !c.isService(u.Hostname()):
		c.fail("negotiate", fmt.Sprintf("the client access URL leads to %s, and the events come from %s", u.Host, c.origin),
			"the application is configured for another service: compare WebPubSubConnectionString or WebPubSubConnectionString__serviceUri")
	case !strings.HasSuffix(u.Path, "/hubs/"+c.hub):
		c.fail("negotiate", fmt.Sprintf("the client access URL is for another hub than %s: %s", c.hub, clean(u.Path)), "compare WebPubSubHub with the hub whose event handler this is (-hub)")
	case u.Scheme == "ws" && strings.HasPrefix(c.pageURL, "https:"):
		c.fail("negotiate", "the client access URL is ws:, which a page that came by https may not open", "give the application an https endpoint")
	}
	var claims jwt.RegisteredClaims
	if _, _, err := jwt.NewParser().ParseUnverified(u.Query().Get("access_token"), &claims); err != nil {
		c.fail("negotiate", "the client access URL has no readable access_token", "look at the application's log")
		return "", false
	}
	return claims.Subject, true
}

// cors checks which pages of other sites may call negotiate.
func (c *checker) cors(ctx context.Context) {
	origin := c.pageOrigin
	if origin == "" {
		origin = "https://webpubsub-check.example"
	}
	_, err := c.fetch(ctx, http.MethodOptions, c.negotiateURL, "Origin", origin, "Access-Control-Request-Method", http.MethodGet)
	preflight := c.wire.lastResponse()
	if err == nil {
		_, err = c.fetch(ctx, http.MethodGet, c.negotiateURL, "Origin", origin)
	}
	if err != nil {
		c.fail("CORS", c.explainTransport(err)...)
		return
	}
	got := c.wire.lastResponse().header.Values("Access-Control-Allow-Origin")
	allows := func(values []string) bool {
		return len(values) == 1 && (values[0] == "*" || values[0] == origin)
	}
	preflightAllows := preflight.status/100 == 2 && allows(preflight.header.Values("Access-Control-Allow-Origin"))
	switch {
	case len(got) > 1:
		c.fail("CORS", fmt.Sprintf("Access-Control-Allow-Origin is sent %d times (%s), which browsers reject", len(got), clean(strings.Join(got, ", "))),
			"the platform and the application both respond to CORS requests: leave WebPubSubAllowedOrigins empty if CORS is a setting of the platform")
	case c.pageOrigin != "" && (!preflightAllows || !allows(got)):
		c.fail("CORS", fmt.Sprintf("a page of %s may not call negotiate: the preflight got %s, Access-Control-Allow-Origin is %q", clean(origin), preflight, clean(strings.Join(got, ", "))),
			"on Azure Functions add the origin to the CORS settings of the app (allowedOrigins of main.bicep, Host.CORS of local.settings.json); elsewhere to WebPubSubAllowedOrigins")
	case c.pageOrigin != "":
		c.ok("CORS", "pages of %s may call negotiate", clean(origin))
	case allows(got) && strings.EqualFold(c.wire.lastResponse().header.Get("Access-Control-Allow-Credentials"), "true") && got[0] != "*":
		c.fail("CORS", "a page of any site may call negotiate with the cookies of its visitor, and so connect in the visitor's name",
			"list the origins of your own pages")
	case allows(got):
		c.note("CORS", "pages of any site may call negotiate")
	default:
		c.ok("CORS", "pages of unknown sites may not call negotiate; -page-origin checks one of yours")
	}
}

// withQuery adds a parameter to a URL, whose query is kept as it is.
func withQuery(address, name, value string) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + name + "=" + url.QueryEscape(value)
}

// withoutSecrets is a URL that a flag may have given, to show.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "this address"
	}
	return withoutQuery(u)
}
