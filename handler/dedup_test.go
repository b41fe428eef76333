package handler_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// counting returns a handler whose callback answers with the number of its call
// and fails while fails is positive.
func counting(t testing.TB, d *handler.DedupOptions, fails *int) *handler.Handler {
	h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = d })
	var mu sync.Mutex
	calls := 0
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if fails != nil && *fails > 0 {
			*fails--
			return webpubsub.Message{}, errors.New("not yet")
		}
		return webpubsub.Text(fmt.Sprint(calls)).WithMetadata("k", "v"), e.State().Set("n", calls)
	})
	return h
}

func deliver(h *handler.Handler, conn, id string, o handlertest.Options) string {
	o.ID = id
	res := handlertest.Do(h, handlertest.UserEvent("chat", conn, "message", webpubsub.Text("x"), &o))
	state, _ := res.State()
	return fmt.Sprint(res.Status, " ", res.Message(), " ", res.Header.Get("X-WebPubSub-Metadata-k"), " ", string(state["n"]))
}

func TestDedup(t *testing.T) {
	h := counting(t, &handler.DedupOptions{}, nil)
	none := handlertest.Options{}
	for _, tt := range []struct {
		conn, id string
		o        handlertest.Options
		want     string
	}{
		{"a", "1", none, "200 1 v 1"},
		{"a", "1", none, "200 1 v 1"}, // repeated: the whole answer again
		{"a", "2", none, "200 2 v 2"},
		{"b", "1", none, "200 3 v 3"}, // ids count per connection
		{"a", "1", none, "200 1 v 1"},
		// An MQTT client id counts anew with each connection.
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p1"}, "200 4 v 4"},
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p2"}, "200 5 v 5"},
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p1"}, "200 4 v 4"},
	} {
		if got := deliver(h, tt.conn, tt.id, tt.o); got != tt.want {
			t.Errorf("%s/%s: %s, want %s", tt.conn, tt.id, got, tt.want)
		}
	}
}

// Without the option, every delivery counts.
func TestNoDedup(t *testing.T) {
	h := counting(t, nil, nil)
	deliver(h, "a", "1", handlertest.Options{})
	if got := deliver(h, "a", "1", handlertest.Options{}); got != "200 2 v 2" {
		t.Error(got)
	}
}

// An event without an id cannot be recognised.
func TestDedupWithoutID(t *testing.T) {
	h := counting(t, &handler.DedupOptions{}, nil)
	for want := range 2 {
		r := handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), nil)
		r.Header.Del("ce-id")
		if got := string(handlertest.Do(h, r).Body); got != fmt.Sprint(want+1) {
			t.Errorf("call %s", got)
		}
	}
}

// A failure is what the service repeats for, so it must not be remembered.
func TestDedupForgetsFailures(t *testing.T) {
	fails := 2
	h := counting(t, &handler.DedupOptions{}, &fails)
	for _, want := range []string{"500   ", "500   ", "200 3 v 3", "200 3 v 3"} {
		if got := deliver(h, "a", "1", handlertest.Options{}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestDedupTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := counting(t, &handler.DedupOptions{TTL: time.Minute}, nil)
		deliver(h, "a", "1", handlertest.Options{})
		time.Sleep(time.Minute - 1)
		if got := deliver(h, "a", "1", handlertest.Options{}); got != "200 1 v 1" {
			t.Error(got)
		}
		time.Sleep(time.Nanosecond)
		if got := deliver(h, "a", "1", handlertest.Options{}); got != "200 2 v 2" {
			t.Error(got)
		}
	})
}

func TestDedupBounds(t *testing.T) {
	for name, o := range map[string]*handler.DedupOptions{
		"replies": {MaxReplies: 2},
		"bytes":   {MaxBytes: 2 * 400},
	} {
		t.Run(name, func(t *testing.T) {
			h := counting(t, o, nil)
			for i := range 3 {
				deliver(h, "a", fmt.Sprint(i), handlertest.Options{})
			}
			if got := deliver(h, "a", "2", handlertest.Options{}); got != "200 3 v 3" {
				t.Errorf("the newest was forgotten: %s", got)
			}
			if got := deliver(h, "a", "0", handlertest.Options{}); got != "200 4 v 4" {
				t.Errorf("the oldest was kept: %s", got)
			}
		})
	}
	// An answer above the bound is sent and not remembered, and pushes out none
	// that is.
	big, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{MaxBytes: 1000} })
	calls := 0
	big.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
		calls++
		return webpubsub.Binary(make([]byte, map[string]int{"1": 1, "2": 2000}[e.ID])), nil
	})
	for _, id := range []string{"1", "2", "1"} {
		deliver(big, "a", id, handlertest.Options{})
	}
	if calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
	h := counting(t, &handler.DedupOptions{MaxBytes: 1}, nil)
	for i := range 2 {
		if got := deliver(h, "a", "1", handlertest.Options{}); got != fmt.Sprintf("200 %d v %d", i+1, i+1) {
			t.Error(got)
		}
	}
}

// The service may repeat an event while the first delivery is still being
// handled: the callback runs once and both get its answer.
func TestDedupInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
		calls := 0
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (webpubsub.Message, error) {
			calls++
			time.Sleep(10 * time.Second)
			return webpubsub.Text(fmt.Sprint("call ", calls)), nil
		})
		event := func() string {
			res := handlertest.Do(h, handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), nil))
			return fmt.Sprint(res.Status, " ", res.Message())
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if got := event(); got != "200 call 1" {
					t.Error(got)
				}
			})
		}
		wg.Wait()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

// One that waits gives up with its own caller, and 503 makes the service try
// again; when the first delivery fails, the one that waits takes over.
func TestDedupWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
		calls := 0
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (webpubsub.Message, error) {
			calls++
			time.Sleep(10 * time.Second)
			if calls == 1 {
				return webpubsub.Message{}, errors.New("first")
			}
			return webpubsub.Text("second"), nil
		})
		var wg sync.WaitGroup
		send := func(ctx context.Context, want int) {
			wg.Go(func() {
				r := handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), nil).WithContext(ctx)
				wantStatus(t, handlertest.Do(h, r), want)
			})
			synctest.Wait()
		}
		send(t.Context(), 500)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		send(short, 503)
		send(t.Context(), 200)
		wg.Wait()
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}
