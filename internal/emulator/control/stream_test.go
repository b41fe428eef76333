package control_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
)

// events reads a stream of server-sent events.
type events struct {
	t     *testing.T
	lines *bufio.Scanner
	close func()
}

func (r *rig) stream(t *testing.T, query, last string) *events {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.srv.ControlURL()+"/journal"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %s", res.Status, res.Header.Get("Content-Type"))
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return &events{t, bufio.NewScanner(res.Body), func() { _ = res.Body.Close() }}
}

// next returns the next event: its name, its id and its data.
func (e *events) next() (name, id string, data object) {
	e.t.Helper()
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = decode(e.t, []byte(value))
		case "":
			if name != "" {
				return name, id, data
			}
		}
	}
	e.t.Fatalf("the stream ended: %v", e.lines.Err())
	return "", "", nil
}

func (e *events) expect(want string) (id string, data object) {
	e.t.Helper()
	name, id, data := e.next()
	got := name
	if name == "entry" {
		got += " " + data.text("id") + " " + data.text("kind")
	}
	if got != want {
		e.t.Fatalf("got %s %v, want %s", got, data, want)
	}
	return id, data
}

func TestStream(t *testing.T) {
	s := newSpec(t)
	r := start(t, emulator.Options{JournalSize: 4})
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	st := r.stream(t, "", "")
	_, data := st.expect("start")
	if data.text("newest") != "2" {
		t.Errorf("it starts with %v", data)
	}
	st.expect("entry 1 sent")
	id, data := st.expect("entry 2 control")
	b, _ := json.Marshal(data)
	s.validate(t, "#/components/schemas/Entry", b)

	// What comes later is sent, and what does not match is not.
	only := r.stream(t, "?kind=control&after=2", "")
	only.expect("start")
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	st.expect("entry 3 sent")
	st.expect("entry 4 control")
	only.expect("entry 4 control")
	st.close()

	// It continues where it was interrupted, and says what it has missed.
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	st = r.stream(t, "", id)
	st.expect("start")
	if _, data = st.expect("dropped"); data.text("first") != "3" || data.text("last") != "4" || data.text("count") != "2" {
		t.Errorf("dropped %v", data)
	}
	st.expect("entry 5 sent")
	st.close()

	// The id of another start is the beginning.
	st = r.stream(t, "", "other.8")
	st.expect("start")
	st.expect("entry 5 sent")
	for range 3 {
		st.next()
	}
	r.must("POST", "/reset", "")
	if _, data = st.expect("reset"); data.text("newest") != "8" || data.text("oldest") != "0" {
		t.Errorf("reset %v", data)
	}
	r.must("POST", "/hubs/chat/send", `{"data":"x"}`)
	st.expect("entry 9 sent")
	if status, _ := r.doWith("GET", "/journal", "", func(q *http.Request) {
		q.Header.Set("Accept", "text/event-stream, application/json;q=0.5")
		q.Header.Set("Last-Event-ID", "nonsense")
	}); status != 400 {
		t.Errorf("answered %d", status)
	}
}

// A stream is no work: idle is reached while somebody watches, and the emulator
// closes.
func TestStreamIsNoWork(t *testing.T) {
	r := start(t, emulator.Options{})
	st := r.stream(t, "", "")
	st.expect("start")
	if err := r.srv.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.idle()
	if err := r.srv.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the last event may have lines left
		if !st.lines.Scan() {
			return
		}
	}
	if st.lines.Scan() {
		t.Error("the stream goes on after the end")
	}
}
