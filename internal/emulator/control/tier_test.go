package control_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
)

// What is used of a tier can be read, and a reset begins again.
func TestTierOfTheEmulator(t *testing.T) {
	r := start(t, emulator.Options{Tier: emulator.TierFree})
	a := r.dial(`{"hub":"chat","userId":"alice","groups":["g"]}`, jsonProtocol)
	r.must("POST", "/hubs/chat/groups/g/send", `{"data":"`+strings.Repeat("x", 5000)+`"}`)
	a.read()
	i := r.must("GET", "/info", "")
	for path, want := range map[string]string{
		"tier.name": "free", "tier.connections": "1", "tier.maxConnections": "20", "tier.messages": "3", "tier.maxMessages": "20000",
	} {
		if got := i.text(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	r.must("POST", "/reset", "")
	if i := r.must("GET", "/info", ""); i.text("tier.connections") != "0" || i.text("tier.messages") != "0" {
		t.Errorf("after a reset: %v", i.get("tier"))
	}
	standard := start(t, emulator.Options{Tier: emulator.TierStandard, Units: 5})
	if i := standard.must("GET", "/info", ""); i.text("tier.maxConnections") != "5000" || i.get("tier.messages") != nil {
		t.Errorf("the tier standard: %v", i.get("tier"))
	}
	if i := start(t, emulator.Options{}).must("GET", "/info", ""); i.get("tier") != nil {
		t.Errorf("without a tier: %v", i.get("tier"))
	}
}
