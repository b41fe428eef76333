package main

import (
	"context"
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
	"example.com/webpubsub/internal/upstream"
)

// checker sends an application the requests of the service and of a browser, and
// reports what is wrong.
type checker struct {
	e       *env
	url     *url.URL // of the event handler, for a validation
	handler upstream.Handler
	origin  string // the service's host
	keys    []string
	hub     string
	user    string
	timeout time.Duration
	slow    time.Duration
	wire    *recorder
	unknown response // to the forged event
	failed  int
	json    bool
	report  diagnosis // printed at the end if json is set

	negotiateURL, pageURL string
	pageOrigin            string
}

// diagnosis is what check prints with -o json.
type diagnosis struct {
	URL      string    `json:"url,omitempty"`    // of the event handler
	Origin   string    `json:"origin,omitempty"` // the service's host
	Hub      string    `json:"hub,omitempty"`
	Failed   int       `json:"failed"` // number of findings whose outcome is fail
	Findings []finding `json:"findings"`
}

// finding is the outcome of one check.
type finding struct {
	Outcome string   `json:"outcome"` // ok, note or fail
	Check   string   `json:"check"`
	Text    string   `json:"text"`
	Details []string `json:"details,omitempty"` // causes and remedies
}

// runCheck diagnoses a deployment: its settings, its package, or the running
// application.
func runCheck(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	c := &checker{e: e}
	// The help prints the default of a flag, and a connection string contains a key.
	cs := fs.String("connection-string", "", "connection `string` of the service in whose name requests are sent (default, for a local event handler: the emulator on localhost:8080)")
	fs.StringVar(&c.origin, "origin", "", "`host` of the service, such as name.webpubsub.azure.com (default: the host of the connection string or of WebPubSubConnectionString__serviceUri)")
	fs.StringVar(&c.hub, "hub", "chat", "`name` of the hub")
	fs.StringVar(&c.user, "user", "webpubsub-check", "`user ID` of the client in whose name events are sent")
	fs.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long a response may take")
	fs.DurationVar(&c.slow, "slow", time.Second, "report a response that takes longer")
	event := fs.String("event", "webpubsub-check", "`name` of the user event")
	data := fs.String("data", "check", "payload of the user event; - reads it from standard input")
	kind := choiceFlag(fs, "type", "data type of the payload", "text", "json", "binary")
	fs.StringVar(&c.negotiateURL, "negotiate", "", "`URL` of negotiate (default: negotiate in place of events in the URL of the event handler)")
	fs.StringVar(&c.pageURL, "page", "", "`URL` of the page (default: index in place of events in the URL of the event handler)")
	fs.StringVar(&c.pageOrigin, "page-origin", "", "`origin` of a page on another site that has to call negotiate, such as https://www.example.com")
	appSettings := fs.String("app-settings", "", "`file` with the application's settings to check: local.settings.json, or the output of az functionapp config appsettings list")
	output := choiceFlag(fs, "o", "output format; json prints one object with all findings at the end", "text", "json")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub check [flags] <URL of the event handler>
       webpubsub check <package: a zip file or folder>
       webpubsub check -app-settings <file> [URL of the event handler]

Sends the event handler a validation request, an event with a forged signature and,
with the service's key, signed connect and user events, then the requests of a
browser: page, negotiate, CORS, sign-in. Each failure is printed with its remedy.
connected and disconnected are not sent, so that an application does not announce
a client that does not exist.

`)
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	c.json = output.value == "json"
	ev, err := e.userEvent(*event, *data, kind.value)
	if err != nil {
		return err
	}
	if *appSettings != "" {
		values, err := c.checkSettings(*appSettings)
		if err != nil {
			return err
		}
		if fs.NArg() == 0 {
			return c.result()
		}
		if *cs == "" {
			*cs = values["WebPubSubConnectionString"]
		}
		if hub := values["WebPubSubHub"]; hub != "" && !isSet(fs, "hub") {
			c.hub = hub
		}
	}
	if fs.NArg() != 1 {
		return usagef("check takes one URL, after the flags: the event handler in the settings of the hub, for example https://name.azurewebsites.net/api/events")
	}
	if isPackage(fs.Arg(0)) {
		return c.checkPackage(fs.Arg(0))
	}
	if err := c.target(fs.Arg(0), *cs); err != nil {
		return usageError{err}
	}
	defer c.wire.base.CloseIdleConnections()

	c.report.URL, c.report.Origin, c.report.Hub = withoutQuery(c.url), c.origin, c.hub
	if !c.json {
		fmt.Fprintf(e.out, "Checking %s as the service %s, hub %s.\n\n", c.report.URL, c.origin, c.hub)
	}
	c.run(ctx, ev)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.result()
}

// result prints the report if it is JSON, and returns the error that the command
// ends with.
func (c *checker) result() error {
	if c.json {
		c.report.Failed = c.failed
		if err := printJSON(c.e.out, c.report); err != nil {
			return err
		}
	}
	if c.failed > 0 {
		return fmt.Errorf("%d of the checks failed", c.failed)
	}
	return nil
}

// target sets what is checked, and in the name of which service.
func (c *checker) target(address, cs string) error {
	c.handler = upstream.Handler{URL: address, UserEvents: "*", SystemEvents: []string{"connect"}}
	if err := c.handler.Validate(); err != nil {
		return usageError{err}
	}
	// A template is not always a URL: braces are not allowed in one.
	u, err := url.Parse(strings.NewReplacer("{hub}", c.hub, "{event}", "validate").Replace(address))
	if err != nil {
		return usagef("the URL cannot be parsed")
	}
	c.url = u
	c.wire = newRecorder()

	uri := c.e.getenv("WebPubSubConnectionString__serviceUri")
	if cs == "" && uri == "" && c.origin == "" && names.Loopback(u.Hostname()) {
		cs = connstr.ConnectionString{Endpoint: "http://" + emulator.DefaultAddr, AccessKey: emulator.DefaultAccessKey}.String()
	}
	if cs != "" {
		parsed, err := connstr.Parse(cs)
		if err != nil {
			return usageError{err}
		}
		uri, c.keys = parsed.Endpoint, []string{parsed.AccessKey}
	}
	if c.origin == "" && uri == "" {
		return usagef("no service: set -connection-string, or -origin name.webpubsub.azure.com to check without a key")
	}
	if c.origin == "" {
		endpoint, err := connstr.Endpoint(uri, "")
		if err != nil {
			return usageError{err}
		}
		service, err := url.Parse(endpoint)
		if err != nil {
			return err
		}
		c.origin = service.Hostname()
	}
	return nil
}

// run sends the requests in the order in which a deployment gets them.
func (c *checker) run(ctx context.Context, user upstream.Event) {
	if c.url.Scheme == "http" && !names.Loopback(c.url.Hostname()) {
		c.note("address", "plain http: an attacker who reads the traffic can forge events; use https")
	}
	status, passed := c.preflight(ctx)
	if passed {
		c.events(ctx, user)
	} else {
		c.note("events", "not sent: the service sends none before the preflight passes")
	}
	// An application that does not respond at all is one failure, not five.
	if passed || status >= 300 && status < 500 && status != http.StatusNotFound {
		c.browser(ctx, passed)
	}
}

// ok reports a check that passed.
func (c *checker) ok(name, format string, args ...any) {
	c.print("ok", name, fmt.Sprintf(format, args...))
}

// note reports what was not checked, or what works and could be better.
func (c *checker) note(name, text string) { c.print("note", name, text) }

// fail reports what happened, and then what to change.
func (c *checker) fail(name string, lines ...string) {
	c.failed++
	c.print("FAIL", name, lines...)
}

func (c *checker) print(outcome, name string, lines ...string) {
	if c.json {
		c.report.Findings = append(c.report.Findings, finding{strings.ToLower(outcome), name, lines[0], lines[1:]})
		return
	}
	fmt.Fprintf(c.e.out, "%-4s  %-14s %s\n", outcome, name, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(c.e.out, "%21s- %s\n", "", line)
	}
}

var errOnce = errors.New("not tried again")

// withoutQuery is a URL to show: the query can contain a function key.
func withoutQuery(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
