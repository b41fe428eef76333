package control_test

import (
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

func TestNetworkConditions(t *testing.T) {
	r := start(t, emulator.Options{NetworkConditions: emulator.NetworkConditions{Jitter: time.Millisecond}})
	if got := r.must("GET", "/network", ""); got.text("jitterMs") != "1" || got.text("latencyMs") != "0" || got.text("bandwidth") != "0" {
		t.Errorf("at the start: %v", got)
	}
	got := r.must("PUT", "/network", `{"latencyMs":0.5,"bandwidth":100000,"handlerLatencyMs":2}`)
	if got.text("latencyMs") != "0.5" || got.text("jitterMs") != "0" || got.text("bandwidth") != "100000" || got.text("handlerLatencyMs") != "2" {
		t.Errorf("after the change: %v", got)
	}
	want := emulator.NetworkConditions{Latency: 500 * time.Microsecond, Bandwidth: 100_000, HandlerLatency: 2 * time.Millisecond}
	if got := r.srv.NetworkConditions(); got != want {
		t.Errorf("in force are %+v, want %+v", got, want)
	}
	// A client works under them.
	a := r.dial(`{"hub":"chat","userId":"alice","groups":["g"]}`, jsonProtocol)
	r.must("POST", "/hubs/chat/groups/g/send", `{"data":"hi"}`)
	if got := a.read(); !strings.Contains(got, `"data":"hi"`) {
		t.Errorf("got %v", got)
	}
	for body, message := range map[string]string{
		`{"latencyMs":-1}`:             "latencyMs must be a number of milliseconds from 0 to 60000",
		`{"jitterMs":60001}`:           "jitterMs must be",
		`{"handlerLatencyMs":1e300}`:   "handlerLatencyMs must be",
		`{"bandwidth":-1}`:             "must not be negative",
		`{"bandwidth":0.5}`:            "bandwidth cannot be",
		`{"latency":1}`:                "unknown field",
		``:                             "it is empty",
		`{"latencyMs":"1"}`:            "latencyMs cannot be a string",
		`{"latencyMs":1} {"jitter":1}`: "something after",
	} {
		if got := r.fails(400, "PUT", "/network", body); !strings.Contains(got, message) {
			t.Errorf("%s: %q, want %q", body, got, message)
		}
	}
	if got := r.srv.NetworkConditions(); got != want {
		t.Errorf("a rejected change left %+v", got)
	}
	r.must("POST", "/reset", "")
	if got := r.srv.NetworkConditions(); got != (emulator.NetworkConditions{Jitter: time.Millisecond}) {
		t.Errorf("after a reset there are %+v", got)
	}
}
