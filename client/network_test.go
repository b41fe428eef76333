package client_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
)

// networks are those that tests with the emulator run on, besides loopback. What such a
// network changes is which of two things happens first: on loopback a response comes
// before the sender has done anything else, on others never.
var networks = map[string]emulator.NetworkConditions{
	"latency":   {Latency: 50 * time.Millisecond, Jitter: 50 * time.Millisecond, HandlerLatency: 100 * time.Millisecond},
	"bandwidth": {Latency: 5 * time.Millisecond, Bandwidth: 20_000},
}

// site is an emulator on one of the networks.
type site struct {
	*emulator.Server
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// connect is connect on the site.
func (s *site) connect(tb testing.TB, user string, o client.Options, prepare func(*client.Client)) *client.Client {
	tb.Helper()
	if o.DialContext == nil {
		o.DialContext = s.dial
	}
	return connect(tb, s.Server, user, o, prepare)
}

// onEveryNetwork runs a test with each protocol on loopback, in real time, and on each
// of the networks and on one that changes, in virtual time. All events of the hub "chat" go to events.
func onEveryNetwork(t *testing.T, protocols []client.Protocol, events http.Handler, f func(*testing.T, *site, client.Protocol)) {
	o := emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {}}}
	if events != nil {
		o.Hubs["chat"] = emulator.HubSettings{EventHandlers: []emulator.EventHandler{{URL: "http://localhost/events", UserEvents: "*"}}}
		o.Transport = inProcess{events}
	}
	for _, p := range protocols {
		t.Run("loopback/"+p.String(), func(t *testing.T) {
			f(t, &site{emulator.StartT(t, o), new(net.Dialer).DialContext}, p)
		})
		for name, conditions := range networks {
			t.Run(name+"/"+p.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := virtualSite(t, o, conditions)
					began := time.Now()
					f(t, s, p)
					if passed := time.Since(began); passed < 4*conditions.Latency { // a handshake and a call
						t.Errorf("the test took %v on this network", passed)
					}
				})
			})
		}
		t.Run("changing/"+p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := virtualSite(t, o, emulator.NetworkConditions{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go changeNetwork(ctx, s.Server)
				f(t, s, p)
			})
		})
	}
}

// virtualSite is a site in a bubble of testing/synctest.
func virtualSite(t *testing.T, o emulator.Options, c emulator.NetworkConditions) *site {
	t.Helper()
	network := emulator.NewMemoryListener()
	o.Listener, o.NetworkConditions = network, c
	return &site{emulator.StartT(t, o), network.DialContext}
}

// changeNetwork replaces the conditions again and again, with those without any delay
// among them.
func changeNetwork(ctx context.Context, srv *emulator.Server) {
	names := append(slices.Sorted(maps.Keys(networks)), "none")
	for i := 0; ; i++ {
		_ = srv.SetNetworkConditions(networks[names[i%len(names)]])
		select {
		case <-ctx.Done():
			return
		case <-time.After(17 * time.Millisecond):
		}
	}
}

// inProcess delivers events to a handler in the same process.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// echo is an event handler that replies with the event.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WebHook-Allowed-Origin", "*")
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if r.Body != nil {
		_, _ = io.Copy(w, r.Body)
	}
}
