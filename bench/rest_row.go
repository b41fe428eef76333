package main

import (
	"context"
	"fmt"
)

// restRow is a send by REST to a small group, where the request costs more than
// its deliveries.
func restRow(receivers int) row {
	const ours, peer, ceiling = "this emulator", "peer: centrifuge v0.40.1", "ceiling: bare gorilla hub"
	perSend := func(measure func(context.Context, settings) (sample, error)) func(context.Context, settings) (sample, error) {
		return func(ctx context.Context, s settings) (sample, error) {
			one, err := measure(ctx, s)
			one.value /= float64(receivers)
			one.rate /= float64(receivers)
			return one, err
		}
	}
	return row{
		name:     fmt.Sprintf("rest-%d", receivers),
		title:    fmt.Sprintf("Send by HTTP to a group of %d, JSON", receivers),
		unit:     "sends per CPU second of the server",
		emulator: true,
		contenders: []contender{
			{ours, perSend(fanoutEmulator("json", receivers))},
			{ceiling, perSend(fanoutCeiling("json", receivers))},
			{peer, perSend(fanoutCentrifuge("json", receivers))},
		},
		targets: []target{{text: "of the peer", a: ours, b: peer, field: value}},
		note:    "Only the emulator authenticates: it verifies the access token of each request.",
	}
}

// amongOthers measures sends to ten connections beside so many others. filter is
// empty for sends to their group, or a filter of sends to everybody that they match.
func amongOthers(ctx context.Context, s settings, others int, filter string) (sample, error) {
	p, err := startRole(ctx, "emulator")
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	e, err := emulatorEndpoint(ctx, p.ready, "json", groupName)
	if err != nil {
		return sample{}, err
	}
	if filter != "" {
		if e.publish, err = sendRequest(p.ready, "", filter); err != nil {
			return sample{}, err
		}
	}
	addr, err := hostOf(p.ready)
	if err != nil {
		return sample{}, err
	}
	if others > 0 {
		elsewhere, err := emulatorEndpoint(ctx, p.ready, "json", "elsewhere")
		if err != nil {
			return sample{}, err
		}
		idle, _, err := gather(ctx, elsewhere, others)
		if err != nil {
			return sample{}, err
		}
		defer idle.leave()
		if err := p.ask("gc", nil); err != nil { // what the handshakes left behind
			return sample{}, err
		}
	}
	one, err := fanout(ctx, s, p, addr, e, groupSize)
	one.value, one.rate = one.value/groupSize, one.rate/groupSize
	return one, err
}

// crowdedGroup measures sends to a group of ten beside so many other connections.
func crowdedGroup(others int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		n := others
		if s.quick {
			n /= 100
		}
		return amongOthers(ctx, s, n, "")
	}
}

var crowdedRow = row{
	name: "crowded", title: "Send by REST to a group of 10, alone and beside 10,000 idle connections",
	unit:       "sends per CPU second of the emulator",
	emulator:   true,
	contenders: []contender{{"alone", crowdedGroup(0)}, {"beside 10,000", crowdedGroup(10_000)}},
	targets:    []target{{text: "beside 10,000, of alone", a: "beside 10,000", b: "alone", field: value, goal: 0.9}},
}

// filteredSend measures sends to everybody, of whom a filter leaves ten.
func filteredSend(ctx context.Context, s settings) (sample, error) {
	n := 5000
	if s.quick {
		n = 200
	}
	one, err := amongOthers(ctx, s, n-groupSize, "'"+groupName+"' in groups")
	one.value, one.rate = one.value*float64(n), one.rate*float64(n)
	return one, err
}

var filterRow = row{
	name: "filter", title: "Send by REST to everybody, with a filter that 10 of 5,000 connections match",
	unit:       "connections examined per CPU second of the emulator",
	emulator:   true,
	contenders: []contender{{"this emulator", filteredSend}},
	targets:    []target{{text: "connections per CPU second", a: "this emulator", field: value}},
}
