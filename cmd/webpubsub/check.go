package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
)

// checker plays the service against one event handler, and keeps the report.
type checker struct {
	e       *env
	url     *url.URL
	handler upstream.Handler
	origin  string // the service's host
	keys    []string
	hub     string
	user    string
	timeout time.Duration
	wire    *recorder
	unknown answer // to the forged event
	failed  int
}

// runCheck sends an event handler what the service sends it, and says what to
// change where an answer is not the right one.
func runCheck(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	c := &checker{e: e}
	// No default is shown: it would be a key.
	cs := fs.String("connection-string", "", "connection string of the service that is played; by default the setting WebPubSubConnectionString, and on this machine the emulator's")
	fs.StringVar(&c.origin, "origin", "", "host of the service, such as name.webpubsub.azure.com; by default that of the connection string or of the setting WebPubSubConnectionString__serviceUri")
	fs.StringVar(&c.hub, "hub", cmp.Or(e.getenv("WebPubSubHub"), "chat"), "hub")
	fs.StringVar(&c.user, "user", "webpubsub-check", "user id of the client that is played")
	fs.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long one answer may take")
	event := fs.String("event", "webpubsub-check", "name of the user event")
	data := fs.String("data", "check", "payload of the user event")
	asJSON := fs.Bool("json", false, "the payload is JSON; text by default")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub check [flags] <url of the event handler>
       webpubsub check <package: a zip file or folder>

Sends the preflight, an event with a forged signature, a signed connect event and
a signed user event. Connected and disconnected are not sent, so that an app does
not announce a client that is not there. Without a key only the first two are.

`)
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return helpIsFine(err)
	}
	if fs.NArg() != 1 {
		return usagef("check takes one URL, after the flags: that of the hub's settings, for example https://name.azurewebsites.net/api/events")
	}
	if isPackage(fs.Arg(0)) {
		return c.checkPackage(fs.Arg(0))
	}
	if err := c.target(fs.Arg(0), *cs); err != nil {
		return usageError{err}
	}
	defer c.wire.base.CloseIdleConnections()

	fmt.Fprintf(e.out, "Checking %s as the service %s, hub %s.\n\n", withoutQuery(c.url), c.origin, c.hub)
	c.run(ctx, userEvent(*event, *data, *asJSON))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.result()
}

// result is the error that the command ends with.
func (c *checker) result() error {
	if c.failed > 0 {
		return fmt.Errorf("%d of the checks failed", c.failed)
	}
	return nil
}

// target finds out what is checked, and as which service.
func (c *checker) target(address, cs string) error {
	c.handler = upstream.Handler{URL: address, UserEvents: "*", SystemEvents: []string{"connect"}}
	if err := c.handler.Validate(); err != nil {
		return err
	}
	// A template is not always a URL: braces are not allowed in one.
	u, err := url.Parse(strings.NewReplacer("{hub}", c.hub, "{event}", "validate").Replace(address))
	if err != nil {
		return errors.New("the URL cannot be parsed")
	}
	c.url = u
	c.wire = newRecorder()

	cs = cmp.Or(cs, c.e.getenv("WebPubSubConnectionString"))
	uri := c.e.getenv("WebPubSubConnectionString__serviceUri")
	if cs == "" && uri == "" && c.origin == "" && names.Loopback(u.Hostname()) {
		cs = connstr.ConnectionString{Endpoint: "http://" + emulator.DefaultAddr, AccessKey: emulator.DefaultAccessKey}.String()
	}
	if cs != "" {
		parsed, err := connstr.Parse(cs)
		if err != nil {
			return err
		}
		uri, c.keys = parsed.Endpoint, []string{parsed.AccessKey}
	}
	if c.origin == "" && uri == "" {
		return errors.New("which service should be played? Give -connection-string, or -origin name.webpubsub.azure.com to check without a key")
	}
	if c.origin == "" {
		endpoint, err := connstr.Endpoint(uri, "")
		if err != nil {
			return err
		}
		service, err := url.Parse(endpoint)
		if err != nil {
			return err
		}
		c.origin = service.Hostname()
	}
	return nil
}

// userEvent is the second event of a connection; the first is connected.
func userEvent(name, data string, asJSON bool) upstream.Event {
	ev := upstream.Event{Kind: upstream.User, Name: name, ID: 2, ContentType: "text/plain; charset=utf-8", Body: []byte(data)}
	if asJSON {
		ev.ContentType = "application/json; charset=utf-8"
	}
	return ev
}

const subprotocol = "json.webpubsub.azure.v1"

func (c *checker) run(ctx context.Context, user upstream.Event) {
	if c.url.Scheme == "http" && !names.Loopback(c.url.Hostname()) {
		c.note("address", "plain http: whoever listens on the way can forge events; use https")
	}
	if !c.preflight(ctx) {
		c.note("events", "not sent: the service sends none before the preflight passes")
		return
	}
	c.forged(ctx)
	if len(c.keys) == 0 {
		c.note("signed events", "not sent: they need the service's access key (-connection-string). A service without keys proves itself by the token of its managed identity, which nobody else can get; what it is answered is in its live trace")
		return
	}
	d := c.dispatcher(c.origin, c.keys)
	defer d.Close()
	id := "check-" + randomHex() // a signature is good for its connection alone
	state, ok := c.connect(ctx, d, id)
	if !ok {
		return
	}
	user.Hub, user.ConnectionID, user.UserID, user.State, user.Subprotocol = c.hub, id, c.user, state, subprotocol
	c.userEvent(ctx, d, user)
}

// preflight asks as the service does, and as another one.
func (c *checker) preflight(ctx context.Context) bool {
	d := c.dispatcher(c.origin, nil)
	defer d.Close()
	limited, cancel := c.limit(ctx)
	defer cancel()
	if err := d.Validate(limited, c.handler, c.hub); err != nil {
		c.fail("preflight", c.explainPreflight(ctx, err)...)
		return false
	}
	allowed := strings.Join(c.wire.answer().header.Values("WebHook-Allowed-Origin"), ", ")
	c.ok("preflight", "%s, allows %s", c.wire.answer(), allowed)
	if strings.Contains(allowed, "*") {
		c.note("origins", "every service may send events, its signature or token has to tell which; name the service's host if you can")
	}
	return true
}

// forged sends an event that no service has signed.
func (c *checker) forged(ctx context.Context) {
	d := c.dispatcher(c.origin, []string{randomHex()})
	defer d.Close()
	_, err := c.deliver(ctx, d, c.connectEvent("check-"+randomHex()))
	c.unknown = c.wire.answer()
	status := c.unknown.status
	switch {
	case err == nil:
		c.fail("forged event", fmt.Sprintf("%s: it was believed, so anybody can send events in the name of any user", c.wire.answer()),
			"verify ce-signature with the service's keys, or its token: set WebPubSubConnectionString, WebPubSubAccessKeys or the WebPubSubEvent settings")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		c.ok("forged event", "%s, refused", c.wire.answer())
	case status == 0:
		c.fail("forged event", c.explainTransport(err)...)
	default:
		c.note("forged event", fmt.Sprintf("%s: refused, though not with 401, so this says nothing about its verification", c.wire.answer()))
	}
}

func (c *checker) connectEvent(id string) upstream.Event {
	body, _ := json.Marshal(upstream.ConnectRequest{ // strings always encode
		Claims:       token.ClaimsMap(map[string]any{"sub": c.user}),
		Subprotocols: []string{subprotocol},
	})
	return upstream.Event{Kind: upstream.Connect, Hub: c.hub, ConnectionID: id, UserID: c.user, Body: body}
}

// connect returns the state that the handler gave to the connection.
func (c *checker) connect(ctx context.Context, d *upstream.Dispatcher, id string) (*string, bool) {
	res, err := c.deliver(ctx, d, c.connectEvent(id))
	if err != nil {
		c.fail("connect", c.explainEvent(err)...)
		return nil, false
	}
	answer, err := upstream.ParseConnectResponse(res.Body)
	if err != nil {
		c.fail("connect", c.wire.answer().String(), err.Error())
		return nil, false
	}
	text := c.wire.answer().String() + ", accepted"
	if answer.UserID != nil {
		text += " as " + clean(*answer.UserID)
	}
	if len(answer.Groups) > 0 {
		text += ", groups " + clean(strings.Join(answer.Groups, " "))
	}
	if answer.Roles != nil {
		text += ", roles " + clean(strings.Join(*answer.Roles, " "))
	}
	c.ok("connect", "%s", text)
	return res.State, true
}

func (c *checker) userEvent(ctx context.Context, d *upstream.Dispatcher, ev upstream.Event) {
	res, err := c.deliver(ctx, d, ev)
	switch {
	case err == nil && len(res.Body) == 0:
		c.ok("user event", "%s, no reply", c.wire.answer())
	case err == nil:
		c.ok("user event", "%s, reply %s", c.wire.answer(), clean(string(res.Body)))
	case c.wire.answer().status == http.StatusNotFound && strings.Contains(c.wire.answer().body, "no callback"):
		c.ok("user event", "%s: verified, and the handler has no callback for %q; give -event and -data to send one that it knows", c.wire.answer(), ev.Name)
	default:
		c.fail("user event", c.explainEvent(err)...)
	}
}

// dispatcher makes requests as the service with this host and these keys, each
// of them once: what fails now is what is reported.
func (c *checker) dispatcher(origin string, keys []string) *upstream.Dispatcher {
	return upstream.New(upstream.Options{
		Origin: origin, Keys: keys, Client: &http.Client{Transport: c.wire},
		Sleep: func(context.Context, time.Duration) error { return errOnce },
	})
}

var errOnce = errors.New("not tried again")

func (c *checker) deliver(ctx context.Context, d *upstream.Dispatcher, ev upstream.Event) (upstream.Response, error) {
	limited, cancel := c.limit(ctx)
	defer cancel()
	return d.Deliver(limited, []upstream.Handler{c.handler}, ev)
}

func (c *checker) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %v: %w", c.timeout, context.DeadlineExceeded))
}

func (c *checker) ok(name, format string, args ...any) {
	c.print("ok", name, fmt.Sprintf(format, args...))
}

// note is about what was not checked, or what is not wrong and could be better.
func (c *checker) note(name, text string) { c.print("note", name, text) }

// fail says what happened, and then what to change.
func (c *checker) fail(name string, lines ...string) {
	c.failed++
	c.print("FAIL", name, lines...)
}

func (c *checker) print(outcome, name string, lines ...string) {
	fmt.Fprintf(c.e.out, "%-4s  %-14s %s\n", outcome, name, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(c.e.out, "%21s- %s\n", "", line)
	}
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// withoutQuery is a URL to show: the query can hold a function key.
func withoutQuery(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
