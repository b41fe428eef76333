// Package limits implements the limits of a pricing tier of the service and the rules of
// its application firewall: the number of connections, and how much they may send and
// receive. It counts and decides; its callers reject and close.
//
// Connections are counted from the admission of their handshake to their end, so that
// many handshakes at the same time do not exceed a limit. Without limits nothing is
// counted. A connection that was admitted while its hub had no rules is not counted
// by rules that are set later.
//
// The lock of [Limiter] is a leaf.
package limits

import (
	"fmt"
	"sync"
	"time"
)

// Tier is the limits of a pricing tier. Zero: there is none.
type Tier struct {
	Name        string
	Connections int
	Messages    int // a day, in UTC
}

// MessageUnit is the size in bytes of what counts as one message: a larger one counts
// as several (Microsoft Learn, Billing model for Azure Web PubSub service: 2-KB
// increments). That 2 KB are 2,048 bytes, and that each message is rounded up by
// itself, is not documented there; Azure SignalR Service counts each message.
const MessageUnit = 2 << 10

// Exceeded is a limit that was reached.
type Exceeded struct {
	// Rule is the limit, for the journal.
	Rule string
	// Text is sent to the client. The first two are those of the service's
	// resource logs; what it sends to clients is not documented.
	Text string
}

// Error returns the rule.
func (e *Exceeded) Error() string { return e.Rule }

// Texts for clients.
const (
	TooManyConnections = "Connection count reaches limit."
	TooManyMessages    = "Message count reaches limit."
	TooMuchTraffic     = "Message traffic reaches limit."
	TooOld             = "Connection lifetime reaches limit."
)

// Limiter contains the counters of an emulator.
type Limiter struct {
	tier    Tier
	rules   func(hub string) *Firewall
	reached func(*Exceeded)

	mu      sync.Mutex
	all     int
	tickets map[string]map[*Ticket]struct{} // of the hubs with rules
	traffic map[trafficKey]*usage
	sweep   int // size of traffic at which what has expired is removed

	day      time.Time
	messages int
}

// trafficKey is what a rule adds up.
type trafficKey struct {
	hub, claim, value string
	by                By
	window            time.Duration
}

type usage struct {
	since time.Time
	bytes int64
}

// New returns a limiter. rules returns the rules of a hub. reached is called, with no
// lock but those of the caller of [Limiter.Sent], when the messages of a day are used
// up.
func New(t Tier, rules func(hub string) *Firewall, reached func(*Exceeded)) *Limiter {
	return &Limiter{
		tier: t, rules: rules, reached: reached,
		tickets: make(map[string]map[*Ticket]struct{}), traffic: make(map[trafficKey]*usage),
	}
}

// Ticket is the admission of a connection. A nil ticket is one that nothing counts.
type Ticket struct {
	limiter *Limiter
	hub     string
	client  Client
	once    sync.Once
}

// Admit counts a new connection of a hub, or returns the limit that it exceeds. The
// rules are checked in their order, after authentication (Microsoft Learn, Application
// Firewall). Call [Ticket.Release] when the connection has ended.
func (l *Limiter) Admit(hub string, c Client) (*Ticket, *Exceeded) {
	rules := l.rules(hub)
	if l.tier.Name == "" && rules.IsZero() {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.tierExceeded(); e != nil {
		return nil, e
	}
	for _, r := range rules.Counts {
		value, ok := c.value(r.By, r.Claim)
		if !ok {
			continue
		}
		n := 0
		for t := range l.tickets[hub] {
			if v, ok := t.client.value(r.By, r.Claim); ok && v == value {
				n++
			}
		}
		if n >= r.MaxCount {
			return nil, &Exceeded{Text: TooManyConnections, Rule: fmt.Sprintf(
				"%s: %s has %d connections to the hub, and maxCount is %d", r.Type(), describe(r.By, r.Claim, value), n, r.MaxCount)}
		}
	}
	t := &Ticket{limiter: l, hub: hub}
	l.all++
	if !rules.IsZero() {
		t.client = c
		if l.tickets[hub] == nil {
			l.tickets[hub] = make(map[*Ticket]struct{})
		}
		l.tickets[hub][t] = struct{}{}
	}
	return t, nil
}

// tierExceeded needs the lock.
func (l *Limiter) tierExceeded() *Exceeded {
	l.newDay()
	switch {
	case l.tier.Connections > 0 && l.all >= l.tier.Connections:
		return &Exceeded{Text: TooManyConnections, Rule: fmt.Sprintf("the tier %s allows %d connections at the same time", l.tier.Name, l.tier.Connections)}
	case l.tier.Messages > 0 && l.messages > l.tier.Messages:
		return l.tooManyMessages()
	}
	return nil
}

func (l *Limiter) tooManyMessages() *Exceeded {
	return &Exceeded{Text: TooManyMessages, Rule: fmt.Sprintf(
		"the tier %s allows %d messages of up to 2 KB a day, to clients and event handlers; they are used up until midnight UTC", l.tier.Name, l.tier.Messages)}
}

// Release counts the connection no longer. It can be called more than once.
func (t *Ticket) Release() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		l := t.limiter
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if delete(l.tickets[t.hub], t); len(l.tickets[t.hub]) == 0 {
			delete(l.tickets, t.hub)
		}
	})
}

// Receive counts bytes that the client sent, and returns the limit that they exceed.
func (t *Ticket) Receive(n int) *Exceeded {
	if t == nil {
		return nil
	}
	rules := t.limiter.rules(t.hub).Traffic
	if len(rules) == 0 {
		return nil
	}
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rules {
		value, ok := t.client.value(r.By, r.Claim)
		if !ok {
			continue
		}
		u := l.usage(trafficKey{t.hub, r.Claim, value, r.By, r.Window})
		if u.bytes += int64(n); u.bytes > r.MaxBytes {
			return &Exceeded{Text: TooMuchTraffic, Rule: fmt.Sprintf(
				"%s: %s has sent %d bytes to the hub in this window of %v, and maxInboundMessageBytes is %d",
				r.Type(), describe(r.By, r.Claim, value), u.bytes, r.Window, r.MaxBytes)}
		}
	}
	return nil
}

// usage returns what was used in the present window, which begins with the first
// message after the one before it. It needs the lock.
func (l *Limiter) usage(k trafficKey) *usage {
	now := time.Now()
	u := l.traffic[k]
	if u != nil && now.Sub(u.since) < k.window {
		return u
	}
	if len(l.traffic) >= l.sweep {
		for k, u := range l.traffic {
			if now.Sub(u.since) >= k.window {
				delete(l.traffic, k)
			}
		}
		l.sweep = 2*len(l.traffic) + 100
	}
	u = &usage{since: now}
	l.traffic[k] = u
	return u
}

// Sent counts a message to a client or an event handler of n bytes. It can be called
// under locks.
func (l *Limiter) Sent(n int) {
	if l == nil || l.tier.Messages == 0 {
		return
	}
	l.mu.Lock()
	l.newDay()
	before := l.messages
	l.messages += max(1, (n+MessageUnit-1)/MessageUnit)
	reached := before <= l.tier.Messages && l.messages > l.tier.Messages
	l.mu.Unlock()
	if reached {
		l.reached(l.tooManyMessages())
	}
}

// newDay begins to count again at midnight UTC. It needs the lock.
func (l *Limiter) newDay() {
	if today := time.Now().UTC().Truncate(24 * time.Hour); today.After(l.day) {
		l.day, l.messages = today, 0
	}
}

// Lifetime returns the longest lifetime of connections to a hub, and 0 if there is no
// limit.
func (l *Limiter) Lifetime(hub string) time.Duration {
	if l == nil {
		return 0
	}
	return l.rules(hub).MaxLifetime
}

// Usage returns the tier, and what is used of it now.
func (l *Limiter) Usage() (t Tier, connections, messages int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newDay()
	return l.tier, l.all, l.messages
}

// Reset forgets the messages of the day and the traffic.
func (l *Limiter) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = 0
	clear(l.traffic)
}
