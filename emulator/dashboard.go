package emulator

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/wire"
)

//go:embed dashboard
var dashboardFiles embed.FS

const dashboardPath = "/dashboard/"

// dashboard shows in a browser what the emulator holds and what happens, and
// lets a developer send messages and end connections.
//
// It can do more than any client, so it answers the machine's own browser only:
// the request must come from a loopback address, by a loopback name (or else any
// web site could reach it by a name of its own that leads here), from no other
// origin, and, for all that is not the empty page, with a token that is made
// anew at each start (OWASP, WebSocket security cheat sheet).
type dashboard struct {
	srv   *Server
	token string
	files http.Handler
}

func newDashboard(s *Server) *dashboard {
	files, err := fs.Sub(dashboardFiles, "dashboard")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return &dashboard{srv: s, token: newID(), files: http.StripPrefix(dashboardPath, http.FileServerFS(files))}
}

// DashboardURL returns the address of the dashboard with its token, which is a
// secret of this start. It is empty unless [Options.Dashboard] is set.
func (s *Server) DashboardURL() string {
	if s.dashboard == nil {
		return ""
	}
	return s.url + dashboardPath + "?token=" + s.dashboard.token
}

func (d *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := d.refuse(r); why != "" {
		d.srv.journal.add(Entry{Kind: KindRefused, Name: "dashboard", Status: http.StatusForbidden, Reason: why})
		http.Error(w, why, http.StatusForbidden)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	name := strings.TrimPrefix(r.URL.Path, dashboardPath)
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
func (d *dashboard) refuse(r *http.Request) string {
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
func (d *dashboard) state(w http.ResponseWriter, r *http.Request) {
	type shownConnection struct {
		ConnectionState
		MoreGroups int // that are left out
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
		Next    int
	}
	left := maxShown
	for i, h := range d.srv.State() {
		if i == maxShownHubs {
			break
		}
		shown := shownHub{Name: h.Name, Total: len(h.Connections), Connections: []shownConnection{}}
		for _, c := range h.Connections[:min(len(h.Connections), left)] {
			s := shownConnection{ConnectionState: c}
			s.UserID, s.Subprotocol = shorten(c.UserID, maxShownName), shorten(c.Subprotocol, maxShownName)
			s.Groups = nil // a name that is shown can be sent to, so none is shortened
			for _, g := range c.Groups {
				if len(g) <= maxShownName && len(s.Groups) < maxShownGroups {
					s.Groups = append(s.Groups, g)
				}
			}
			s.MoreGroups = len(c.Groups) - len(s.Groups)
			shown.Connections = append(shown.Connections, s)
		}
		left -= len(shown.Connections)
		out.Hubs = append(out.Hubs, shown)
	}
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	var entries []Entry
	entries, out.Next, _ = d.srv.journal.since(after)
	for _, e := range entries {
		out.Entries = append(out.Entries, shownEntry{e.Time, shorten(e.String(), maxShownEntry), e.warning()})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// do carries out what a button of the page says.
func (d *dashboard) do(w http.ResponseWriter, r *http.Request) {
	var a struct{ Action, Hub, Connection, Group, Text string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&a); err != nil {
		http.Error(w, "The body is not the JSON that the page sends.", http.StatusBadRequest)
		return
	}
	d.srv.mu.RLock()
	h := d.srv.hubs[strings.ToLower(a.Hub)]
	d.srv.mu.RUnlock()
	if h == nil {
		http.Error(w, "There is no such hub.", http.StatusNotFound)
		return
	}
	if a.Action == "send" {
		b := &broadcast{data: wire.Data{From: "server", Message: webpubsub.Text(a.Text)}}
		n, to := 0, "all"
		if a.Group == "" {
			n = h.sendAll(b, nil)
		} else {
			to = a.Group
			b.data.From, b.data.Group = wire.FromGroup, a.Group
			n = h.sendGroup(a.Group, b, nil)
		}
		h.journalSent(to, b, n)
		return
	}
	c := h.get(a.Connection)
	if c == nil {
		http.Error(w, "The connection has ended.", http.StatusNotFound)
		return
	}
	switch a.Action {
	case "close":
		c.closeByServer("closed on the dashboard")
	case "cut":
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l != nil {
			c.sever(l, "cut on the dashboard")
		}
	default:
		http.Error(w, "There is no such action.", http.StatusBadRequest)
	}
}
