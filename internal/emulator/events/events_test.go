package events_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/upstream"
)

// backend is an event handler in the same process.
type backend struct {
	mu    sync.Mutex
	calls []string // id, name and state
	serve func(name string) (status int, state string)
}

func (b *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Method == http.MethodOptions {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		return w.Result(), nil
	}
	_, _ = io.Copy(io.Discard, r.Body)
	get := func(name string) string { return (http.Header{"X": r.Header[name]}).Get("X") }
	name := get("ce-eventName")
	b.mu.Lock()
	b.calls = append(b.calls, get("ce-id")+" "+name+" "+get("ce-connectionState"))
	b.mu.Unlock()
	status, state := b.serve(name)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if state != "" {
		w.Header().Set("ce-connectionState", state)
	}
	w.WriteHeader(status)
	return w.Result(), nil
}

func (b *backend) expect(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.calls, want) {
		t.Errorf("delivered %q, want %q", b.calls, want)
	}
}

func start(t *testing.T, serve func(name string) (int, string)) (*events.Source, *backend, *journal.Journal) {
	t.Helper()
	b := &backend{serve: serve}
	j := journal.New(slog.New(slog.DiscardHandler), nil)
	var tasks task.Group
	ctx, cancel := context.WithCancel(t.Context())
	u := upstream.New(upstream.Options{Client: &http.Client{Transport: events.NewTransport(b, func() time.Duration { return 0 })}, Keys: []string{"key"}})
	handlers := []upstream.Handler{{URL: "http://handler.test/", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}, GroupEvents: []string{"joined"}}}
	d := &events.Dispatcher{
		Context: ctx, Upstream: u, Journal: j, Tasks: &tasks, MaxNotifications: 3,
		Handlers: func(string) []upstream.Handler { return handlers },
	}
	t.Cleanup(func() { cancel(); tasks.Close(); tasks.Wait(); u.Close() })
	return d.NewSource(&broker.Conn{Hub: broker.New(j).Hub("chat"), ID: "c1"}), b, j
}

func notify(s *events.Source, kinds ...upstream.Kind) {
	for _, k := range kinds {
		s.Notify(upstream.Event{Kind: k, Name: k.String(), Group: map[bool]string{true: "g"}[k == upstream.GroupJoined]}, nil)
	}
}

func call(t *testing.T, s *events.Source, name string) {
	t.Helper()
	if _, err := s.Call(t.Context(), upstream.Event{Kind: upstream.User, Name: name, ContentType: "text/plain", Body: []byte("x")}, nil); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// Presence comes after connected, the ids are those of the order in which events
// were raised, and state is kept from blocking events only.
func TestOrderAndState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, _ := start(t, func(name string) (int, string) { return 200, "by " + name })
		if _, err := s.Connect(t.Context(), []byte("{}"), nil); err != nil {
			t.Fatal(err)
		}
		notify(s, upstream.GroupJoined, upstream.Connected)
		call(t, s, "say")
		notify(s, upstream.Disconnected)
		synctest.Wait()
		b.expect(t, "0 connect ", "1 connected by connect", "2 joined by connect", "3 say by connect", "4 disconnected by say")
	})
}

// A handler that takes long for a notification, or cannot be reached for one,
// delays what follows by a moment and not by its retries.
func TestNotificationsAreNotAwaited(t *testing.T) {
	for name, answer := range map[string]func() (int, string){
		"slow":        func() (int, string) { time.Sleep(time.Minute); return 200, "" },
		"unreachable": func() (int, string) { return 0, "" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, _ := start(t, func(name string) (int, string) {
					if name == "connected" {
						return answer()
					}
					return 200, ""
				})
				began := time.Now()
				notify(s, upstream.Connected)
				call(t, s, "say")
				if took := time.Since(began); took > time.Second {
					t.Errorf("the user event took %v", took)
				}
				time.Sleep(2 * time.Minute)
			})
		})
	}
}

func TestPresenceIsBoundedAndTheEndIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b, j := start(t, func(name string) (int, string) { time.Sleep(time.Minute); return 200, "" })
		notify(s, upstream.Connected, upstream.GroupJoined, upstream.GroupJoined, upstream.GroupJoined, upstream.GroupJoined, upstream.Disconnected)
		time.Sleep(5 * time.Minute)
		b.expect(t, "0 connected ", "1 joined ", "2 joined ", "3 disconnected ")
		failed := 0
		entries, _ := j.Since(0)
		for _, e := range entries {
			if e.Kind == journal.EventFailed {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d entries of events that were left out, want 2", failed)
		}
	})
}

func TestACallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := start(t, func(string) (int, string) { return 503, "" })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := s.Call(ctx, upstream.Event{Kind: upstream.User, Name: "say", ContentType: "text/plain"}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call: %v", err)
		}
	})
}
