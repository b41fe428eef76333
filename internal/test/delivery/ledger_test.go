package delivery_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/delivery"
)

// A ledger that finds nothing proves nothing, so each way to break a promise is
// played to it.
func TestLedgerFindsWhatIsBroken(t *testing.T) {
	join := func(l *delivery.Ledger, who string) {
		l.Joining(who, "g")
		l.Joined(who, "g")
	}
	send := func(l *delivery.Ledger, except ...string) *delivery.Message {
		m := l.Send("alice", "g", except...)
		l.Sent(m, nil)
		return m
	}
	for name, c := range map[string]struct {
		run  func(*delivery.Ledger)
		want string // "" for nothing
	}{
		"all is well": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Received("bob", "c", 1, "g", send(l).Text())
			l.Received("bob", "c", 2, "g", send(l).Text())
		}, ""},
		"lost": {func(l *delivery.Ledger) { join(l, "bob"); send(l) }, `bob never got "alice 1"`},
		"doubled": {func(l *delivery.Ledger) {
			join(l, "bob")
			m := send(l)
			l.Received("bob", "c", 1, "g", m.Text())
			l.Received("bob", "c", 2, "g", m.Text())
		}, `2 times`},
		"reordered": {func(l *delivery.Ledger) {
			join(l, "bob")
			a, b := send(l), send(l)
			l.Received("bob", "c", 1, "g", b.Text())
			l.Received("bob", "c", 2, "g", a.Text())
		}, `after number 2`},
		"a sequence id again": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Received("bob", "c", 5, "g", send(l).Text())
			l.Received("bob", "c", 5, "g", send(l).Text())
		}, `sequence id 5 after 5`},
		"a new connection counts anew": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Received("bob", "c", 5, "g", send(l).Text())
			l.Received("bob", "d", 1, "g", send(l).Text())
		}, ""},
		"to the excluded": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Received("bob", "c", 1, "g", send(l, "bob").Text())
		}, `excluded`},
		"the excluded get nothing": {func(l *delivery.Ledger) { join(l, "bob"); send(l, "bob") }, ""},
		"after a leave": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Leaving("bob", "g")
			l.Left("bob", "g")
			l.Received("bob", "c", 1, "g", send(l).Text())
		}, `not in group`},
		"while leaving, either way": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Leaving("bob", "g")
			l.Received("bob", "c", 1, "g", send(l).Text())
			send(l)
			l.Left("bob", "g")
		}, ""},
		"while joining, either way": {func(l *delivery.Ledger) {
			l.Joining("bob", "g")
			l.Received("bob", "c", 1, "g", send(l).Text())
			send(l)
			l.Joined("bob", "g")
		}, ""},
		"under way when it stops, either way": {func(l *delivery.Ledger) {
			join(l, "bob")
			a := send(l)
			send(l)
			l.Received("bob", "c", 1, "g", a.Text())
			l.Stopping("bob")
			send(l)
			l.Stopped("bob")
		}, ""},
		"lost before it stops": {func(l *delivery.Ledger) {
			join(l, "bob")
			send(l)
			l.Received("bob", "c", 1, "g", send(l).Text())
			l.Stopping("bob")
			l.Stopped("bob")
		}, `bob never got "alice 1"`},
		"after it has stopped": {func(l *delivery.Ledger) {
			join(l, "bob")
			l.Stopping("bob")
			l.Stopped("bob")
			l.Received("bob", "c", 1, "g", send(l).Text())
		}, `not in group`},
		"given up, either way": {func(l *delivery.Ledger) {
			join(l, "bob")
			m := l.Send("alice", "g")
			l.Sent(m, errors.New("given up"))
			m = l.Send("alice", "g")
			l.Sent(m, errors.New("given up"))
			l.Received("bob", "c", 1, "g", m.Text())
		}, ""},
		"from nowhere":  {func(l *delivery.Ledger) { join(l, "bob"); l.Received("bob", "c", 1, "g", "mallory 1") }, `nobody sent`},
		"another group": {func(l *delivery.Ledger) { join(l, "bob"); l.Received("bob", "c", 1, "h", send(l).Text()) }, `nobody sent`},
	} {
		t.Run(name, func(t *testing.T) {
			l := delivery.NewLedger()
			c.run(l)
			got := l.Check()
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
