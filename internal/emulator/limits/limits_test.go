package limits_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub/internal/emulator/limits"
)

// Without limits nothing is kept, and a connection costs nothing.
func TestWithoutLimits(t *testing.T) {
	l := limits.New(limits.Tier{}, func(string) *limits.Firewall { return &limits.Firewall{} }, nil)
	ticket, over := l.Admit("chat", limits.Client{UserID: "alice"})
	if ticket != nil || over != nil {
		t.Errorf("admitted with %v, %v", ticket, over)
	}
	ticket.Release()
	if e := ticket.Receive(1 << 40); e != nil {
		t.Error(e)
	}
	l.Sent(1 << 40)
}

// A message counts once for each 2 KB that it has begun, and an empty one counts too.
func TestMessageUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for size, want := range map[int]int{0: 1, 1: 1, 2048: 1, 2049: 2, 100 << 10: 50} {
			reached := 0
			l := limits.New(limits.Tier{Name: "free", Messages: 100}, func(string) *limits.Firewall { return &limits.Firewall{} }, func(*limits.Exceeded) { reached++ })
			n := 0
			for ; reached == 0; n++ {
				l.Sent(size)
			}
			if n != 100/want+1 {
				t.Errorf("%d messages of %d bytes exceed 100", n, size)
			}
			l.Sent(size)
			if reached != 1 {
				t.Errorf("the end of the messages was announced %d times", reached)
			}
			// The next day begins at midnight, not a day later.
			time.Sleep(23 * time.Hour)
			if _, over := l.Admit("chat", limits.Client{}); over == nil || over.Text != limits.TooManyMessages {
				t.Errorf("before midnight: %v", over)
			}
			time.Sleep(time.Hour)
			if _, over := l.Admit("chat", limits.Client{}); over != nil {
				t.Errorf("after midnight: %v", over)
			}
			l.Sent(size)
			if reached != 1 {
				t.Error("the count did not begin again")
			}
		}
	})
}

// Each hub has its own counts, of connections and of traffic, and what nobody used for
// a window is removed.
func TestTrafficWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := limits.Firewall{Traffic: []limits.TrafficRule{{MaxBytes: 10}, {By: limits.Claim, Claim: "c", MaxBytes: 15, Window: time.Hour}}}.Normalize()
		if err != nil {
			t.Fatal(err)
		}
		l := limits.New(limits.Tier{}, func(string) *limits.Firewall { return &rules }, nil)
		admit := func(hub, user string, claims map[string][]string) *limits.Ticket {
			ticket, over := l.Admit(hub, limits.Client{UserID: user, Claims: claims})
			if over != nil {
				t.Fatal(over)
			}
			return ticket
		}
		a, b := admit("one", "u", nil), admit("two", "u", nil)
		if a.Receive(10) != nil || b.Receive(10) != nil {
			t.Error("hubs are counted together")
		}
		if e := a.Receive(1); e == nil || !strings.Contains(e.Rule, "TrafficThrottleByUserIdRule") {
			t.Errorf("got %v", e)
		}
		time.Sleep(time.Minute)
		if e := a.Receive(10); e != nil {
			t.Errorf("in a new window: %v", e)
		}
		// The second rule has a window of its own.
		c := admit("one", "v", map[string][]string{"c": {"x"}})
		if e := c.Receive(10); e != nil {
			t.Error(e)
		}
		time.Sleep(time.Minute)
		if e := c.Receive(10); e == nil || !strings.Contains(e.Rule, `TrafficThrottleByJwtCustomClaimRule: the value "x" of the claim "c" has sent 20 bytes`) {
			t.Errorf("got %v", e)
		}
		for i := range 100_000 {
			admit("many", fmt.Sprint(i), nil).Receive(1)
			if i%1000 == 0 {
				time.Sleep(time.Minute)
			}
		}
		if n := l.Windows(); n > 5000 {
			t.Errorf("%d windows are kept", n)
		}
	})
}
