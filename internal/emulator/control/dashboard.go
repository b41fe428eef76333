// Package control is the dashboard of an emulator.
package control

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/wire"
)

//go:embed dashboard
var dashboardFiles embed.FS

// DashboardPath is where the dashboard is served.
const DashboardPath = "/dashboard/"

// Dashboard shows in a browser what the emulator holds and what happens, and
// lets a developer send messages and end connections.
//
// It can do more than any client, so it answers the machine's own browser only:
// the request must come from a loopback address, by a loopback name (or else any
// web site could reach it by a name of its own that leads here), from no other
// origin, and, for all that is not the empty page, with a token that is made
// anew at each start (OWASP, WebSocket security cheat sheet).
type Dashboard struct {
	broker  *broker.Broker
	journal *journal.Journal
	token   string
	files   http.Handler
}

// NewDashboard returns the dashboard of an emulator, with a new token.
func NewDashboard(b *broker.Broker, j *journal.Journal) *Dashboard {
	files, err := fs.Sub(dashboardFiles, "dashboard")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return &Dashboard{broker: b, journal: j, token: broker.NewID(), files: http.StripPrefix(DashboardPath, http.FileServerFS(files))}
}

// Token returns the token of the dashboard, a secret.
func (d *Dashboard) Token() string { return d.token }

func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := d.refuse(r); why != "" {
		d.journal.Add(journal.Entry{Kind: journal.Refused, Name: "dashboard", Status: http.StatusForbidden, Reason: why})
		http.Error(w, why, http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	name := strings.TrimPrefix(r.URL.Path, DashboardPath)
	if name != "state" && name != "do" {
		d.files.ServeHTTP(w, r)
		return
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(given), []byte(d.token)) != 1 {
		http.Error(w, "The token is not that of this start: open the address that the emulator printed.", http.StatusUnauthorized)
		return
	}
	switch {
	case name == "state" && r.Method == http.MethodGet:
		d.state(w, r)
	case name == "do" && r.Method == http.MethodPost:
		d.do(w, r)
	default:
		http.Error(w, "", http.StatusMethodNotAllowed)
	}
}

// refuse returns why a request is none of the machine's own browser.
func (d *Dashboard) refuse(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsLoopback() {
			return "The dashboard answers this machine only."
		}
	}
	if !names.Loopback((&url.URL{Host: r.Host}).Hostname()) {
		return "The dashboard answers to localhost only, not to other names of this machine."
	}
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		if err != nil || u.Host != r.Host {
			return "The dashboard answers its own page only."
		}
	}
	return ""
}

// What the page gets is bounded, as it asks once a second: connections of all
// hubs, groups of a connection, bytes of a name and of an entry, and hubs.
const (
	maxShown       = 500
	maxShownGroups = 20
	maxShownName   = 200
	maxShownEntry  = 1000
	maxShownHubs   = 100
)

// shorten bounds a text that is shown, in bytes.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// state answers with the hubs, and the journal from an entry on.
func (d *Dashboard) state(w http.ResponseWriter, r *http.Request) {
	type shownConnection struct {
		ID, UserID, Subprotocol string
		Groups                  []string
		MoreGroups              int // that are left out
		Interrupted             bool
		Unacked                 int
	}
	type shownHub struct {
		Name        string
		Connections []shownConnection
		Total       int
	}
	type shownEntry struct {
		Time    time.Time
		Text    string
		Warning bool
	}
	var out struct {
		Hubs    []shownHub
		Entries []shownEntry
		Next    uint64
	}
	left := maxShown
	for i, h := range d.broker.Hubs() {
		if i == maxShownHubs {
			break
		}
		conns := h.Conns(nil)
		slices.SortFunc(conns, func(a, b *broker.Conn) int { return strings.Compare(a.ID, b.ID) })
		shown := shownHub{Name: h.Name, Total: len(conns), Connections: []shownConnection{}}
		for _, c := range conns[:min(len(conns), left)] {
			st := c.Session.Status()
			s := shownConnection{ID: c.ID, Interrupted: st.Detached, Unacked: st.Unacked}
			s.UserID, s.Subprotocol = shorten(c.UserID, maxShownName), shorten(c.Subprotocol, maxShownName)
			groups := c.Groups()
			for _, g := range groups { // a name that is shown can be sent to, so none is shortened
				if len(g) <= maxShownName && len(s.Groups) < maxShownGroups {
					s.Groups = append(s.Groups, g)
				}
			}
			s.MoreGroups = len(groups) - len(s.Groups)
			shown.Connections = append(shown.Connections, s)
		}
		left -= len(shown.Connections)
		out.Hubs = append(out.Hubs, shown)
	}
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	var entries []journal.Entry
	entries, out.Next = d.journal.Since(after)
	for _, e := range entries {
		out.Entries = append(out.Entries, shownEntry{e.Time, shorten(e.String(), maxShownEntry), e.Warning()})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// do carries out what a button of the page says.
func (d *Dashboard) do(w http.ResponseWriter, r *http.Request) {
	var a struct{ Action, Hub, Connection, Group, Text string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, transport.MaxMessage)).Decode(&a); err != nil {
		http.Error(w, "The body is not the JSON that the page sends.", http.StatusBadRequest)
		return
	}
	h := d.broker.Existing(a.Hub)
	if h == nil {
		http.Error(w, "There is no such hub.", http.StatusNotFound)
		return
	}
	if a.Action == "send" {
		b := &broker.Message{Data: wire.Data{From: "server", Message: webpubsub.Text(a.Text)}}
		n, to := 0, "all"
		if a.Group == "" {
			n = h.SendAll(b, nil)
		} else {
			to = a.Group
			b.Data.From, b.Data.Group = wire.FromGroup, a.Group
			n = h.SendGroup(a.Group, b, nil)
		}
		h.JournalSent(to, b, n)
		return
	}
	c := h.Conn(a.Connection)
	if c == nil {
		http.Error(w, "The connection has ended.", http.StatusNotFound)
		return
	}
	switch a.Action {
	case "close":
		c.Session.CloseByServer("closed on the dashboard")
	case "cut":
		c.Session.Drop("reset on the dashboard")
	default:
		http.Error(w, "There is no such action.", http.StatusBadRequest)
	}
}
