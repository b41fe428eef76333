package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"example.com/webpubsub/internal/connstr"
)

const subscribers = 500

// fanout measures one server with n subscribers.
func fanout(ctx context.Context, s settings, p *process, addr string, e endpoint, n int) (sample, error) {
	a, ctx, err := gather(ctx, e, n)
	if err != nil {
		return sample{}, err
	}
	defer a.leave()
	all, done, err := e.publishers(addr)
	if err != nil {
		return sample{}, err
	}
	defer done()
	sent, err := a.measure(ctx, s, p, all, n)
	if err != nil {
		return sample{}, err
	}
	one := sent.perSecond(n)
	one.p50, one.p99, one.max = percentiles(a.took())
	return one, nil
}

func fanoutEmulator(protocol string, n int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		p, err := startRole(ctx, "emulator")
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		e, err := emulatorEndpoint(ctx, p.ready, protocol, groupName)
		if err != nil {
			return sample{}, err
		}
		addr, err := hostOf(p.ready)
		if err != nil {
			return sample{}, err
		}
		return fanout(ctx, s, p, addr, e, n)
	}
}

func hostOf(connectionString string) (string, error) {
	cs, err := connstr.Parse(connectionString)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(cs.Endpoint)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

func fanoutCeiling(protocol string, n int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		p, err := startRole(ctx, "hub-ceiling", protocol)
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		return fanout(ctx, s, p, p.ready, endpoint{
			url: "ws://" + p.ready + "/", welcome: 1, acknowledge: protocol == "json.reliable",
			publish: func() *http.Request { return post("http://" + p.ready + "/") }, status: http.StatusAccepted,
		}, n)
	}
}

func fanoutCentrifuge(protocol string, n int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		p, err := startRole(ctx, "hub-centrifuge")
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		return fanout(ctx, s, p, p.ready, centrifugeEndpoint(p.ready, protocol), n)
	}
}

func fanoutRow(protocol string) row {
	title := map[string]string{"raw": "simple clients", "json": "JSON", "json.reliable": "reliable JSON", "protobuf": "protobuf"}[protocol]
	goal := struct{ peer, ceiling float64 }{1.3, 0.8}
	switch protocol {
	case "raw":
		goal.ceiling = 0.95
	case "json.reliable":
		goal.peer, goal.ceiling = 2, 0.9
	}
	const ours, peer, ceiling = "this emulator", "peer: centrifuge v0.40.1", "ceiling: bare gorilla hub"
	return row{
		name:     "fanout-" + strings.ReplaceAll(protocol, ".", "-"),
		title:    fmt.Sprintf("Fan-out to %d subscribers, %d bytes, %s", subscribers, payloadSize, title),
		unit:     "deliveries per CPU second of the server",
		emulator: true,
		contenders: []contender{
			{ours, fanoutEmulator(protocol, subscribers)}, {ceiling, fanoutCeiling(protocol, subscribers)}, {peer, fanoutCentrifuge(protocol, subscribers)},
		},
		targets: []target{
			{text: "of the peer", a: ours, b: peer, field: value, goal: goal.peer},
			{text: "of the ceiling", a: ours, b: ceiling, field: value, goal: goal.ceiling},
		},
	}
}
