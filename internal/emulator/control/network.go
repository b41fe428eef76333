package control

import (
	"time"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/network"
)

type networkConditions struct {
	LatencyMs        float64 `json:"latencyMs"`
	JitterMs         float64 `json:"jitterMs"`
	Bandwidth        int     `json:"bandwidth"`
	HandlerLatencyMs float64 `json:"handlerLatencyMs"`
}

func (c *call) getNetwork() error {
	n := c.Network.Conditions()
	return c.answer(networkConditions{
		LatencyMs: journal.Milliseconds(n.Latency), JitterMs: journal.Milliseconds(n.Jitter),
		Bandwidth: n.Bandwidth, HandlerLatencyMs: journal.Milliseconds(n.HandlerLatency),
	})
}

func (c *call) putNetwork() error {
	var in networkConditions
	if err := c.decode(&in, false); err != nil {
		return err
	}
	most := journal.Milliseconds(network.MaxDelay)
	for name, ms := range map[string]float64{"latencyMs": in.LatencyMs, "jitterMs": in.JitterMs, "handlerLatencyMs": in.HandlerLatencyMs} {
		if !(ms >= 0 && ms <= most) { // a duration would overflow
			return invalidf("%s must be a number of milliseconds from 0 to %g.", name, most)
		}
	}
	duration := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
	err := c.Network.Set(network.Conditions{
		Latency: duration(in.LatencyMs), Jitter: duration(in.JitterMs),
		Bandwidth: in.Bandwidth, HandlerLatency: duration(in.HandlerLatencyMs),
	})
	if err != nil {
		return invalidf("%v.", err)
	}
	return c.getNetwork()
}
