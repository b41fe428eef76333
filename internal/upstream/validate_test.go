package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/upstream"
)

func TestPreflightAnswers(t *testing.T) {
	type reply struct {
		status  int
		allowed []string // WebHook-Allowed-Origin lines
	}
	for _, tt := range []struct {
		name    string
		options reply
		get     reply
		want    string // part of the reason, "" for valid
		methods []string
	}{
		{"star", reply{200, []string{"*"}}, reply{}, "", []string{"OPTIONS"}},
		{"204", reply{204, []string{"*"}}, reply{}, "", []string{"OPTIONS"}},
		{"the origin, other case", reply{200, []string{"Emulator.Example.TEST"}}, reply{}, "", []string{"OPTIONS"}},
		{"blanks", reply{200, []string{" * "}}, reply{}, "", []string{"OPTIONS"}},
		{"one of several lines", reply{200, []string{"a.example", "emulator.example.test", "b.example"}}, reply{}, "", []string{"OPTIONS"}},
		// The JavaScript library keeps the port of its allowedEndpoints. Against the
		// cloud, that fails.
		{"the origin with a port", reply{200, []string{"emulator.example.test:8080"}}, reply{}, "omit the port", []string{"OPTIONS"}},
		{"another host with a port", reply{200, []string{"emulator.example.tes:8080"}}, reply{}, "add the service's host", []string{"OPTIONS"}},
		{"a list in one line", reply{200, []string{"other.example.test, emulator.example.test"}}, reply{}, "one header line for each origin", []string{"OPTIONS"}},
		{"another host", reply{200, []string{"other.example.test"}}, reply{}, "add the service's host", []string{"OPTIONS"}},
		{"the origin as prefix", reply{200, []string{"emulator.example.test.evil.org"}}, reply{}, "add the service's host", []string{"OPTIONS"}},
		{"empty", reply{200, []string{""}}, reply{}, "add the service's host", []string{"OPTIONS"}},
		{"no header", reply{200, nil}, reply{}, "WebHook-Allowed-Origin is missing from the 200 response to OPTIONS", []string{"OPTIONS"}},
		{"400", reply{400, []string{"*"}}, reply{}, "does not know this origin", []string{"OPTIONS"}},
		{"401", reply{401, []string{"*"}}, reply{}, "contains the function key", []string{"OPTIONS"}},
		{"403", reply{403, nil}, reply{}, "EasyAuth", []string{"OPTIONS"}},
		{"405 has no GET fallback", reply{405, nil}, reply{200, []string{"*"}}, "must respond to OPTIONS", []string{"OPTIONS"}},
		{"410", reply{410, nil}, reply{}, "only 2xx allows", []string{"OPTIONS"}},
		{"429 is not tried again", reply{429, nil}, reply{}, "responded with 429", []string{"OPTIONS"}},
		{"redirect", reply{301, []string{"*"}}, reply{}, "redirects are not followed", []string{"OPTIONS"}},
		{"500 four times", reply{500, []string{"*"}}, reply{}, "see its log", []string{"OPTIONS", "OPTIONS", "OPTIONS", "OPTIONS"}},
		{"404, GET allows", reply{404, nil}, reply{200, []string{"*"}}, "", []string{"OPTIONS", "GET"}},
		{"404, GET lacks the header", reply{404, nil}, reply{200, nil}, "missing from the 200 response to GET", []string{"OPTIONS", "GET"}},
		{"404 twice", reply{404, nil}, reply{404, nil}, "404 to OPTIONS and to GET", []string{"OPTIONS", "GET"}},
		{"404, GET 401", reply{404, nil}, reply{401, nil}, "responded with 401 to GET", []string{"OPTIONS", "GET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RequestURI() != "/chat/validate?code=key" {
					t.Errorf("%s %s, want /chat/validate?code=key", r.Method, r.URL)
				}
				for name := range r.Header {
					if name != "User-Agent" && name != "Webhook-Request-Origin" && name != "Ce-Awpsversion" {
						t.Errorf("the preflight has a header %s", name)
					}
				}
				answer := tt.options
				if r.Method == http.MethodGet {
					answer = tt.get
				}
				w.Header()["WebHook-Allowed-Origin"] = answer.allowed
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(answer.status)
			}))
			t.Cleanup(s.Close)
			d, r := start(t, upstream.Options{Origin: "emulator.example.test", Keys: []string{testKey}})
			err := d.Validate(t.Context(), upstream.Handler{URL: s.URL + "/{hub}/{event}?code=key"}, "chat")
			var invalid *upstream.ValidationError
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate = %v, want valid", err)
			case tt.want != "" && (!errors.As(err, &invalid) || !strings.Contains(invalid.Reason, tt.want)):
				t.Errorf("Validate = %v, want a ValidationError with %q", err, tt.want)
			case tt.want != "" && invalid.URL != s.URL+"/chat/validate":
				t.Errorf("URL = %s", invalid.URL)
			}
			if got := r.methods(); !slices.Equal(got, tt.methods) {
				t.Errorf("requests = %v, want %v", got, tt.methods)
			}
		})
	}
}

// An invalid handler must never see an event.
func TestNoEventBeforeValidation(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions {
			t.Errorf("the handler got a %s", r.Method)
		}
	}))
	t.Cleanup(s.Close)
	d, _ := start(t, upstream.Options{})
	_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: s.URL, UserEvents: "*"}}, hello())
	var invalid *upstream.ValidationError
	if !errors.As(err, &invalid) {
		t.Errorf("Deliver = %v, want a ValidationError", err)
	}
}

func TestUnreachableHandler(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	d, r := start(t, upstream.Options{})
	err := d.Validate(t.Context(), upstream.Handler{URL: s.URL}, "chat")
	var invalid *upstream.ValidationError
	if !errors.As(err, &invalid) || invalid.Err == nil || !strings.Contains(err.Error(), "check that the event handler is running") {
		t.Errorf("Validate = %v, want a ValidationError with the cause and the remedy", err)
	}
	if want := []time.Duration{time.Second, 3 * time.Second, 5 * time.Second}; !slices.Equal(r.pauses, want) {
		t.Errorf("pauses = %v, want %v", r.pauses, want)
	}
}

// preflights is a network that answers the preflight with one status and
// remembers when it was asked, under the virtual clock.
type preflights struct {
	mu     sync.Mutex
	begin  time.Time
	status int
	delay  time.Duration
	asked  []string // "method seconds"
}

func (p *preflights) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	status, delay := p.status, p.delay
	p.asked = append(p.asked, fmt.Sprint(r.Method, " ", time.Since(p.begin).Seconds()))
	p.mu.Unlock()
	if r.Method == http.MethodPost {
		return answer(r, 200), nil
	}
	select {
	case <-time.After(delay):
		return answer(r, status, "WebHook-Allowed-Origin", "*"), nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

func (p *preflights) set(status int, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.delay = status, delay
}

// take returns what was asked since the last call.
func (p *preflights) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.asked
	p.asked = nil
	return out
}

func virtual(t *testing.T, f func(t *testing.T, d *upstream.Dispatcher, p *preflights)) {
	synctest.Test(t, func(t *testing.T) {
		p := &preflights{begin: time.Now(), status: 200}
		d := upstream.New(upstream.Options{Client: &http.Client{Transport: p}})
		defer d.Close()
		f(t, d, p)
	})
}

func TestValidationIsSharedAndHoldsForAMinute(t *testing.T) {
	h := upstream.Handler{URL: "http://h/{hub}/{event}", UserEvents: "*", SystemEvents: []string{"connected"}}
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		p.set(200, 5*time.Second)
		var done sync.WaitGroup
		for range 10 {
			done.Go(func() {
				if err := d.Validate(t.Context(), h, "chat"); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if got := p.take(); !slices.Equal(got, []string{"OPTIONS 0"}) {
			t.Errorf("ten at once asked %v, want one OPTIONS", got)
		}

		// Another hub is another URL; another event is not.
		if err := d.Validate(t.Context(), h, "other"); err != nil {
			t.Error(err)
		}
		for _, e := range []upstream.Event{{Kind: upstream.User, Name: "a", Hub: "chat"}, {Kind: upstream.Connected, Hub: "chat"}} {
			if _, err := d.Deliver(t.Context(), []upstream.Handler{h}, e); err != nil {
				t.Error(err)
			}
		}
		if got := p.take(); !slices.Equal(got, []string{"OPTIONS 5", "POST 10", "POST 10"}) {
			t.Errorf("asked %v", got)
		}

		// At 64.999 s the answer of 5 s still holds. At 65 s the event goes ahead
		// while the handler is asked again.
		time.Sleep(54999 * time.Millisecond)
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Error(err)
		}
		if got := p.take(); got != nil {
			t.Errorf("within 60 s: asked %v", got)
		}
		time.Sleep(time.Millisecond)
		for range 3 {
			if err := d.Validate(t.Context(), h, "chat"); err != nil {
				t.Error(err)
			}
		}
		if now := time.Since(p.begin); now != 65*time.Second {
			t.Errorf("it is %v: the event waited for the background validation", now)
		}
		time.Sleep(6 * time.Second)
		if got := p.take(); !slices.Equal(got, []string{"OPTIONS 65"}) {
			t.Errorf("after 60 s: asked %v, want one OPTIONS", got)
		}
	})
}

func TestFailedFirstValidationIsNotKept(t *testing.T) {
	h := upstream.Handler{URL: "http://h/"}
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		p.set(403, 0)
		if err := d.Validate(t.Context(), h, "chat"); err == nil {
			t.Error("403 is valid")
		}
		p.set(200, 0) // the handler has been put right
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Errorf("Validate = %v, want the new answer", err)
		}
	})
}

func TestBackoffAfterALostValidation(t *testing.T) {
	h := upstream.Handler{URL: "http://h/"}
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Fatal(err)
		}
		p.set(403, 0)
		time.Sleep(60 * time.Second)
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Errorf("at 60 s: %v, want the last answer while the handler is asked", err)
		}
		synctest.Wait()
		p.take()
		// One event each half second: they fail, and only those that come after
		// the pause ask again.
		for time.Since(p.begin) < 300*time.Second {
			if err := d.Validate(t.Context(), h, "chat"); err == nil {
				t.Fatalf("at %v: valid", time.Since(p.begin))
			}
			time.Sleep(500 * time.Millisecond)
		}
		want := []string{"OPTIONS 61", "OPTIONS 63", "OPTIONS 67", "OPTIONS 75", "OPTIONS 91", "OPTIONS 123", "OPTIONS 183", "OPTIONS 243"}
		if got := p.take(); !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}

		// The event that finds the handler valid again goes through, and the next
		// loss starts at one second again.
		p.set(200, 0)
		time.Sleep(3 * time.Second)
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Errorf("after recovery: %v", err)
		}
		p.set(403, 0)
		time.Sleep(60 * time.Second)
		d.Validate(t.Context(), h, "chat")
		synctest.Wait()
		time.Sleep(time.Second)
		p.take()
		d.Validate(t.Context(), h, "chat")
		if got := p.take(); !slices.Equal(got, []string{"OPTIONS 364"}) {
			t.Errorf("after the second loss: asked %v, want one OPTIONS at 364", got)
		}
	})
}

func TestValidationTimeout(t *testing.T) {
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		p.set(200, time.Hour)
		err := d.Validate(t.Context(), upstream.Handler{URL: "http://h/"}, "chat")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response within 10s") {
			t.Errorf("Validate = %v, want a timeout that says 10s", err)
		}
		if got := p.take(); time.Since(p.begin) != 10*time.Second || len(got) != 1 {
			t.Errorf("asked %v in %v, want once in 10s", got, time.Since(p.begin))
		}
	})
}

// The event that starts a validation is not the only one that waits for it.
func TestOneWaiterGivesUp(t *testing.T) {
	h := upstream.Handler{URL: "http://h/"}
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		p.set(200, 5*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Validate(ctx, h, "chat"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient: %v, want its own deadline", err)
		}
		if err := d.Validate(t.Context(), h, "chat"); err != nil {
			t.Errorf("patient: %v", err)
		}
		if got := p.take(); len(got) != 1 {
			t.Errorf("asked %v, want once", got)
		}
	})
}

func TestClose(t *testing.T) {
	virtual(t, func(t *testing.T, d *upstream.Dispatcher, p *preflights) {
		p.set(200, time.Hour)
		var got atomic.Value
		var done sync.WaitGroup
		done.Go(func() {
			_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, hello())
			got.Store(err)
		})
		synctest.Wait()
		d.Close()
		done.Wait()
		if err, _ := got.Load().(error); !errors.Is(err, upstream.ErrClosed) {
			t.Errorf("waiting Deliver = %v, want ErrClosed", err)
		}
		if err := d.Validate(t.Context(), upstream.Handler{URL: "http://h/"}, "chat"); !errors.Is(err, upstream.ErrClosed) {
			t.Errorf("Validate after Close = %v, want ErrClosed", err)
		}
		if now := time.Since(p.begin); now != 0 {
			t.Errorf("Close took %v", now)
		}
	})
}
