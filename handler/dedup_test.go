package handler_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// counting returns a handler whose callback replies with the number of its call
// and fails while fails is positive.
func counting(t testing.TB, d *handler.DedupOptions, fails *int) *handler.Handler {
	h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = d })
	var mu sync.Mutex
	calls := 0
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if fails != nil && *fails > 0 {
			*fails--
			return nil, errors.New("not yet")
		}
		return &handler.EventResponse{Message: webpubsub.Text(fmt.Sprint(calls)).WithMetadata("k", "v"), State: map[string]any{"n": calls}}, nil
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
		{"a", "1", none, "200 1 v 1"}, // retry: the whole response again
		{"a", "2", none, "200 2 v 2"},
		{"b", "1", none, "200 3 v 3"}, // ids count per connection
		{"a", "1", none, "200 1 v 1"},
		// The event IDs of an MQTT client ID start over with each connection.
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p1"}, "200 4 v 4"},
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p2"}, "200 5 v 5"},
		{"m", "1", handlertest.Options{PhysicalConnectionID: "p1"}, "200 4 v 4"},
	} {
		if got := deliver(h, tt.conn, tt.id, tt.o); got != tt.want {
			t.Errorf("%s/%s: %s, want %s", tt.conn, tt.id, got, tt.want)
		}
	}
}

// A host or a proxy adds headers to each request, such as the invocation
// id of the Azure Functions host. They do not make a retry another event.
func TestDedupThroughHosts(t *testing.T) {
	h := counting(t, &handler.DedupOptions{}, nil)
	try := func(n string) string {
		return deliver(h, "a", "1", handlertest.Options{UserID: "alice", Header: http.Header{
			"X-Azure-Functions-Invocationid": {"invocation" + n},
			"X-Ms-Invocation-Id":             {"invocation" + n},
			"X-Azure-Functions-Hostversion":  {"4.1037." + n},
			"X-Forwarded-For":                {"10.0.0." + n},
			"X-Forwarded-Host":               {"app" + n + ".example"},
			"User-Agent":                     {"Azure-Functions-Host/" + n},
			"Traceparent":                    {"00-" + n},
			"Authorization":                  {"token " + n},
			"Ce-Time":                        {"2026-01-02T03:04:0" + n + "Z"},
		}})
	}
	for _, n := range []string{"1", "2", "3"} {
		if got := try(n); got != "200 1 v 1" {
			t.Errorf("try %s: %s", n, got)
		}
	}
}

// ce-signature covers the connection id only. With one that was captured, the
// ids of a client's next events could be used in advance: the client's own
// events with these IDs were then treated as retries, and lost.
func TestDedupIsNotPoisoned(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
	var seen []string
	h.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		seen = append(seen, e.Message.String())
		return &handler.EventResponse{Message: webpubsub.Text("reply to " + e.Message.String())}, nil
	})
	// The client's events as the service sends them; the attacker knows the
	// signature, and in each case all of the event but one thing.
	genuine := func(id string) *http.Request {
		return handlertest.UserEvent("chat", "victim", "message", webpubsub.Text("pay bob").WithMetadata("nonce", "7"), &handlertest.Options{
			ID: id, UserID: "alice", State: map[string]any{"room": 1},
		})
	}
	state := base64.StdEncoding.EncodeToString([]byte(`{"room":2}`))
	forgeries := map[string]func(*http.Request){
		"body":         func(r *http.Request) { withBody(r, "pay eve") },
		"user":         func(r *http.Request) { r.Header.Set("ce-userId", "mallory") },
		"no user":      func(r *http.Request) { r.Header.Del("ce-userId") },
		"state":        func(r *http.Request) { r.Header.Set("ce-connectionState", state) },
		"content type": func(r *http.Request) { r.Header.Set("Content-Type", "application/octet-stream") },
		"metadata":     func(r *http.Request) { r.Header.Set("X-WebPubSub-Metadata-nonce", "8") },
		"no metadata":  func(r *http.Request) { r.Header.Del("X-WebPubSub-Metadata-nonce") },
		"MQTT":         func(r *http.Request) { r.Header.Set("mqtt-nonce", "7") },
	}
	id := 0
	for what, forge := range forgeries {
		id++
		r := genuine(fmt.Sprint(id))
		forge(r)
		wantStatus(t, handlertest.Do(h, r), 200)
		before := len(seen)
		for range 2 { // and a retry
			if res := handlertest.Do(h, genuine(fmt.Sprint(id))); res.Message().String() != "reply to pay bob" {
				t.Errorf("forged %s: the response to the genuine event is %q", what, res.Body)
			}
		}
		if len(seen) != before+1 || seen[before] != "pay bob" {
			t.Errorf("forged %s: the callback got %q", what, seen[before:])
		}
	}
}

// 2,500 events with a ce-id of 400 kB took 1.7 GB where 16 MiB were the bound:
// what identifies an event was not counted.
func TestDedupMemory(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) {
		quiet(o)
		o.Dedup = &handler.DedupOptions{MaxBytes: 1 << 20}
	})
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return reply(webpubsub.Text(e.UserID[:1])), nil // a part of something long
	})
	long := strings.Repeat("x", 100_000)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 1000 {
		user := fmt.Sprint(i, long)
		conn := fmt.Sprint(i, long[:1000])
		res := handlertest.Do(h, handlertest.UserEvent("chat", conn, "message", webpubsub.Text(user), &handlertest.Options{UserID: user}))
		wantStatus(t, res, 200)
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("%d bytes are kept", after-before)
	}
	runtime.KeepAlive(h)

	res := handlertest.Do(h, handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), &handlertest.Options{ID: strings.Repeat("1", 129), UserID: "u"}))
	wantStatus(t, res, 400)
	res = handlertest.Do(h, handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), &handlertest.Options{ID: strings.Repeat("1", 128), UserID: "u"}))
	wantStatus(t, res, 200)
}

// A callback may use the buffer of its reply again.
func TestDedupKeepsACopy(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
	buffer := []byte("first")
	h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Binary(buffer)}, nil
	})
	event := func() string {
		return string(handlertest.Do(h, handlertest.UserEvent("chat", "a", "message", webpubsub.Text("x"), nil)).Body)
	}
	event()
	copy(buffer, "other")
	if got := event(); got != "first" {
		t.Errorf("replayed %q", got)
	}
}

// Without the option, the callback is called for every delivery.
func TestNoDedup(t *testing.T) {
	h := counting(t, nil, nil)
	deliver(h, "a", "1", handlertest.Options{})
	if got := deliver(h, "a", "1", handlertest.Options{}); got != "200 2 v 2" {
		t.Error(got)
	}
}

// An event without an ID is not deduplicated.
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

// The service retries after a failure, so a failure must not be cached.
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

// Responses were forgotten only when the next event came, which after a burst
// may be never.
func TestDedupExpiresWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(t, func(o *handler.Options) {
			o.Dedup = &handler.DedupOptions{TTL: time.Minute}
		})
		const size = 1 << 20
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: webpubsub.Binary(make([]byte, size))}, nil
		})
		heap := func() int {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before := heap()
		for i := range 8 {
			deliver(h, "a", fmt.Sprint(i), handlertest.Options{})
			time.Sleep(time.Second)
		}
		if kept := heap() - before; kept < 7*size {
			t.Errorf("%d bytes are kept before the end", kept)
		}
		time.Sleep(time.Minute - 5*time.Second) // four have expired
		synctest.Wait()
		if kept := heap() - before; kept > 5*size || kept < 3*size {
			t.Errorf("%d bytes are kept when half have expired", kept)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if kept := heap() - before; kept > size {
			t.Errorf("%d bytes are kept after the end", kept)
		}
		runtime.KeepAlive(h)
	})
}

func TestDedupBounds(t *testing.T) {
	for name, o := range map[string]*handler.DedupOptions{
		"replies": {MaxEntries: 2},
		"bytes":   {MaxBytes: 2 * 400},
	} {
		t.Run(name, func(t *testing.T) {
			h := counting(t, o, nil)
			for i := range 3 {
				deliver(h, "a", fmt.Sprint(i), handlertest.Options{})
			}
			if got := deliver(h, "a", "2", handlertest.Options{}); got != "200 3 v 3" {
				t.Errorf("the newest was removed: %s", got)
			}
			if got := deliver(h, "a", "0", handlertest.Options{}); got != "200 4 v 4" {
				t.Errorf("the oldest was kept: %s", got)
			}
		})
	}
	// A response above the limit is sent and not cached, and does not displace
	// others.
	big, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{MaxBytes: 1000} })
	calls := 0
	big.OnEvent("*", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		calls++
		return &handler.EventResponse{Message: webpubsub.Binary(make([]byte, map[string]int{"1": 1, "2": 2000}[e.ID]))}, nil
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

// The service can retry an event while the first delivery is still being handled:
// the callback is called once, and both receive its response.
func TestDedupInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
		calls := 0
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			calls++
			time.Sleep(10 * time.Second)
			return &handler.EventResponse{Message: webpubsub.Text(fmt.Sprint("call ", calls))}, nil
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

// A retry that waits ends with its own request, with 503, so that the service
// retries. If the first delivery fails, the waiting retry calls the callback.
func TestDedupWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHandler(t, func(o *handler.Options) { o.Dedup = &handler.DedupOptions{} })
		calls := 0
		h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			calls++
			time.Sleep(10 * time.Second)
			if calls == 1 {
				return nil, errors.New("first")
			}
			return &handler.EventResponse{Message: webpubsub.Text("second")}, nil
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
		// What was not handled is logged, as every other rejection is.
		if !strings.Contains(log.String(), "status=503 reason=\"the first delivery of the event is still being handled\"") {
			t.Errorf("log: %s", log)
		}
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
	})
}
