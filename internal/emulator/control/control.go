// Package control serves the control API of an emulator and the dashboard that uses
// it: the state, the journal, faults and actions. openapi.json describes the API; a
// test compares it with the operations.
//
// It can do more than any client and any REST call, so each request carries a
// token. It must also come from a loopback peer, by a loopback name (or else any
// web site could reach it by a name of its own that leads here) and from no other
// origin (OWASP, WebSocket security cheat sheet). If the token was set explicitly,
// other peers and names are accepted.
package control

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/emulator/network"
	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/emulator/tunnels"
)

// Path is the base path of the API.
const Path = "/_emulator/v1"

//go:embed openapi.json
var description []byte

// Link is a page that belongs to the emulator.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Config is what the API shows and acts on.
type Config struct {
	// Context ends when the emulator closes.
	Context  context.Context
	Broker   *broker.Broker
	Journal  *journal.Journal
	Faults   *fault.Set
	Network  *network.Simulator
	Limits   *limits.Limiter
	Settings *settings.Store
	Access   *access.Policy
	Events   *events.Dispatcher
	Tasks    *task.Group
	Handlers *Handlers
	Tunnels  *tunnels.Registry
	// Listener returns what became of the events for the endpoint of a listener.
	Listener func(listeners.Endpoint) listeners.State

	// Token allows everything, ReadToken only reading; empty: there is none.
	Token, ReadToken string
	// Explicit reports whether the tokens were set, not generated.
	Explicit bool

	URL, ConnectionString, AuthorityHost string
	KeyID                                string // of client tokens
	Links                                []Link
}

// API serves the control API and the dashboard.
type API struct {
	Config
	instance string
	started  time.Time
	files    http.Handler
}

// New returns the API. It generates a token if the configuration has none.
func New(c Config) *API {
	a := &API{Config: c, instance: broker.NewID(), started: time.Now().UTC(), files: dashboard()}
	if a.Token == "" {
		a.Token = broker.NewID()
	}
	return a
}

// Serves reports whether a path belongs to the API or the dashboard.
func Serves(path string) bool {
	return strings.HasPrefix(path, Path+"/") || path == Path ||
		strings.HasPrefix(path, DashboardPath) || path == strings.TrimSuffix(DashboardPath, "/")
}

// call is one request.
type call struct {
	*API
	w     http.ResponseWriter
	r     *http.Request
	args  map[string]string // what {name} in the pattern matched
	query url.Values
	op    *operation
	full  bool // the token allows everything
	begun time.Time
	by    *journal.Cause // of what the call changes
}

// ServeHTTP serves one request of a path that [Serves] accepts.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := a.reject(r); why != "" {
		a.Journal.Add(journal.Entry{Kind: journal.Rejected, Name: "control API", Status: http.StatusForbidden, Reason: why})
		writeError(w, &apiError{http.StatusForbidden, "forbidden", why})
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if !strings.HasPrefix(r.URL.Path, Path) {
		h.Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		a.files.ServeHTTP(w, r)
		return
	}
	c := &call{API: a, w: w, r: r, begun: time.Now()}
	if err := c.serve(); err != nil {
		e := asError(err)
		c.record(e.status, e.message)
		writeError(w, e)
	}
}

func (c *call) serve() error {
	op, err := c.route()
	if err != nil {
		return err
	}
	if !op.open {
		if err := c.authorize(op); err != nil {
			return err
		}
	}
	if err := c.parseQuery(op); err != nil {
		return err
	}
	c.op = op
	if c.records() {
		c.by = c.Journal.Begin(journal.CauseControl)
	}
	return op.serve(c)
}

// records reports whether the operation changes something.
func (c *call) records() bool {
	return c.op != nil && !c.op.silent && c.r.Method != http.MethodGet
}

// record writes the entry about a change that the caller made, or could not make.
func (c *call) record(status int, reason string) {
	if c.records() {
		c.Journal.Add(journal.Entry{
			Kind: journal.Control, Hub: strings.ToLower(c.args["hub"]), Name: c.r.Method + " " + strings.TrimPrefix(c.r.URL.Path, Path),
			Status: status, Duration: time.Since(c.begun), Reason: reason, Cause: c.by,
		})
	}
}
