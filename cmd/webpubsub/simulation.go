package main

import (
	"flag"
	"fmt"
	"strings"

	"example.com/webpubsub/emulator"
)

// simulation are the flags of every command that runs an emulator, about the network
// conditions and limits that it simulates.
type simulation struct {
	network emulator.NetworkConditions
	tier    *choice
	units   int
}

func (s *simulation) flags(fs *flag.FlagSet) {
	fs.DurationVar(&s.network.Latency, "latency", 0, "simulate this `time`, such as 50ms, on the way between the emulator and a client, in each direction")
	fs.DurationVar(&s.network.Jitter, "jitter", 0, "add a random `time` up to this one to -latency; messages stay in order")
	fs.IntVar(&s.network.Bandwidth, "bandwidth", 0, "simulate this number of `bytes` per second for each client, in each direction (default: no limit)")
	fs.DurationVar(&s.network.HandlerLatency, "handler-latency", 0, "simulate this `time` on the way to event handlers")
	s.tier = choiceFlag(fs, "tier", "apply the limits of a pricing tier", noTier, string(emulator.TierFree), string(emulator.TierStandard))
	fs.IntVar(&s.units, "units", 0, "`number` of units of -tier standard, each of 1,000 connections (default: 1)")
}

const noTier = "none"

func (s *simulation) apply(o emulator.Options) emulator.Options {
	o.NetworkConditions, o.Units = s.network, s.units
	if s.tier.value != noTier {
		o.Tier = emulator.Tier(s.tier.value)
	}
	return o
}

// hint describes what is simulated, which explains what is slow or
// rejected.
func (s *simulation) hint() string {
	hint := ""
	if s.tier.value != noTier {
		hint = "Limits of the tier " + s.tier.value + ".\n"
	}
	var parts []string
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	n := s.network
	add(n.Latency > 0, "latency %v", n.Latency)
	add(n.Jitter > 0, "jitter %v", n.Jitter)
	add(n.Bandwidth > 0, "%d bytes per second", n.Bandwidth)
	add(n.HandlerLatency > 0, "%v to event handlers", n.HandlerLatency)
	if parts == nil {
		return hint
	}
	return hint + "Simulated network: " + strings.Join(parts, ", ") + ".\n"
}
