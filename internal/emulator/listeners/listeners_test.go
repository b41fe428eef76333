package listeners_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/upstream"
)

// receiver is a URL in the same process.
type receiver struct {
	mu    sync.Mutex
	got   []string // ce-source's last part and ce-id
	serve func(r *http.Request, body string) (status int, err error)
}

func (w *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, err := w.serve(r, string(body))
	if err != nil {
		return nil, err
	}
	if status/100 == 2 {
		w.mu.Lock()
		w.got = append(w.got, r.Header.Get("ce-connectionid")+"/"+r.Header.Get("ce-id"))
		w.mu.Unlock()
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("answer"))}, nil
}

const receiverURL = "http://receiver.test/events?code=secret"

func webListener() []listeners.Listener {
	return []listeners.Listener{{UserEvents: "*", SystemEvents: []string{"Connected", "disconnected"}, Endpoint: listeners.Endpoint{URL: receiverURL}}}
}

func newWebRig(t *testing.T, serve func(*http.Request, string) (int, error)) (*rig, *receiver) {
	w := &receiver{serve: serve}
	return newRig(t, func(s *listeners.Set) { s.Transport = w }), w
}

func TestMatches(t *testing.T) {
	l := listeners.Listener{UserEvents: "say, join", SystemEvents: []string{"connected"}}
	for kind, want := range map[upstream.Kind]bool{
		upstream.Connect: false, upstream.Connected: true, upstream.Disconnected: false, upstream.GroupJoined: false, upstream.GroupLeft: false,
	} {
		if l.Matches(upstream.Event{Kind: kind}) != want {
			t.Errorf("%v: %v", kind, !want)
		}
	}
	for name, want := range map[string]bool{"say": true, "JOIN": true, "other": false} {
		if l.Matches(upstream.Event{Kind: upstream.User, Name: name}) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestValidate(t *testing.T) {
	const emulatorString = "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=secret;UseDevelopmentEmulator=true"
	for _, tt := range []struct {
		want string
		l    listeners.Listener
	}{
		{"", listeners.Listener{Endpoint: listeners.Endpoint{File: "-"}}},
		{"", listeners.Listener{UserEvents: "*", SystemEvents: []string{"connected", "Disconnected"}, Endpoint: listeners.Endpoint{URL: "https://x/?code=secret"}}},
		{"", listeners.Listener{Endpoint: listeners.Endpoint{Namespace: "a.servicebus.windows.net", EventHub: "e"}}},
		{"", listeners.Listener{Endpoint: listeners.Endpoint{ConnectionString: emulatorString, EventHub: "e"}}},
		{"", listeners.Listener{Endpoint: listeners.Endpoint{ConnectionString: emulatorString + ";EntityPath=e", EventHub: "e"}}},
		{"has one endpoint", listeners.Listener{UserEvents: "*"}},
		{"has one endpoint", listeners.Listener{Endpoint: listeners.Endpoint{File: "-", URL: "http://x"}}},
		{"is not for event listeners", listeners.Listener{SystemEvents: []string{"connect"}, Endpoint: listeners.Endpoint{File: "-"}}},
		{`"joined" is not for event listeners`, listeners.Listener{SystemEvents: []string{"joined"}, Endpoint: listeners.Endpoint{File: "-"}}},
		{"selects all events", listeners.Listener{UserEvents: "room.*", Endpoint: listeners.Endpoint{File: "-"}}},
		{"must begin with http", listeners.Listener{Endpoint: listeners.Endpoint{URL: "x?code=secret"}}},
		{"cannot be parsed", listeners.Listener{Endpoint: listeners.Endpoint{URL: "http://[x?code=secret"}}},
		{"user name", listeners.Listener{Endpoint: listeners.Endpoint{URL: "http://a:secret@x"}}},
		{"name of the event hub is missing", listeners.Listener{Endpoint: listeners.Endpoint{Namespace: "a.servicebus.windows.net"}}},
		{"is not the host name", listeners.Listener{Endpoint: listeners.Endpoint{Namespace: "https://a", EventHub: "e"}}},
		{"is not the host name", listeners.Listener{Endpoint: listeners.Endpoint{EventHub: "e"}}},
		{"not both", listeners.Listener{Endpoint: listeners.Endpoint{Namespace: "a", ConnectionString: emulatorString, EventHub: "e"}}},
		{"the connection string of", listeners.Listener{Endpoint: listeners.Endpoint{ConnectionString: "SharedAccessKey=secret", EventHub: "e"}}},
		{`for the event hub "f"`, listeners.Listener{Endpoint: listeners.Endpoint{ConnectionString: emulatorString + ";EntityPath=f", EventHub: "e"}}},
	} {
		err := tt.l.Validate()
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%+v: %v, want %q", tt.l, err, tt.want)
		}
		if s := tt.l.String() + tt.l.RedactedConnectionString(); strings.Contains(s, "secret") {
			t.Errorf("shown as %s", s)
		}
	}
}

// A URL gets CloudEvents in binary mode.
func TestURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got *http.Request
		r, _ := newWebRig(t, func(req *http.Request, body string) (int, error) {
			if got = req; body != "hello" {
				t.Errorf("body %q", body)
			}
			return 204, nil
		})
		r.Send(webListener(), user("c1", 3, "hello"))
		r.idle(t)
		for name, want := range map[string]string{
			"ce-type": "azure.webpubsub.user.say", "ce-userid": "alice", "ce-specversion": "1.0", "content-type": "text/plain",
			"x-webpubsub-metadata-trace": "1", "ce-id": "3",
		} {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%s: %q, want %q", name, v, want)
			}
		}
		if got.Method != http.MethodPost || got.URL.String() != receiverURL {
			t.Errorf("%s %s", got.Method, got.URL)
		}
	})
}

// The events of each connection arrive in order, although some attempts fail, and
// connections do not wait for each other.
func TestOrderAndRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		attempts := make(map[string]int)
		r, w := newWebRig(t, func(req *http.Request, _ string) (int, error) {
			id := req.Header.Get("ce-connectionid") + "/" + req.Header.Get("ce-id")
			mu.Lock()
			attempts[id]++
			n := attempts[id]
			mu.Unlock()
			switch {
			case id == "a/1" && n == 1:
				return 0, errors.New("connection refused")
			case id == "a/1" && n == 2, id == "b/0" && n == 1:
				return 503, nil
			case id == "a/2" && n == 1:
				return 429, nil
			}
			return 200, nil
		})
		for id := range 4 {
			for _, c := range []string{"a", "b", "c"} {
				r.Send(webListener(), user(c, uint64(id), "x"))
			}
		}
		r.idle(t)
		for _, c := range []string{"a", "b", "c"} {
			own := slices.DeleteFunc(slices.Clone(w.got), func(s string) bool { return s[:1] != c })
			if want := []string{c + "/0", c + "/1", c + "/2", c + "/3"}; !slices.Equal(own, want) {
				t.Errorf("%q arrived, want %q", own, want)
			}
		}
		if attempts["a/1"] != 3 || attempts["a/2"] != 2 || attempts["b/0"] != 2 || attempts["c/0"] != 1 {
			t.Errorf("attempts %v", attempts)
		}
		if s := r.State(webListener()[0].Endpoint); s != (listeners.State{Sent: 12}) {
			t.Errorf("state %+v", s)
		}
	})
}

// An endpoint that fails for good costs its events, after a budget; one that rejects
// an event costs that event at once. Both are recorded, without the query of the URL.
func TestDrops(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		longest time.Duration
		entries int
		want    string
	}{
		"unavailable": {503, time.Minute + 10*time.Second, 1, "http://receiver.test/events: 3 events are dropped, the first is c1/0: the response was 503"},
		"rejected":    {400, 0, 3, "http://receiver.test/events: 1 events are dropped, the first is c1/0: the response was 400: the event is not sent again"},
		"redirect":    {307, 0, 3, "the response was 307"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, w := newWebRig(t, func(*http.Request, string) (int, error) { return tt.status, nil })
				began := time.Now()
				for id := range 3 {
					r.Send(webListener(), user("c1", uint64(id), "x"))
				}
				r.idle(t)
				if took := time.Since(began); took > tt.longest || (took == 0) != (tt.longest == 0) {
					t.Errorf("it took %v", took)
				}
				entries := r.entries()
				if len(w.got) != 0 || len(entries) != tt.entries || !strings.Contains(entries[0], tt.want) {
					t.Errorf("%q arrived, entries %q", w.got, entries)
				}
				if s := r.State(webListener()[0].Endpoint); s.Dropped != 3 || s.Sent != 0 || !strings.Contains(s.LastError, fmt.Sprint(tt.status)) {
					t.Errorf("state %+v", s)
				}
			})
		})
	}
}

// The queue is bounded: what finds no room is dropped and counted, with one entry at
// its beginning and one at its end.
func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newWebRig(t, func(*http.Request, string) (int, error) {
			time.Sleep(time.Millisecond)
			return 200, nil
		})
		const events = 10_000 + 700
		for id := range events {
			r.Send(webListener(), user("c1", uint64(id), "x"))
		}
		r.idle(t)
		s := r.State(webListener()[0].Endpoint)
		if s.Sent+s.Dropped != events || s.Dropped < 200 || len(w.got) != int(s.Sent) {
			t.Errorf("state %+v, %d arrived", s, len(w.got))
		}
		entries := r.entries()
		if len(entries) != 2 || !strings.Contains(entries[0], "the queue is full") || !strings.Contains(entries[1], fmt.Sprint(s.Dropped, " events were dropped")) {
			t.Errorf("entries %q", entries)
		}
		if !r.Send(webListener(), user("c1", events, "x")) {
			t.Error("the listener no longer matches")
		}
		r.idle(t)
		if last := w.got[len(w.got)-1]; last != fmt.Sprint("c1/", events) {
			t.Errorf("the last one is %s", last)
		}
	})
}

// Closing ends what is sent, without waiting for retries.
func TestCloseDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newWebRig(t, func(*http.Request, string) (int, error) { return 503, nil })
		r.Send(webListener(), user("c1", 0, "x"))
		synctest.Wait()
		r.shut()
		if e := r.entries(); len(e) != 1 || !strings.Contains(e[0], "the emulator is closing") {
			t.Errorf("entries %q", e)
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	var stdout bytes.Buffer
	r := newRig(t, func(s *listeners.Set) { s.Stdout = &stdout })
	all := []listeners.Listener{
		{UserEvents: "*", Endpoint: listeners.Endpoint{File: path}},
		{UserEvents: "*", Endpoint: listeners.Endpoint{File: "-"}},
	}
	r.Send(all, user("c1", 0, "<hello>\n"))
	r.Send(all, user("c2", 0, "\xff\x00"))
	r.Send(all, user("c1", 1, ""))
	r.idle(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if stdout.String() != string(text) {
		t.Errorf("printed\n%s\nand wrote\n%s", &stdout, text)
	}
	type line struct {
		MessageID, PartitionKey, ContentType string

		Properties map[string]string `json:"applicationProperties"`
		Body       *string
		BodyBase64 []byte
	}
	var lines []line
	for l := range bytes.Lines(text) {
		var v line
		if err := json.Unmarshal(l, &v); err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		lines = append(lines, v)
	}
	if len(lines) != 3 || *lines[0].Body != "<hello>\n" || lines[0].MessageID != "c1/0" || lines[0].PartitionKey != "c1" || lines[0].ContentType != "text/plain" ||
		lines[0].Properties["cloudEvents:eventname"] != "say" || lines[1].Body != nil || string(lines[1].BodyBase64) != "\xff\x00" || *lines[2].Body != "" {
		t.Errorf("wrote\n%s", text)
	}
}
