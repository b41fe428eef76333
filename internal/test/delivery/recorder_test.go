package delivery_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/delivery"
)

// The recorder detects each kind of violation.
func TestRecorder(t *testing.T) {
	join := func(r *delivery.Recorder, who string) {
		r.Joining(who, "g")
		r.Joined(who, "g")
	}
	send := func(r *delivery.Recorder, except ...string) *delivery.Message {
		m := r.Send("alice", "g", except...)
		r.Sent(m, nil)
		return m
	}
	for name, c := range map[string]struct {
		run  func(*delivery.Recorder)
		want string // "" for nothing
	}{
		"no violation": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Received("bob", "c", 1, "g", send(r).Text())
			r.Received("bob", "c", 2, "g", send(r).Text())
		}, ""},
		"lost": {func(r *delivery.Recorder) { join(r, "bob"); send(r) }, `bob never got "alice 1"`},
		"doubled": {func(r *delivery.Recorder) {
			join(r, "bob")
			m := send(r)
			r.Received("bob", "c", 1, "g", m.Text())
			r.Received("bob", "c", 2, "g", m.Text())
		}, `2 times`},
		"reordered": {func(r *delivery.Recorder) {
			join(r, "bob")
			a, b := send(r), send(r)
			r.Received("bob", "c", 1, "g", b.Text())
			r.Received("bob", "c", 2, "g", a.Text())
		}, `after number 2`},
		"a sequence id again": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Received("bob", "c", 5, "g", send(r).Text())
			r.Received("bob", "c", 5, "g", send(r).Text())
		}, `sequence id 5 after 5`},
		"a new connection counts anew": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Received("bob", "c", 5, "g", send(r).Text())
			r.Received("bob", "d", 1, "g", send(r).Text())
		}, ""},
		"to the excluded": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Received("bob", "c", 1, "g", send(r, "bob").Text())
		}, `excluded`},
		"the excluded get nothing": {func(r *delivery.Recorder) { join(r, "bob"); send(r, "bob") }, ""},
		"after a leave": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Leaving("bob", "g")
			r.Left("bob", "g")
			r.Received("bob", "c", 1, "g", send(r).Text())
		}, `not in group`},
		"while leaving, either way": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Leaving("bob", "g")
			r.Received("bob", "c", 1, "g", send(r).Text())
			send(r)
			r.Left("bob", "g")
		}, ""},
		"while joining, either way": {func(r *delivery.Recorder) {
			r.Joining("bob", "g")
			r.Received("bob", "c", 1, "g", send(r).Text())
			send(r)
			r.Joined("bob", "g")
		}, ""},
		"under way when it stops, either way": {func(r *delivery.Recorder) {
			join(r, "bob")
			a := send(r)
			send(r)
			r.Received("bob", "c", 1, "g", a.Text())
			r.Stopping("bob")
			send(r)
			r.Stopped("bob")
		}, ""},
		"lost before it stops": {func(r *delivery.Recorder) {
			join(r, "bob")
			send(r)
			r.Received("bob", "c", 1, "g", send(r).Text())
			r.Stopping("bob")
			r.Stopped("bob")
		}, `bob never got "alice 1"`},
		"after it has stopped": {func(r *delivery.Recorder) {
			join(r, "bob")
			r.Stopping("bob")
			r.Stopped("bob")
			r.Received("bob", "c", 1, "g", send(r).Text())
		}, `not in group`},
		"given up, either way": {func(r *delivery.Recorder) {
			join(r, "bob")
			m := r.Send("alice", "g")
			r.Sent(m, errors.New("given up"))
			m = r.Send("alice", "g")
			r.Sent(m, errors.New("given up"))
			r.Received("bob", "c", 1, "g", m.Text())
		}, ""},
		"unknown":       {func(r *delivery.Recorder) { join(r, "bob"); r.Received("bob", "c", 1, "g", "mallory 1") }, `was not sent`},
		"another group": {func(r *delivery.Recorder) { join(r, "bob"); r.Received("bob", "c", 1, "h", send(r).Text()) }, `was not sent`},
	} {
		t.Run(name, func(t *testing.T) {
			r := delivery.NewRecorder()
			c.run(r)
			got := r.Check()
			if c.want == "" {
				if len(got) > 0 {
					t.Errorf("complains: %q", got)
				}
				return
			}
			if len(got) == 0 || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want one with %q", got, c.want)
			}
		})
	}
}
