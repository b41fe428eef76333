package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"example.com/webpubsub/internal/upstream"
)

// explainPreflight returns why the preflight failed, and what to change.
func (c *checker) explainPreflight(ctx context.Context, err error) []string {
	last := c.wire.lastResponse()
	if last.status == 0 {
		return c.explainTransport(err)
	}
	if lines := c.explainIntermediary(); lines != nil {
		return lines
	}
	switch {
	case last.status == http.StatusUnauthorized:
		if hasKey(c.url) {
			return []string{c.described(), "the function key in ?code= is not one of this app: copy it again, or make the route anonymous, since the handler verifies events itself"}
		}
		return []string{
			c.described(), "the function requires a key: make its route anonymous (authorizationLevel in host.json, authLevel in function.json), since the handler verifies events itself, or add ?code=<function key> to the URL",
			"App Service authentication, or a gateway, may respond with the same: exclude the path of the events from it",
		}
	case last.status == http.StatusNotFound:
		return c.explainNotFound(ctx)
	case last.status == http.StatusBadRequest && strings.Contains(last.body, "has no WebHook-Request-Origin"):
		return c.lostHeaders()
	case last.status == http.StatusBadRequest && strings.Contains(last.body, "not an allowed origin"),
		last.status/100 == 2 && last.header.Get("WebHook-Allowed-Origin") != "":
		return []string{
			c.described(), fmt.Sprintf("the handler does not allow the service %s: compare with the endpoint in its connection string, with WebPubSubConnectionString__serviceUri, and with its allowed origins", c.origin),
			"if the service has replicas or a custom domain, those hosts must be allowed too",
		}
	}
	lines := []string{c.described()}
	var invalid *upstream.ValidationError
	if errors.As(err, &invalid) {
		lines = append(lines, invalid.Reason)
	}
	return lines
}

// hasKey reports whether the URL has a function key. url.URL.Query would leave
// out one with a semicolon.
func hasKey(u *url.URL) bool { return strings.Contains("&"+u.RawQuery, "&code=") }

// explainEvent returns why an event failed after the preflight had passed.
func (c *checker) explainEvent(err error) []string {
	last := c.wire.lastResponse()
	if last.status == 0 || last.status/100 == 2 {
		return c.explainTransport(err)
	}
	if lines := c.explainIntermediary(); lines != nil {
		return lines
	}
	switch last.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		// The response to a request that is not authenticated is always the same.
		if last.status != c.unknown.status || last.body != c.unknown.body {
			return []string{c.described(), fmt.Sprintf("the forged event got another response, so the signature is right and your application rejects the user %q: set another one with -user", c.user)}
		}
		return []string{
			c.described() + ", as for the forged event: the handler does not accept this service",
			"if it verifies signatures, give it the connection string of this service, or its keys in WebPubSubAccessKeys; after a key was regenerated it needs the new one",
			"if it verifies tokens (the WebPubSubEvent settings), only the service's managed identity can send one: look at the live trace instead",
			"a proxy that drops ce-signature looks the same; the handler's log names the reason",
		}
	case http.StatusNotFound:
		if strings.Contains(last.body, "is not served") {
			return []string{c.described(), fmt.Sprintf("the handler serves another hub than %q: set WebPubSubHub, or use -hub", c.hub)}
		}
		return []string{c.described(), "the preflight has a route and this request has none: with {event} in the URL the name of the event is part of the path, which a route like events/{*event} covers; the route must allow POST"}
	case http.StatusBadRequest:
		if strings.Contains(last.body, "the event has no ") {
			return c.lostHeaders()
		}
	case http.StatusInternalServerError:
		return []string{c.described(), "the handler failed: its log has the error, or the panic with its stack"}
	}
	var status *upstream.StatusError
	if errors.As(err, &status) {
		_, remedy, _ := strings.Cut(status.Error(), status.Event+": ")
		return []string{c.described(), remedy}
	}
	return []string{c.described(), err.Error()}
}

// repeated is the time that the Functions host spends on a request whose
// connection the handler drops each time: it waits 50 to 250 milliseconds between
// ten tries.
const repeated = 1200 * time.Millisecond

// explainIntermediary returns what responds in place of the handler, or nil.
func (c *checker) explainIntermediary() []string {
	last := c.wire.lastResponse()
	const excluded = "App Service authentication (EasyAuth) responds in the handler's place: let it allow unauthenticated requests, or exclude the path of the events (globalValidation.excludedPaths); the handler verifies events itself"
	location := last.header.Get("Location")
	to, err := url.Parse(location)
	if err != nil {
		to = &url.URL{}
	}
	switch {
	case c.isLogin(last):
		return []string{c.described(), excluded}
	case last.status/100 == 3 && location != "":
		return []string{c.described(), fmt.Sprintf("the service follows no redirect: write the final address into the hub's settings, which is %s", withoutQuery(c.url.ResolveReference(to)))}
	case wantsToken(last):
		return []string{c.described(), excluded}
	case last.status == http.StatusForbidden && last.isHTML():
		return []string{c.described(), "the platform rejects the request: look at the app's access restrictions, at its private endpoints, and whether it is stopped"}
	case last.status == http.StatusServiceUnavailable && strings.Contains(last.body, "not configured"):
		return []string{c.described(), "the handler runs and lacks a setting: its log names it, and webpubsub check -app-settings finds it"}
	case last.status == http.StatusServiceUnavailable && strings.Contains(last.body, "Function host is not running"):
		return []string{
			c.described(), "the Functions host did not start the app: a function.json and customHandler.http.routes in host.json exclude each other; run webpubsub check on the package",
			"or the handler exited three times, after which the host shuts down: its log has what it wrote last",
		}
	case last.status == http.StatusInternalServerError && last.body == "" && last.took > repeated:
		return []string{
			c.described() + ", with an empty body", "the Functions host sent the request several times, because the handler closed the connection without a response: it panics or exits; look at its log. hosting.Run responds to a panic with 500",
		}
	case last.status == http.StatusInternalServerError && last.body == "":
		return []string{
			c.described() + ", with an empty body", "the handler failed: see its log",
			"on Azure Functions the host responds so in the handler's place: the handler panics or exits, it is not executable (webpubsub check finds that in the package), or host.json sets neither enableProxyingHttpRequest nor enableForwardingHttpRequest",
		}
	case last.status == http.StatusBadGateway || last.status == http.StatusServiceUnavailable || last.status == http.StatusGatewayTimeout:
		return []string{c.described(), "a gateway or the platform responds in the handler's place: look whether the process has started, and at its log"}
	case last.status/100 == 2 && last.isHTML():
		return []string{c.described() + ", a web page", "something other than the handler responds, such as the warning page of a tunnel, a login page, or the site's start page: compare the address"}
	case last.status/100 == 2 && last.header.Get("WebHook-Allowed-Origin") == "" && last.header.Get("Access-Control-Allow-Methods") != "":
		return []string{c.described(), "a CORS layer took the preflight for a browser's: it must pass OPTIONS without Origin on to the handler"}
	}
	return nil
}

// explainNotFound looks for the handler at other usual addresses.
func (c *checker) explainNotFound(ctx context.Context) []string {
	lines := []string{c.described()}
	path := c.url.EscapedPath()
	candidates := []string{"/api" + path, "/api/events", "/events", "/eventhandler"}
	if rest, ok := strings.CutPrefix(path, "/api/"); ok {
		candidates[0] = "/" + rest
	}
	d := c.dispatcher(c.origin, nil)
	defer d.Close()
	for _, candidate := range candidates {
		if candidate == path {
			continue
		}
		other := c.handler
		other.URL = c.url.Scheme + "://" + c.url.Host + candidate
		if c.url.RawQuery != "" {
			other.URL += "?" + c.url.RawQuery
		}
		limited, cancel := c.limit(ctx)
		err := d.Validate(limited, other, c.hub)
		cancel()
		if err == nil {
			return append(lines, "the handler is at "+c.url.Scheme+"://"+c.url.Host+candidate+": correct the URL (Azure Functions put routePrefix, \"api\", before every route)")
		}
	}
	return append(lines,
		"no route has this path: Azure Functions put routePrefix, \"api\", before every route; look at host.json",
		"if the app has no function at all (its log has \"No job functions found\"), its host is older than the routes of host.json: deploy what webpubsub package writes, and run webpubsub check on the package",
		"behind a custom domain on AWS, set WebPubSubBasePath to the key of the API mapping")
}

func (c *checker) lostHeaders() []string {
	return []string{c.described(), "a header of the service was lost on the way: let the proxy or tunnel in between pass ce-* and WebHook-* headers on"}
}

// explainTransport returns why there was no response.
func (c *checker) explainTransport(err error) []string {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	remedy := "look whether the handler runs at this address, and what is between"
	switch {
	case errors.As(err, &dns):
		remedy = "the host name is not known: compare it with the app's"
	case errors.Is(err, syscall.ECONNREFUSED):
		remedy = "connection refused: nothing is listening at this address; start the handler, and compare the port"
	case errors.As(err, &name):
		remedy = "the certificate is for another name: use a name that it covers"
	case errors.As(err, &authority), errors.As(err, &verification):
		remedy = "the certificate is not trusted: the service requires one from a public authority, with the whole chain and not expired"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		remedy = "the port does not serve TLS: write http://, or the port that does"
	case errors.Is(err, context.DeadlineExceeded):
		remedy = "the handler hangs or starts slowly: look at its log, at the firewall, and at always-ready instances against cold starts; the Functions host waits for minutes for a handler that is not executable (webpubsub check finds that in the package)"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		remedy = "the connection was closed without a response: the handler panics or exits (see its log), or the port serves https"
	}
	return []string{clean(err.Error()), remedy}
}

// described returns the last response.
func (c *checker) described() string {
	last := c.wire.lastResponse()
	text := last.String()
	if last.body != "" && !last.isHTML() {
		text += ": " + clean(last.body)
	}
	return text
}

// clean makes text of others fit into one line of a terminal.
func clean(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if unsafe(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
