// Package transport implements the WebSockets of clients: the handshake, limits of
// what is read, a queue with a coalescing writer, keep-alive and the closing
// handshake. It does not interpret what frames contain. It also simulates network
// conditions: see shaper.
//
// The locks of [Transport] and [Link] are leaves: under one, nothing but the
// writer's own lock is taken.
package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/webpubsub/internal/emulator/network"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/wsconn"
)

// MaxMessage is the size limit of a client's message in bytes (Microsoft Learn,
// Azure subscription limits: message size).
const MaxMessage = 1 << 20

const (
	// closeGrace is how long a peer may take to respond to a close frame.
	closeGrace = 5 * time.Second
	// stall is for how long a peer may take nothing of what is written, at least: about
	// as long as one that responds to no ping of the default interval may be silent.
	stall = 20 * time.Second
)

// Transport is the links of an emulator.
type Transport struct {
	tasks   *task.Group
	network *network.Simulator
	writers wsconn.Settings

	mu      sync.Mutex
	links   map[*Link]struct{}   // started, and not ended
	shapers map[*shaper]struct{} // whose network connection is open
	over    bool
}

// New returns a transport without links. The queue of each link has at most
// maxFrames and maxBytes of frames that no session keeps. Writers are counted in
// tasks.
func New(tasks *task.Group, n *network.Simulator, maxFrames, maxBytes int) *Transport {
	return &Transport{
		tasks:   tasks,
		network: n,
		writers: wsconn.Settings{MaxMessages: maxFrames, MaxBytes: maxBytes, Stall: stall},
		links:   make(map[*Link]struct{}),
		shapers: make(map[*shaper]struct{}),
	}
}

// Close resets all links, and those that start later.
func (t *Transport) Close() {
	t.mu.Lock()
	t.over = true
	links := make([]*Link, 0, len(t.links))
	for l := range t.links {
		links = append(links, l)
	}
	shapers := slices.Collect(maps.Keys(t.shapers))
	t.mu.Unlock()
	for _, l := range links {
		l.Cut()
	}
	for _, s := range shapers {
		s.kill()
	}
}

// addShaper reports false if the transport is closed.
func (t *Transport) addShaper(s *shaper) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.shapers[s] = struct{}{}
	}
	return !t.over
}

func (t *Transport) removeShaper(s *shaper) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.shapers, s)
}

// Arrive waits as long as a handshake is on its way under the network conditions, or
// until the request or the emulator ends. Its response is delayed as what follows it is.
func (t *Transport) Arrive(request, emulator context.Context) {
	c := t.network.Links()
	if c == nil {
		return
	}
	wait := time.NewTimer(c.Delay())
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-request.Done():
	case <-emulator.Done():
	}
}

// add reports false if the transport is closed.
func (t *Transport) add(l *Link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.links[l] = struct{}{}
	}
	return !t.over
}

func (t *Transport) remove(l *Link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.links, l)
}
