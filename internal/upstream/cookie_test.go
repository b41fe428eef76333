package upstream_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/upstream"
)

// visits is an event handler on every host. It sets the cookies that the test
// gives and returns those that it got.
type visits struct {
	d       *upstream.Dispatcher
	e       upstream.Event
	set     []string
	status  int
	cookies string // of the last request
}

func newVisits(t *testing.T) *visits {
	v := &visits{e: hello()}
	v.d = upstream.New(upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		res := answer(r, 200, "WebHook-Allowed-Origin", "*")
		if r.Method == http.MethodPost {
			v.cookies = r.Header.Get("Cookie")
			res.StatusCode = v.status
			res.Header["Set-Cookie"] = v.set
		}
		return res, nil
	})}})
	t.Cleanup(v.d.Close)
	return v
}

// post delivers the event, and returns the cookies of the request.
func (v *visits) post(url string, set ...string) string {
	v.set, v.status = set, cmp.Or(v.status, 200)
	res, err := v.d.Deliver(context.Background(), []upstream.Handler{{URL: url, UserEvents: "*"}}, v.e)
	if err == nil {
		v.e.Cookies = res.Cookies
	}
	return v.cookies
}

func TestCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisits(t)
		if got := v.post("https://h.example/events/x",
			"affinity=1; Path=/", "here=1", "deep=1; Path=/events/deep", "foreign=1; Domain=other.example", "below=1; Domain=h.example; Path=/",
			"secure=1; Secure; Path=/", "gone=1; Max-Age=0", "past=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
			"odd=1; Expires=tomorrow", "aged=1; Max-Age=60; Path=/", "big="+strings.Repeat("x", 4096),
		); got != "" {
			t.Errorf("the first request has the cookies %s", got)
		}
		for _, tt := range []struct{ url, want string }{
			{"https://h.example/events/y", "here=1; affinity=1; below=1; secure=1; aged=1"}, // the default path is /events
			{"http://h.example/events/y", "here=1; affinity=1; below=1; aged=1"},
			{"https://h.example/events/deep", "deep=1; here=1; affinity=1; below=1; secure=1; aged=1"},
			{"https://h.example/", "affinity=1; below=1; secure=1; aged=1"},
			{"https://h.example/eventsx", "affinity=1; below=1; secure=1; aged=1"},
			{"https://sub.h.example/events/y", "below=1"},
			{"https://other.example/events/y", ""},
			{"https://xh.example/", ""},
		} {
			if got := v.post(tt.url); got != tt.want {
				t.Errorf("cookies for %s: %s, want %s", tt.url, got, tt.want)
			}
		}
		v.post("https://h.example/", "affinity=2; Path=/", "below=; Domain=h.example; Max-Age=-1")
		if got := v.post("https://h.example/"); got != "affinity=2; secure=1; aged=1" {
			t.Errorf("after a change the cookies are %s", got)
		}
		time.Sleep(time.Minute)
		if got := v.post("https://h.example/"); got != "affinity=2; secure=1" {
			t.Errorf("a minute later the cookies are %s", got)
		}
	})
}

// Only a response that counts sets cookies.
func TestCookiesOfFailures(t *testing.T) {
	v := newVisits(t)
	v.status = 401
	v.post("http://h/", "a=1")
	v.status = 200
	if got := v.post("http://h/"); got != "" || v.e.Cookies != nil {
		t.Errorf("a response with 401 has set %s", got)
	}
}

// A handler that sets a new cookie with every response must not make the requests
// grow without bound: the newest 20 are kept.
func TestCookiesAreBounded(t *testing.T) {
	v := newVisits(t)
	for i := range 50 {
		v.post("http://h/"+strings.Repeat("p/", i%3), fmt.Sprintf("n%02d=1; Path=/", i), fmt.Sprintf("hidden%d=1; Path=/elsewhere/%d", i, i))
	}
	got := strings.Split(v.post("http://h/"), "; ")
	if len(got) != 10 || !slices.IsSorted(got) || got[9] != "n49=1" {
		t.Errorf("the cookies are %q, want the newest of them", got)
	}
}
