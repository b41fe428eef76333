package journal_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"example.com/webpubsub/internal/emulator/journal"
)

// Details take no more memory than allowed: the oldest are removed first, what
// entries share is counted once, and all is free after a reset.
func TestDetailsAreBounded(t *testing.T) {
	const limit = 300 << 10
	j := journal.New(slog.New(slog.DiscardHandler), nil)
	j.Limit(20, limit)
	text := journal.NewPayload([]byte(strings.Repeat("x", 100<<10)), "")
	if len(text.Data) != journal.MaxPayload || !text.Truncated() {
		t.Fatalf("%d bytes are kept", len(text.Data))
	}
	for range 30 {
		by := j.Begin(journal.CauseREST)
		by.SetRequest(journal.Exchange{Method: "POST"})
		for range 2 {
			j.Add(journal.Entry{Kind: journal.Sent, Cause: by})
		}
		by.SetRequest(journal.Exchange{Method: "POST", Status: 200, RequestBody: &text})
		if s := j.Stats(); s.DetailBytes > limit {
			t.Fatalf("details take %d bytes", s.DetailBytes)
		}
	}
	s := j.Stats()
	if s.Entries != 20 || s.Dropped != 40 || s.Oldest != 41 || s.Newest != 60 || s.DetailsStripped == 0 {
		t.Errorf("got %+v", s)
	}
	states := make(map[journal.DetailState]int)
	for id := s.Oldest; id <= s.Newest; id++ {
		e, _, request, ok := j.Get(id)
		if !ok || e.Cause == nil || e.Cause.ID != (id+1)/2 {
			t.Fatalf("entry %d is %+v", id, e)
		}
		if kept := e.DetailState() == journal.DetailKept; kept != (request != nil) {
			t.Errorf("entry %d: the request is %v and the detail %s", id, request, e.DetailState())
		}
		states[e.DetailState()]++
	}
	// Four requests of 64 KiB fit into 300 KiB.
	if states[journal.DetailKept] != 8 || states[journal.DetailDropped] != 12 {
		t.Errorf("details are %v", states)
	}
	j.Reset()
	if s := j.Stats(); s.DetailBytes != 0 || s.Entries != 0 || s.Oldest != 0 || s.Newest != 60 {
		t.Errorf("after the reset: %+v", s)
	}
	if id := j.Add(journal.Entry{Kind: journal.Sent}); id != 61 {
		t.Errorf("the next entry is %d", id)
	}
	if e, newest := j.Since(0); len(e) != 1 || newest != 61 {
		t.Errorf("then there are %v", e)
	}
}

// Without memory for details no cause is recorded, and nil causes can be used.
func TestNoDetails(t *testing.T) {
	j := journal.New(slog.New(slog.DiscardHandler), nil)
	by := j.Begin(journal.CauseFrame)
	by.SetFrame(journal.Frame{})
	by.SetRequest(journal.Exchange{})
	j.Add(journal.Entry{Kind: journal.Sent, Cause: by})
	if e, _, _, _ := j.Get(1); by != nil || e.DetailState() != journal.DetailNone {
		t.Errorf("got %+v", e)
	}
}

func TestRedaction(t *testing.T) {
	for in, want := range map[string]string{
		"/client?hub=a&access_token=x&q=1": "/client?hub=a&access_token=[removed]&q=1",
		"/client?Access%5FToken=x":         "/client?Access%5FToken=[removed]",
		"/path":                            "/path",
		"/a?code":                          "/a?code=[removed]",
	} {
		if got := journal.RedactURL(in); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
	for in, want := range map[string]string{
		`{"query":{"access_token":["a\"b","c"],"x":["y"]},"headers":{"Cookie" : ["a"]}}`: `{"query":{"access_token":["[removed]"],"x":["y"]},"headers":{"Cookie" : ["[removed]"]}}`,
		`{"password":"p","n":1}`:           `{"password":"[removed]","n":1}`,
		`{"query":{"access_token":["cut o`: `{"query":{"access_token":["[removed]"]`,
		`{"Cookie":["a]b","c"],"n":1}`:     `{"Cookie":["[removed]"],"n":1}`,
		`{"token":"cut o`:                  `{"token":"[removed]"`,
	} {
		if got := string(journal.RedactJSON(journal.NewPayload([]byte(in), "")).Data); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}

// A payload survives JSON, whatever its bytes are.
func TestPayloadJSON(t *testing.T) {
	cut := strings.Repeat("é", journal.MaxPayload) // the limit is between two characters, and after "a" within one
	for _, data := range []string{"", "text", "\xff\x00", "\u2028<", cut, "a" + cut} {
		p := journal.NewPayload([]byte(data), "x/y")
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again journal.Payload
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if again.Bytes != len(data) || again.ContentType != "x/y" || !strings.HasPrefix(data, string(again.Data)) || len(p.Data)-len(again.Data) > 3 {
			t.Errorf("%.20q became %.20q", data, again.Data)
		}
	}
}
