// Package listeners copies events to event listeners: Azure Event Hubs, and for
// development a file or a URL.
//
// Each endpoint has a queue, which is bounded, and one goroutine while there is
// something in it. The events of one connection are sent one after another, in the
// order in which they were raised; those of different connections concurrently. A
// failed attempt is repeated within a budget, after which the events are dropped; so
// are events for which the queue has no room. What is dropped is counted and recorded
// in the journal. Nothing waits for a listener: that an event was copied does not mean
// that it arrived, as in the service.
package listeners

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/upstream"
)

const (
	// maxEvents and maxBytes bound the queue of an endpoint.
	maxEvents = 10_000
	maxBytes  = 64 << 20
	// maxRound is how many events are taken from the queue together, and
	// maxConnections how many connections' are sent concurrently.
	maxRound       = 500
	maxConnections = 16
	// attemptTimeout bounds one attempt.
	attemptTimeout = 30 * time.Second
)

// retries is the budget of the events of one connection that are sent together.
var retries = backoff.Policy{MaxTries: 8, MaxTime: time.Minute, Delay: 500 * time.Millisecond, MaxDelay: 10 * time.Second}

// Set is the event listeners of an emulator. Its lock is a leaf.
type Set struct {
	// Context ends what is sent.
	Context context.Context
	Journal *journal.Journal
	Tasks   *task.Group
	// Credential signs in to namespaces of Event Hubs. nil: that fails.
	Credential azcore.TokenCredential
	// Transport makes the requests to URLs.
	Transport http.RoundTripper
	// Stdout is the file "-".
	Stdout io.Writer

	mu    sync.Mutex
	pumps map[Endpoint]*pump
}

// Send copies an event to those of the listeners that match it, and reports whether
// any does. It does not wait. The caller is work of the group of tasks.
func (s *Set) Send(all []Listener, e upstream.Event) bool {
	matched := false
	for _, l := range all {
		if l.Matches(e) {
			matched = true
			s.pump(l.Endpoint).add(e.Hub, e.Message(time.Now()))
		}
	}
	return matched
}

// State is what became of the events for an endpoint.
type State struct {
	Sent, Dropped uint64
	Waiting       int
	LastError     string // of the newest attempt; "" if that succeeded
}

// State returns that of an endpoint.
func (s *Set) State(e Endpoint) State {
	s.mu.Lock()
	p := s.pumps[e]
	s.mu.Unlock()
	if p == nil {
		return State{}
	}
	return p.state()
}

// pump returns that of an endpoint. Listeners with the same endpoint share it.
func (s *Set) pump(e Endpoint) *pump {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pumps[e]
	if p == nil {
		if s.pumps == nil {
			s.pumps = make(map[Endpoint]*pump)
		}
		p = &pump{set: s, name: e.String(), sink: s.sink(e), ordered: e.File != ""}
		s.pumps[e] = p
	}
	return p
}

// sink is where a pump sends to. It is used by several goroutines.
type sink interface {
	// send sends messages of one connection, from the first, and returns how many it
	// has sent. An error of [permanent] is not repeated.
	send(context.Context, []upstream.Message) (int, error)
	close()
}

// permanent is an error that another attempt would only repeat, about one message.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func (s *Set) sink(e Endpoint) sink {
	switch {
	case e.File == "-":
		return &file{w: s.Stdout}
	case e.File != "":
		return &file{path: e.File}
	case e.URL != "":
		return &web{url: e.URL, transport: s.Transport}
	default:
		return &eventHub{endpoint: e, credential: s.Credential}
	}
}

// Close releases the connections of all endpoints, when nothing is sent any more.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pumps {
		p.sink.close()
	}
	s.pumps = nil
}
