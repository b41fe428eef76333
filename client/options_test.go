package client_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

// durations and counts are all numeric options, and whether they can be negative.
var durations = map[string]struct {
	set      func(o *client.Options, d time.Duration)
	negative bool
}{
	"ReconnectRetry.RetryDelay":    {func(o *client.Options, d time.Duration) { o.ReconnectRetry.RetryDelay = d }, false},
	"ReconnectRetry.MaxRetryDelay": {func(o *client.Options, d time.Duration) { o.ReconnectRetry.MaxRetryDelay = d }, false},
	"MessageRetry.RetryDelay":      {func(o *client.Options, d time.Duration) { o.MessageRetry.RetryDelay = d }, false},
	"MessageRetry.MaxRetryDelay":   {func(o *client.Options, d time.Duration) { o.MessageRetry.MaxRetryDelay = d }, false},
	"RecoveryWindow":               {func(o *client.Options, d time.Duration) { o.RecoveryWindow = d }, false},
	"RecoveryInterval":             {func(o *client.Options, d time.Duration) { o.RecoveryInterval = d }, false},
	"PingInterval":                 {func(o *client.Options, d time.Duration) { o.PingInterval = d }, true},
	"IdleTimeout":                  {func(o *client.Options, d time.Duration) { o.IdleTimeout = d }, true},
	"StreamIdleTimeout":            {func(o *client.Options, d time.Duration) { o.StreamIdleTimeout = d }, false},
}

var counts = map[string]struct {
	set      func(o *client.Options, n int)
	negative bool
}{
	"ReconnectRetry.MaxRetries": {func(o *client.Options, n int) { o.ReconnectRetry.MaxRetries = n }, true},
	"MessageRetry.MaxRetries":   {func(o *client.Options, n int) { o.MessageRetry.MaxRetries = n }, true},
	"EventQueueSize":            {func(o *client.Options, n int) { o.EventQueueSize = n }, false},
	"OutboundQueueSize":         {func(o *client.Options, n int) { o.OutboundQueueSize = n }, false},
	"MaxIncomingStreams":        {func(o *client.Options, n int) { o.MaxIncomingStreams = n }, false},
	"Protocol":                  {func(o *client.Options, n int) { o.Protocol = client.Protocol(n) }, false},
}

// Every extreme value of an option is rejected by New with an error that names the
// option, or works. Regression test: a negative delay caused a panic, and a huge one
// overflowed and caused a loop with delays of 1 ns.
func TestOptionLimits(t *testing.T) {
	for name, option := range durations {
		for _, d := range []time.Duration{math.MinInt64, -time.Hour, -1, 0, 1, time.Microsecond, time.Millisecond, time.Hour, math.MaxInt64 / 2, math.MaxInt64} {
			t.Run(fmt.Sprint(name, d), func(t *testing.T) {
				var o client.Options
				option.set(&o, d)
				valid := d == 0 || d >= time.Millisecond || option.negative && d < 0
				tryOption(t, name, o, valid)
			})
		}
	}
	for name, option := range counts {
		for _, n := range []int{math.MinInt, -1, 0, 1, 3, math.MaxInt} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				var o client.Options
				option.set(&o, n)
				valid := n >= 0 || option.negative
				if name == "Protocol" {
					valid = n >= 0 && n < 4
				}
				tryOption(t, name, o, valid)
			})
		}
	}
}

// tryOption uses a client during a call that fails, an interruption that is recovered,
// and a period in which the service is not available.
func tryOption(t *testing.T, name string, o client.Options, valid bool) {
	t.Helper()
	if _, err := client.New(client.URL(accessURL), o); (err == nil) != valid {
		t.Fatalf("valid %v: %v", valid, err)
	} else if !valid {
		if !strings.Contains(err.Error(), "Options."+name) {
			t.Errorf("the error does not name the option: %v", err)
		}
		return
	}
	if o.Protocol.String() != client.ReliableJSON.String() {
		return // the only one that the script supports
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, o)
		began := time.Now()
		fails := func(p *peer) {
			for {
				data, err := p.next()
				if err != nil {
					_ = p.ws.Close()
					return
				}
				if strings.Contains(data, `"event"`) {
					_ = p.write([]byte(`{"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"no"}}`))
				}
			}
		}
		sent := background(func() error { return c.SendEvent(t.Context(), "e", webpubsub.Text("x"), nil) })
		s.answerAll(func(p *peer) {
			if !p.request.URL.Query().Has("awps_connection_id") {
				p.hello("c2")
			}
			fails(p)
		})
		go fails(p)
		time.Sleep(10 * time.Second)
		p.cut()
		time.Sleep(10 * time.Second)
		s.setDown(true)
		time.Sleep(10 * time.Second)
		s.setDown(false)
		time.Sleep(10 * time.Second)
		must(t, background(func() error { return c.Stop(t.Context()) }))
		if err := <-sent; err == nil {
			t.Error("the event was accepted")
		}
		if n := s.dials(); n > int(2*time.Since(began)/time.Millisecond) {
			t.Errorf("%d connections", n)
		}
	})
}

// String does not panic for values out of range.
func TestStrings(t *testing.T) {
	for _, n := range []int{math.MinInt, -1, 99, math.MaxInt} {
		for _, got := range []string{client.State(n).String(), client.Protocol(n).String()} {
			if !strings.Contains(got, fmt.Sprint(n)) {
				t.Errorf("%q for %d", got, n)
			}
		}
	}
	if got := client.StateRecovering.String(); got != "recovering" {
		t.Error(got)
	}
}
