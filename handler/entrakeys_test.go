package handler_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// An unknown key ID makes the handler fetch the keys immediately: keys that were
// fetched right before a rotation once made it reject events for a minute. Forged
// IDs do not make it fetch more than once a minute.
func TestEntraRotation(t *testing.T) {
	testKeys() // outside of the bubble: making keys takes real time
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{kids: []string{"k1"}}
		h, _ := entraHandler(t, s)
		check := func(kid string, status, asked int) {
			t.Helper()
			wantStatus(t, handlertest.Do(h, bearerEvent(signed(t, kid, goodClaims()))), status)
			if got := s.asked(); got != asked {
				t.Errorf("asked %d times, want %d", got, asked)
			}
		}
		check("k1", 200, 1)
		check("k1", 200, 1)
		s.set(false, "k1", "k2")
		check("k2", 200, 2)
		for range 10 {
			check("other", 401, 2)
		}
		time.Sleep(time.Minute)
		for range 10 {
			check("other", 401, 3)
		}

		// A key that was withdrawn is forgotten within a day.
		s.set(false, "k2")
		check("k1", 200, 3)
		time.Sleep(24 * time.Hour)
		check("k1", 401, 5) // once for their age, once for the id
		check("k2", 200, 5)

		// An outage does not matter while the old keys fit. For an unknown one it
		// does: 503 makes the service try again.
		s.set(true)
		time.Sleep(24 * time.Hour)
		check("k2", 200, 6)
		check("other", 503, 7)
		check("other", 503, 7)
		s.set(false, "k2", "other")
		time.Sleep(time.Second)
		check("other", 200, 8)
	})
}

// While the keys cannot be fetched the answer is 503, which makes the service
// try again: a 401 would lose the event.
func TestEntraOutage(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{down: true}
		h, log := entraHandler(t, s)
		event := bearerEvent(signed(t, "k1", goodClaims()))
		for range 5 {
			wantStatus(t, handlertest.Do(h, event), 503)
		}
		if s.asked() != 1 {
			t.Errorf("asked %d times within a second", s.asked())
		}
		if !strings.Contains(log.String(), "cannot fetch the signing keys") || !strings.Contains(log.String(), "no route") {
			t.Errorf("log: %s", log)
		}
		s.set(false, "k1")
		time.Sleep(time.Second)
		wantStatus(t, handlertest.Do(h, event), 200)
	})
}

// A slow refresh of old keys does not delay events that the old keys verify: they
// once waited ten seconds, one after the other, while Entra did not respond.
func TestEntraSlowRefresh(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{kids: []string{"k1"}}
		h, _ := entraHandler(t, s)
		ask := func() *http.Request { return bearerEvent(signed(t, "k1", goodClaims())) }
		wantStatus(t, handlertest.Do(h, ask()), 200)
		time.Sleep(25 * time.Hour)

		s.hold = make(chan struct{})
		first := make(chan int, 1)
		slow := ask()
		go func() { first <- handlertest.Do(h, slow).Status }()
		synctest.Wait()
		start := time.Now()
		for range 3 {
			wantStatus(t, handlertest.Do(h, ask()), 200)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("three events took %v", d)
		}
		// The old keys are still good when the refresh has failed.
		if status := <-first; status != 200 {
			t.Errorf("the event that asked for new keys got %d", status)
		}
	})
}

// Others may wait for the same keys, so they are fetched although the event
// that asked for them was given up.
func TestEntraFetchOutlivesItsEvent(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{kids: []string{"k1"}, hold: make(chan struct{})}
		h, _ := entraHandler(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		event := func() *http.Request { return bearerEvent(signed(t, "k1", goodClaims())) }
		first := make(chan int, 1)
		r := event().WithContext(ctx)
		go func() { first <- handlertest.Do(h, r).Status }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(s.hold)
		if status := <-first; status != 200 {
			t.Errorf("status %d, want 200", status)
		}
		wantStatus(t, handlertest.Do(h, event()), 200)
		if s.asked() != 1 {
			t.Errorf("asked %d times", s.asked())
		}
	})
}

// Forged key IDs that wait while Entra does not respond share one fetch: each once
// waited for a fetch of its own, ten seconds long.
func TestEntraUnknownKeyIDsDuringOutage(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{kids: []string{"k1"}}
		h, _ := entraHandler(t, s)
		wantStatus(t, handlertest.Do(h, bearerEvent(signed(t, "k1", goodClaims()))), 200)
		s.hold = make(chan struct{})
		before := s.asked()
		for range 3 {
			wantStatus(t, handlertest.Do(h, bearerEvent(signed(t, "other", goodClaims()))), 503)
		}
		if n := s.asked() - before; n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// endless is a body of blanks that counts the bytes that are read.
type endless struct{ read *int }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	*e.read += len(p)
	return len(p), nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A key set of any size was read to its end: 4.1 GB in ten seconds.
func TestEntraKeySetIsBounded(t *testing.T) {
	read := 0
	o := entraOptions(nil)
	o.HTTPClient.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"keys":[`), endless{&read})
		return &http.Response{StatusCode: 200, Body: io.NopCloser(body), Request: r}, nil
	})
	h, log := newHandler(t, func(opts *handler.Options) {
		opts.ConnectionStrings, opts.AllowedOrigins, opts.Entra = nil, []string{"localhost"}, o
	})
	h.OnEvent("message", replyText("ok"))
	wantStatus(t, handlertest.Do(h, bearerEvent(signed(t, "k1", goodClaims()))), 503)
	if read > 2<<20 {
		t.Errorf("%d bytes were read", read)
	}
	if !strings.Contains(log.String(), "the key set exceeds 1048576 bytes") {
		t.Errorf("log: %s", log)
	}
}
