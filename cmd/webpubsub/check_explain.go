package main

import (
	"bytes"
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
	"sync"
	"syscall"
	"time"
	"unicode"

	"example.com/webpubsub/internal/upstream"
)

// recorder is the way to the handler. It keeps of the last answer what tells who
// has answered: the handler, or something in front of it.
type recorder struct {
	base *http.Transport

	mu   sync.Mutex
	last answer
}

type answer struct {
	status int // 0 where there was none
	header http.Header
	body   string // its beginning
	took   time.Duration
}

func newRecorder() *recorder {
	// Not a clone of http.DefaultTransport, which somebody may have replaced by a
	// RoundTripper of another type.
	return &recorder{base: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // as the service asks for none
	}}
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	begin := time.Now()
	r.keep(answer{})
	res, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	const most = 512
	start, err := io.ReadAll(io.LimitReader(res.Body, most))
	r.keep(answer{res.StatusCode, res.Header, string(start), time.Since(begin)})
	rest := io.MultiReader(bytes.NewReader(start), res.Body)
	if err != nil {
		rest = io.MultiReader(bytes.NewReader(start), failing{err})
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{rest, res.Body}
	return res, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (r *recorder) keep(a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = a
}

// answer returns the last answer. A request that hangs may still be under way.
func (r *recorder) answer() answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (a answer) String() string {
	return fmt.Sprintf("%d in %v", a.status, a.took.Round(100*time.Microsecond))
}

func (a answer) isHTML() bool { return strings.Contains(a.header.Get("Content-Type"), "html") }

// explainPreflight says why the preflight failed, and what to change.
func (c *checker) explainPreflight(ctx context.Context, err error) []string {
	last := c.wire.answer()
	if last.status == 0 {
		return c.explainTransport(err)
	}
	if lines := c.explainFront(); lines != nil {
		return lines
	}
	switch {
	case last.status == http.StatusUnauthorized:
		if c.url.Query().Has("code") {
			return []string{c.answered(), "the function key in ?code= is not one of this app: copy it again, or make the route anonymous, since the handler verifies events itself"}
		}
		return []string{c.answered(), "the function wants a key: make its route anonymous (authorizationLevel in host.json), since the handler verifies events itself, or add ?code=<function key> to the URL", "App Service authentication (EasyAuth), or a gateway, may answer the same"}
	case last.status == http.StatusNotFound:
		return c.explainNotFound(ctx)
	case last.status == http.StatusBadRequest && strings.Contains(last.body, "has no WebHook-Request-Origin"):
		return c.lostHeaders()
	case last.status == http.StatusBadRequest && strings.Contains(last.body, "not an allowed origin"),
		last.status/100 == 2 && last.header.Get("WebHook-Allowed-Origin") != "":
		return []string{
			c.answered(), fmt.Sprintf("the handler does not know the service %s: compare with the endpoint in its connection string, with WebPubSubConnectionString__serviceUri, and with its allowed origins", c.origin),
			"if the service has replicas or a custom domain, those hosts must be allowed too",
		}
	}
	lines := []string{c.answered()}
	var invalid *upstream.ValidationError
	if errors.As(err, &invalid) {
		lines = append(lines, invalid.Reason)
	}
	return lines
}

// explainEvent says why an event failed after the preflight had passed.
func (c *checker) explainEvent(err error) []string {
	last := c.wire.answer()
	if last.status == 0 || last.status/100 == 2 {
		return c.explainTransport(err)
	}
	if lines := c.explainFront(); lines != nil {
		return lines
	}
	switch last.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		// What verifies answers a stranger always the same.
		if last.status != c.unknown.status || last.body != c.unknown.body {
			return []string{c.answered(), fmt.Sprintf("the forged event got another answer, so the signature is right and your app refuses the user %q: give another one with -user", c.user)}
		}
		return []string{
			c.answered() + ", as for the forged event: the handler does not trust this service",
			"if it verifies signatures, give it the connection string of this service, or its keys in WebPubSubAccessKeys; after a key was regenerated it needs the new one",
			"if it verifies tokens (the WebPubSubEvent settings), only the service's managed identity can send one: look at the live trace instead",
			"a proxy that drops ce-signature looks the same; the handler's log names the rule",
		}
	case http.StatusNotFound:
		if strings.Contains(last.body, "is not served") {
			return []string{c.answered(), fmt.Sprintf("the handler serves another hub than %q: set WebPubSubHub, or give -hub", c.hub)}
		}
		return []string{c.answered(), "the preflight has a route and this request has none: with {event} in the URL the name of the event is part of the path, which a route like events/{*event} covers; the route must allow POST"}
	case http.StatusBadRequest:
		if strings.Contains(last.body, "the event has no ") {
			return c.lostHeaders()
		}
	}
	var status *upstream.StatusError
	if errors.As(err, &status) {
		_, remedy, _ := strings.Cut(status.Error(), status.Event+": ")
		return []string{c.answered(), remedy}
	}
	return []string{c.answered(), err.Error()}
}

// explainFront recognises what answers in place of the handler, or returns nil.
func (c *checker) explainFront() []string {
	last := c.wire.answer()
	location := last.header.Get("Location")
	to, err := url.Parse(location)
	if err != nil {
		to = &url.URL{}
	}
	const easyAuth = "App Service authentication (EasyAuth) answers in the handler's place: let it allow unauthenticated requests, or exclude the path of the events (globalValidation.excludedPaths); the handler verifies events itself"
	switch {
	case last.status/100 == 3 && (strings.Contains(to.Path, "/.auth/") || strings.HasPrefix(to.Host, "login.")):
		return []string{c.answered(), easyAuth}
	case last.status/100 == 3 && location != "":
		return []string{c.answered(), fmt.Sprintf("the service follows no redirect: put the final address into the hub's settings, it leads to %s", withoutQuery(c.url.ResolveReference(to)))}
	case last.status == http.StatusUnauthorized && strings.HasPrefix(last.header.Get("WWW-Authenticate"), "Bearer"):
		return []string{c.answered(), easyAuth}
	case last.status == http.StatusForbidden && last.isHTML():
		return []string{c.answered(), "the platform refuses: look at the app's access restrictions, at its private endpoints, and whether it is stopped"}
	case last.status == http.StatusServiceUnavailable && strings.Contains(last.body, "not configured"):
		return []string{c.answered(), "the handler runs and lacks a setting: its log names it"}
	case last.status == http.StatusBadGateway || last.status == http.StatusServiceUnavailable || last.status == http.StatusGatewayTimeout:
		return []string{c.answered(), "a gateway or the platform answers in the handler's place: look whether the process has started, and at its log"}
	case last.status/100 == 2 && last.isHTML():
		return []string{c.answered() + ", a web page", "something else than the handler answers, such as the warning page of a tunnel, a login page, or the site's start page: compare the address"}
	case last.status/100 == 2 && last.header.Get("WebHook-Allowed-Origin") == "" && last.header.Get("Access-Control-Allow-Methods") != "":
		return []string{c.answered(), "a CORS layer took the preflight for a browser's: it must pass OPTIONS without Origin on to the handler"}
	}
	return nil
}

// explainNotFound looks for the handler where it often is instead.
func (c *checker) explainNotFound(ctx context.Context) []string {
	lines := []string{c.answered()}
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
		"no route is at this path: Azure Functions put routePrefix, \"api\", before every route; look at host.json",
		"if the app has no function at all (its log says \"No job functions found\"), its host is older than the routes of host.json: deploy what webpubsub package writes")
}

func (c *checker) lostHeaders() []string {
	return []string{c.answered(), "a header of the service was lost on the way: let the proxy or tunnel in between pass ce-* and WebHook-* headers on"}
}

// explainTransport says why there was no answer.
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
		remedy = "nobody listens at this address: start the handler, and compare the port"
	case errors.As(err, &name):
		remedy = "the certificate is for another name: use a name that it covers"
	case errors.As(err, &authority), errors.As(err, &verification):
		remedy = "the certificate is not trusted: the service wants one from a public authority, whole chain and not expired"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		remedy = "the port does not speak TLS: write http://, or the port that does"
	case errors.Is(err, context.DeadlineExceeded):
		remedy = "it hangs, or it starts slowly: look at its log, at the firewall, and at always-ready instances against cold starts"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		remedy = "the connection was closed without an answer: does the handler crash (see its log), or does the port speak https?"
	}
	return []string{clean(err.Error()), remedy}
}

// answered shows the last answer.
func (c *checker) answered() string {
	last := c.wire.answer()
	text := last.String()
	if last.body != "" && !last.isHTML() {
		text += ": " + clean(last.body)
	}
	return text
}

// clean makes foreign text fit into one line of a terminal.
func clean(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
