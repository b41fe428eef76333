package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/apptest"
	"example.com/webpubsub/webapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a model that says what the test gives it, until the channel is closed.
type scripted struct {
	parts chan string
	ended chan error // why it ended: nil, or that of the context
	err   error      // with which it fails at the end
}

func newScripted() *scripted {
	return &scripted{parts: make(chan string), ended: make(chan error, 1)}
}

func (m *scripted) Answer(ctx context.Context, _ string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			select {
			case <-ctx.Done():
				m.ended <- ctx.Err()
				return
			case part, ok := <-m.parts:
				if ok && yield(part, nil) {
					continue
				}
				if m.err != nil {
					yield("", m.err)
				}
				m.ended <- nil
				return
			}
		}
	}
}

// message is any of those that users get.
type message struct {
	Type, ID, Question, Text, State, Error string
	N                                      int
}

// user applies what it receives, as the page does, and fails on a gap.
type user struct {
	*apptest.Client
	t    *testing.T
	seen snapshot
}

func (u *user) next() message {
	u.t.Helper()
	var m message
	u.ReceiveJSON(&m)
	switch {
	case m.Type == "answer":
		u.seen = snapshot{m.Type, m.ID, m.Question, m.Text, m.N, m.State, m.Error}
	case m.Type == "change" && m.N == u.seen.N && m.ID == u.seen.ID:
		u.seen.Text += m.Text
		u.seen.State, u.seen.Error = m.State, m.Error
		u.seen.N++
	case m.Type == "change" && u.seen.ID != "" && m.N > u.seen.N:
		u.t.Fatalf("got change %d of %s after %d changes of %s", m.N, m.ID, u.seen.N, u.seen.ID)
	}
	return m
}

// until receives until the answer is in this state and has this text.
func (u *user) until(state, text string) {
	u.t.Helper()
	for u.seen.State != state || u.seen.Text != text {
		if m := u.next(); u.seen.State == state && !strings.HasPrefix(text, u.seen.Text) {
			u.t.Fatalf("got %+v, then %+v, want %s with %q", m, u.seen, state, text)
		}
	}
}

func (u *user) ask(id, text string) {
	u.t.Helper()
	if err := u.Send("ask", question{id, text}); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) resume() message {
	u.t.Helper()
	if err := u.Send("resume", struct{}{}); err != nil {
		u.t.Fatal(err)
	}
	for {
		if m := u.next(); m.Type != "change" {
			return m
		}
	}
}

func start(t *testing.T, m Model, getenv func(string) string) *apptest.App {
	t.Helper()
	return apptest.Start(t, func(c webapp.Config) (*webapp.App, error) { return newWith(c, m) }, getenv)
}

func connect(t *testing.T, a *apptest.App, name string) *user {
	return &user{Client: a.Connect(name), t: t}
}

// An answer arrives piece by piece, at every connection of the user and no other.
func TestStream(t *testing.T) {
	m := newScripted()
	a := start(t, m, nil)
	desk, phone, bob := connect(t, a, "Bób"), connect(t, a, "Bób"), connect(t, a, "bob")
	desk.ask("q1", " why? ")
	m.parts <- "Because "
	for _, u := range []*user{desk, phone} {
		u.until(writing, "Because ")
	}
	m.parts <- "of "
	m.parts <- "<b>that</b>."
	close(m.parts)
	for _, u := range []*user{desk, phone} {
		u.until(done, "Because of <b>that</b>.")
		if u.seen.Question != "why?" || u.seen.ID != "q1" {
			t.Errorf("got %+v", u.seen)
		}
	}
	if got := bob.resume(); got.Type != "none" {
		t.Errorf("another user got %+v", got)
	}
}

// Stop ends the request to the model, and keeps what was written.
func TestStop(t *testing.T) {
	m := newScripted()
	a := start(t, m, nil)
	alice := connect(t, a, "alice")
	alice.ask("q1", "why?")
	m.parts <- "Because "
	alice.until(writing, "Because ")
	alice.ask("q2", "another one?")
	if got := alice.next(); got.Type != "none" || !strings.Contains(got.Error, "stop that first") {
		t.Errorf("a second question meanwhile got %+v", got)
	}
	if err := alice.Send("stop", struct{}{}); err != nil {
		t.Fatal(err)
	}
	alice.until(stopped, "Because ")
	if err := <-m.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the model ended with %v", err)
	}
	alice.ask("q3", "why?") // the next one can be asked
	close(m.parts)
	alice.until(done, "")
}

// A page that is reloaded, in the middle of an answer, gets it so far and the rest.
func TestReload(t *testing.T) {
	m := newScripted()
	a := start(t, m, nil)
	before := connect(t, a, "alice")
	before.ask("q1", "why?")
	m.parts <- "Because "
	before.until(writing, "Because ")
	if err := before.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.parts <- "of " // nobody receives it
	after := connect(t, a, "alice")
	for after.seen.Text != "Because of " {
		after.resume()
	}
	m.parts <- "that."
	close(m.parts)
	after.until(done, "Because of that.")
	if got := after.resume(); got.State != done || got.Text != "Because of that." {
		t.Errorf("after the end: %+v", got)
	}
}

// A connection that is interrupted is recovered, and nothing of the answer is lost.
func TestInterruption(t *testing.T) {
	m := newScripted()
	a := start(t, m, nil)
	alice := connect(t, a, "alice")
	alice.ask("q1", "why?")
	m.parts <- "Because "
	alice.until(writing, "Because ")
	if n := a.Emulator.InjectNow(emulator.Fault{Action: emulator.ResetConnection()}); n != 1 {
		t.Fatalf("%d connections are interrupted", n)
	}
	m.parts <- "of "
	m.parts <- "that."
	close(m.parts)
	alice.until(done, "Because of that.")
}

// A model that fails is logged. The user keeps what it had written, and does not see
// its error, which is for operators.
func TestFailure(t *testing.T) {
	m := newScripted()
	m.err = errors.New("out of memory in zone 3")
	a := start(t, m, nil)
	alice := connect(t, a, "alice")
	alice.ask("q1", "why?")
	m.parts <- "Because "
	close(m.parts)
	alice.until(failed, "Because ")
	if log := a.Log.String(); alice.seen.Error != "the model failed" || !strings.Contains(log, "out of memory in zone 3") {
		t.Errorf("got %+v, and the log is %s", alice.seen, log)
	}
}

// What is kept and what runs at the same time is bounded.
func TestBounds(t *testing.T) {
	s := &answers{byUser: make(map[string]*answer)}
	begin := func(user, state string) error {
		return s.begin(&answer{user: user, begun: time.Now(), snapshot: snapshot{State: state}})
	}
	for i := range 2 * maxUsers {
		if err := begin(fmt.Sprint("user", i), done); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.byUser) != maxUsers || s.byUser[fmt.Sprint("user", 2*maxUsers-1)] == nil {
		t.Errorf("%d answers are kept", len(s.byUser))
	}
	for i := range maxWriting {
		if err := begin(fmt.Sprint("user", i), writing); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin("one more", writing); err == nil || len(s.byUser) != maxUsers {
		t.Errorf("%d answers, and one more is written: %v", len(s.byUser), err)
	}
}

// An answer that does not end is ended.
func TestTooLong(t *testing.T) {
	m := newScripted()
	a := start(t, m, nil)
	alice := connect(t, a, "alice")
	alice.ask("q1", "why?")
	m.parts <- strings.Repeat("a", maxAnswer+1)
	alice.until(failed, strings.Repeat("a", maxAnswer+1))
	if err := <-m.ended; !errors.Is(err, context.Canceled) || alice.seen.Error != "the answer is too long" {
		t.Errorf("the model ended with %v, the answer with %q", err, alice.seen.Error)
	}
}

func TestRejectedQuestions(t *testing.T) {
	a := start(t, newScripted(), nil)
	alice := connect(t, a, "alice")
	for _, text := range []string{"", "  ", strings.Repeat("ä", maxQuestion+1)} {
		alice.ask("q1", text)
		if got := alice.next(); got.Type != "none" || !strings.Contains(got.Error, "1 to 2000 characters") {
			t.Errorf("%.10q: %+v", text, got)
		}
	}
	if err := alice.Send("ask", question{"", "why?"}); err == nil {
		t.Error("a question without an id is accepted")
	}
	if got := alice.resume(); got.Type != "none" {
		t.Errorf("got %+v", got)
	}
}

// On Lambda an answer is complete when the event is acknowledged.
func TestInRequest(t *testing.T) {
	m := newScripted()
	a := start(t, m, func(name string) string {
		return map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "events"}[name]
	})
	alice := connect(t, a, "alice")
	go func() {
		m.parts <- "Because."
		close(m.parts)
	}()
	alice.ask("q1", "why?")
	if len(m.ended) != 1 {
		t.Error("the event is acknowledged before the model has ended")
	}
	alice.until(done, "Because.")
}

// The fake model says the same every time, and ends when it is told to.
func TestFakeModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var texts [2]string
		for i := range texts {
			for part, err := range (fakeModel{time.Second}).Answer(t.Context(), "How are you?") {
				if err != nil {
					t.Fatal(err)
				}
				texts[i] += part
			}
		}
		if texts[0] != texts[1] || !strings.HasPrefix(texts[0], "You asked: “How are you?” The number of its words is 3") {
			t.Errorf("got %q and %q", texts[0], texts[1])
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for _, err := range (fakeModel{time.Second}).Answer(ctx, "?") {
			if n++; n == 3 {
				cancel()
			}
			if n == 4 && !errors.Is(err, context.Canceled) || n > 4 {
				t.Errorf("part %d after the end: %v", n, err)
			}
		}
	})
}

// paused is the fake model, which stops after a few words until it may go on.
type paused struct{ goOn chan struct{} }

func (m paused) Answer(ctx context.Context, question string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		n := 0
		for part, err := range (fakeModel{}).Answer(ctx, question) {
			if n++; n == 20 {
				select {
				case <-m.goOn:
				case <-ctx.Done():
				}
			}
			if !yield(part, err) {
				return
			}
		}
	}
}

func TestPage(t *testing.T) {
	m := paused{make(chan struct{})}
	goOn := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { m.goOn <- struct{}{} }))
	t.Cleanup(goOn.Close)
	start(t, m, nil).Browse("../testdata/browser/aistream.js", "GO_ON_URL="+goOn.URL)
}
