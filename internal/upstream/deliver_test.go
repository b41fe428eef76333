package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/upstream"
)

func TestDeliverReturnsTheAnswer(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Add("ce-connectionState", "first")
		w.Header().Add("ce-connectionState", "last")
		w.Header().Add("X-WebPubSub-Metadata-Trace", "a")
		w.Header().Add("X-WebPubSub-Metadata-Trace", "b, c , d ")
		w.Write(append([]byte("echo "), body...))
	})
	d, _ := start(t, upstream.Options{})
	res, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello())
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != 200 || string(res.Body) != "echo hello" || res.ContentType != "text/plain" {
		t.Errorf("answer = %d %q %q", res.Status, res.ContentType, res.Body)
	}
	if res.State == nil || *res.State != "last" {
		t.Errorf("State = %v, want the last of several", res.State)
	}
	if len(res.Metadata) != 1 || res.Metadata["trace"] != "d" {
		t.Errorf("Metadata = %v, want the last value under a lower-case key", res.Metadata)
	}
	if m, err := res.Message(); err != nil || m.Type != webpubsub.DataTypeText || m.String() != "echo hello" {
		t.Errorf("Message() = %v, %v", m, err)
	}
}

func TestStateAbsentAndEmpty(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("ce-eventName") == "clear" {
			w.Header()["ce-connectionState"] = []string{""}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	d, _ := start(t, upstream.Options{})
	res, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello())
	if err != nil || res.State != nil {
		t.Errorf("without the header: State = %v, %v, want nil: unchanged", res.State, err)
	}
	e := hello()
	e.Name = "clear"
	res, err = d.Deliver(t.Context(), []upstream.Handler{h}, e)
	if err != nil || res.State == nil || *res.State != "" {
		t.Errorf("with an empty header: State = %v, %v, want an empty state", res.State, err)
	}
}

func TestFirstHandlerThatWantsTheEventGetsIt(t *testing.T) {
	named := func(name string) upstream.Handler {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
	}
	system, echo, all := named("system"), named("echo"), named("all")
	system.UserEvents = ""
	echo.UserEvents, echo.SystemEvents = "echo", nil
	handlers := []upstream.Handler{system, echo, all}
	d, _ := start(t, upstream.Options{})
	for _, tt := range []struct {
		e    upstream.Event
		want string
	}{
		{upstream.Event{Kind: upstream.Connect}, "system"},
		{upstream.Event{Kind: upstream.User, Name: "Echo"}, "echo"},
		{upstream.Event{Kind: upstream.User, Name: "message"}, "all"},
	} {
		tt.e.Hub, tt.e.ConnectionID = "chat", "c"
		res, err := d.Deliver(t.Context(), handlers, tt.e)
		if err != nil || string(res.Body) != tt.want {
			t.Errorf("%v %s went to %q, %v, want %s", tt.e.Kind, tt.e.Name, res.Body, err, tt.want)
		}
	}
	if _, err := d.Deliver(t.Context(), handlers, upstream.Event{Kind: upstream.GroupLeft}); !errors.Is(err, upstream.ErrNoHandler) {
		t.Errorf("unwanted event: %v, want ErrNoHandler", err)
	}
}

func TestRetries(t *testing.T) {
	s := time.Second
	for _, tt := range []struct {
		name     string
		statuses []int // of each attempt; the last one stays; 0 breaks the connection
		pauses   []time.Duration
		final    int // 0: no error; -1: no answer
	}{
		{"200", []int{200}, nil, 0},
		{"204", []int{204}, nil, 0},
		{"500 four times", []int{500}, []time.Duration{s, 3 * s, 5 * s}, 500},
		{"599", []int{599}, []time.Duration{s, 3 * s, 5 * s}, 599},
		{"503, then 200", []int{503, 200}, []time.Duration{s}, 0},
		{"408, 500, broken, then 200", []int{408, 500, 0, 200}, []time.Duration{s, 3 * s, 5 * s}, 0},
		{"broken four times", []int{0}, []time.Duration{s, 3 * s, 5 * s}, -1},
		{"500, then 401", []int{500, 401}, []time.Duration{s}, 401},
		{"429 is not tried again", []int{429, 200}, nil, 429},
		{"400", []int{400, 200}, nil, 400},
		{"404 has no GET fallback", []int{404, 200}, nil, 404},
		{"redirects are not followed", []int{307, 200}, nil, 307},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var ids, bodies []string
			h := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, string(body))
				ids = append(ids, r.Header.Get("ce-id")+" "+r.Header.Get("ce-time")+" "+r.Header.Get("x-ms-client-request-id"))
				status := tt.statuses[min(len(ids), len(tt.statuses))-1]
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("ce-connectionState", "new")
				w.WriteHeader(status)
			})
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			d, r := start(t, upstream.Options{Now: func() time.Time { now = now.Add(time.Millisecond); return now }})
			res, err := d.Deliver(t.Context(), []upstream.Handler{h}, hello())

			mu.Lock()
			defer mu.Unlock()
			var refused *upstream.StatusError
			switch {
			case tt.final == 0 && err != nil:
				t.Errorf("Deliver = %v, want no error", err)
			case tt.final == -1 && (err == nil || !strings.Contains(err.Error(), "check that the event handler is running")):
				t.Errorf("Deliver = %v, want a connection error with its remedy", err)
			case tt.final > 0 && (!errors.As(err, &refused) || refused.Status != tt.final || refused.Attempts != len(ids)):
				t.Errorf("Deliver = %v, want status %d after %d attempts", err, tt.final, len(ids))
			case tt.final > 0 && (res.Status != tt.final || res.State != nil):
				t.Errorf("Response = %d with State %v, want %d without State", res.Status, res.State, tt.final)
			}
			if !slices.Equal(r.pauses, tt.pauses) {
				t.Errorf("pauses = %v, want %v", r.pauses, tt.pauses)
			}
			if want := len(tt.pauses) + 1; len(ids) != want || len(slices.Compact(ids)) != 1 {
				t.Errorf("requests = %q, want %d equal ones", ids, want)
			}
			if len(slices.Compact(bodies)) != 1 || bodies[0] != "hello" {
				t.Errorf("bodies = %q, want all hello", bodies)
			}
			var retries []time.Duration
			for _, a := range r.attempts {
				if a.Method == http.MethodPost && a.Retry != 0 {
					retries = append(retries, a.Retry)
				}
			}
			if !slices.Equal(retries, tt.pauses) {
				t.Errorf("attempts announce the pauses %v, want %v", retries, tt.pauses)
			}
			last := r.attempts[len(r.attempts)-1]
			if last.Number != len(tt.pauses)+1 || last.Event != "azure.webpubsub.user.message" || last.Duration <= 0 || (last.Err != nil) != (tt.final == -1) {
				t.Errorf("last attempt = %+v", last)
			}
		})
	}
}

// A handler has 100 seconds for all attempts together, and a timeout is final.
func TestDeliveryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := 0
		d := upstream.New(upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodOptions {
				return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
			}
			if posts++; posts == 1 {
				time.Sleep(20 * time.Second)
				return answer(r, 503), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}})
		defer d.Close()
		begin := time.Now()
		_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, hello())
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no response within 1m40s") {
			t.Errorf("Deliver = %v, want a timeout that says 1m40s", err)
		}
		if took := time.Since(begin); took != 100*time.Second || posts != 2 {
			t.Errorf("%d attempts in %v, want 2 in 100s", posts, took)
		}
	})
}

// When the time runs out between two attempts, the last answer is what the
// caller needs to know.
func TestTimeoutBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := upstream.New(upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				time.Sleep(99500 * time.Millisecond)
			}
			return answer(r, 200+303*b2i(r.Method == http.MethodPost), "WebHook-Allowed-Origin", "*"), nil
		})}})
		defer d.Close()
		_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, hello())
		var refused *upstream.StatusError
		if !errors.As(err, &refused) || refused.Status != 503 || refused.Attempts != 1 {
			t.Errorf("Deliver = %v, want the one 503", err)
		}
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := upstream.New(upstream.Options{Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return answer(r, 500), nil
			}
			return answer(r, 200, "WebHook-Allowed-Origin", "*"), nil
		})}})
		defer d.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := d.Deliver(ctx, []upstream.Handler{{URL: "http://h/", UserEvents: "*"}}, hello())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Deliver = %v, want the caller's deadline", err)
		}
	})
}

func TestAnswerTooLargeOrBroken(t *testing.T) {
	const limit = 16 << 20
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch name := r.Header.Get("ce-eventName"); name {
		case "broken":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		default:
			n, _ := strconv.Atoi(strings.TrimPrefix(name, "size"))
			if r.Header.Get("ce-userId") == "refused" {
				w.WriteHeader(http.StatusForbidden)
			}
			w.Write(bytes.Repeat([]byte("x"), n))
		}
	})
	d, r := start(t, upstream.Options{})
	for _, tt := range []struct{ name, user, want string }{
		{"size" + strconv.Itoa(limit), "", ""},
		{"size" + strconv.Itoa(limit+1), "", "more than 16 MiB"},
		{"size" + strconv.Itoa(limit+1), "refused", "responded with 403"},
		{"broken", "", "reading the response body"},
	} {
		e := hello()
		e.Name, e.UserID = tt.name, tt.user
		_, err := d.Deliver(t.Context(), []upstream.Handler{h}, e)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: Deliver = %v, want %q", tt.name, tt.user, err, tt.want)
		}
	}
	if len(r.pauses) != 0 {
		t.Errorf("pauses = %v: an answer that has begun is final", r.pauses)
	}
}

// The query of a handler's URL holds a function key. It must reach the handler
// and nothing else.
func TestSecretsStayHidden(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	l.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("code") != "topsecret" {
			t.Errorf("%s came without the key", r.Method)
		}
		w.Header().Set("WebHook-Allowed-Origin", "*")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(refusing.Close)

	var log bytes.Buffer
	d, r := start(t, upstream.Options{
		Keys:   []string{testKey},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, base := range []string{dead, refusing.URL} {
		_, err := d.Deliver(t.Context(), []upstream.Handler{{URL: base + "/api/{event}?code=topsecret", UserEvents: "*"}}, hello())
		if err == nil || !strings.Contains(err.Error(), base+"/api/") {
			t.Errorf("Deliver = %v, want an error that names %s/api/…", err, base)
		} else {
			log.WriteString(err.Error() + "\n")
		}
	}
	for _, a := range r.attempts {
		log.WriteString(a.URL + "\n")
		if a.Err != nil {
			log.WriteString(a.Err.Error() + "\n")
		}
	}
	if !strings.Contains(log.String(), "retrying") {
		t.Errorf("log = %s, want the retries", &log)
	}
	for _, secret := range []string{"topsecret", "sha256=", testKey} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s shows up in\n%s", secret, &log)
		}
	}
}
