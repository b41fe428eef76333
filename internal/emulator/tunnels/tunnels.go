// Package tunnels is the service's end of tunnels: it accepts the connections of
// tunnel clients, and sends HTTP requests over them.
//
//	ts := tunnels.New(tunnels.Options{REST: restHandler})
//	defer ts.Close()
//	ts.Accept(w, r, "chat")      // for GET /server/tunnel?hub=chat, authorized by the caller
//	client := http.Client{Transport: ts.Transport("chat")}
//
// What the service does beyond the frames is not documented. Here each request
// goes to the tunnels of a hub in turn, except to those that were asked to close,
// while there are others. A tunnel that is lost fails its open requests.
package tunnels

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
)

// Options configures a [Registry].
type Options struct {
	// REST serves the REST calls that clients send through a tunnel of the hub,
	// without an Authorization header: the tunnel is the authority. If it is nil,
	// or returns nil, they get 501.
	REST func(hub string) http.Handler
	// Opened and Closed are called when a tunnel has been opened, and when it has
	// ended, with the reason. Default: nothing is called.
	Opened, Closed func(t Info, why string)
	// PingInterval is the time between WebSocket pings. A client that is silent for
	// three of them is dropped. Default: 20 s.
	PingInterval time.Duration
	// Logger gets protocol errors. Default: nothing is logged.
	Logger *slog.Logger
}

// Info describes an open tunnel.
type Info struct {
	Hub, ConnectionID string
	// Target is what a Reconnect or Rebalance message sent the client here with.
	Target string
}

// Registry contains the tunnels that are open. Create it with [New]. It is safe for
// concurrent use.
type Registry struct {
	o        Options
	upgrader websocket.Upgrader
	work     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	hubs   map[string][]*link // by the name of the hub in lower case
	next   int
}

// New returns a registry without tunnels.
func New(o Options) *Registry {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PingInterval <= 0 {
		o.PingInterval = 20 * time.Second
	}
	for _, f := range []*func(Info, string){&o.Opened, &o.Closed} {
		if *f == nil {
			*f = func(Info, string) {}
		}
	}
	return &Registry{
		o: o, hubs: make(map[string][]*link),
		// Tunnel clients are programs. A web page could not pass the authorization
		// without a token, which it does not have; the caller can check more.
		upgrader: websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }},
	}
}

// Accept completes the handshake of a tunnel client, which the caller has
// authorized for the hub, and serves the connection in goroutines of its own.
func (g *Registry) Accept(w http.ResponseWriter, r *http.Request, hub string) {
	ws, err := g.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has sent a response
	}
	l := newLink(g, ws, Info{Hub: hub, Target: r.URL.Query().Get("target")})
	g.mu.Lock()
	ok := !g.closed
	if ok {
		g.work.Add(2)
	}
	g.mu.Unlock()
	if !ok {
		_ = ws.Close()
		return
	}
	go func() { defer g.work.Done(); l.ping() }()
	go func() { defer g.work.Done(); l.serve() }()
}

// Close drops all tunnels, and waits until their goroutines have ended.
func (g *Registry) Close() {
	g.mu.Lock()
	g.closed = true
	var open []*link
	for _, links := range g.hubs {
		open = append(open, links...)
	}
	g.mu.Unlock()
	for _, l := range open {
		_ = l.ws.Close()
	}
	g.work.Wait()
}

// Tunnels returns the open tunnels, by hub and in the order in which they were
// opened.
func (g *Registry) Tunnels() []Info {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Info
	for _, name := range slices.Sorted(maps.Keys(g.hubs)) {
		for _, l := range g.hubs[name] {
			out = append(out, l.info)
		}
	}
	return out
}

// ErrNoTunnel is why a request to a hub without tunnels fails.
var ErrNoTunnel = errors.New("no tunnel is open")

// Send sends a Reconnect, Rebalance, Close or Status message to the tunnel with
// that connection ID.
func (g *Registry) Send(connectionID string, m tunnelwire.Message) error {
	g.mu.Lock()
	l := g.find(connectionID)
	if l != nil {
		switch m.(type) {
		case *tunnelwire.Reconnect, *tunnelwire.Close:
			l.leaving = true
		}
	}
	g.mu.Unlock()
	if l == nil {
		return fmt.Errorf("connection %q: %w", connectionID, ErrNoTunnel)
	}
	return l.write(m)
}

// Drop ends a tunnel as a lost network does: without a close frame.
func (g *Registry) Drop(connectionID string) error {
	g.mu.Lock()
	l := g.find(connectionID)
	g.mu.Unlock()
	if l == nil {
		return fmt.Errorf("connection %q: %w", connectionID, ErrNoTunnel)
	}
	return l.ws.Close()
}

// find must be called with g.mu held.
func (g *Registry) find(connectionID string) *link {
	for _, links := range g.hubs {
		for _, l := range links {
			if l.info.ConnectionID == connectionID {
				return l
			}
		}
	}
	return nil
}

// add registers a link. It reports false if the registry is closed.
func (g *Registry) add(l *link) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	hub := strings.ToLower(l.info.Hub)
	g.hubs[hub] = append(g.hubs[hub], l)
	return true
}

func (g *Registry) remove(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	hub := strings.ToLower(l.info.Hub)
	links := slices.DeleteFunc(g.hubs[hub], func(other *link) bool { return other == l })
	if g.hubs[hub] = links; len(links) == 0 {
		delete(g.hubs, hub)
	}
}

// pick returns a tunnel of the hub, or nil.
func (g *Registry) pick(hub string) *link {
	g.mu.Lock()
	defer g.mu.Unlock()
	links := g.hubs[strings.ToLower(hub)]
	if len(links) == 0 {
		return nil
	}
	g.next++
	for i := range links {
		if l := links[(g.next+i)%len(links)]; !l.leaving {
			return l
		}
	}
	return links[g.next%len(links)]
}
