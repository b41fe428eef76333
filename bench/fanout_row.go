package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/connstr"
)

const (
	subscribers = 500
	publishers  = 4
	window      = 200 // messages that may be under way to a subscriber
)

// publishTo publishes as fast as the subscribers follow until the context ends
// or d is over, and returns how many messages there were. first holds the last
// number of each publisher.
func publishTo(ctx context.Context, addr string, e endpoint, a *audience, first []int, d time.Duration) (int64, error) {
	var sent atomic.Int64
	before := a.received.Load()
	end := time.Now().Add(d)
	errs := make(chan error, publishers)
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			w, err := newHTTPWorker(addr, e.publish(), e.status, nil)
			if err != nil {
				errs <- err
				return
			}
			defer w.close()
			receivers := int64(len(a.all))
			var text []byte
			for ctx.Err() == nil && time.Now().Before(end) {
				if sent.Load()*receivers-(a.received.Load()-before) > window*receivers {
					time.Sleep(50 * time.Microsecond)
					continue
				}
				first[i]++
				text = stamp(text[:0], i, first[i], time.Now())
				copy(w.request[w.at:], text)
				if _, err := w.exchange(""); err != nil {
					errs <- err
					return
				}
				sent.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return sent.Load(), err
	default:
		return sent.Load(), context.Cause(ctx)
	}
}

// fanout measures one server with n subscribers.
func fanout(ctx context.Context, s settings, p *process, addr string, e endpoint, n int) (sample, error) {
	a, ctx, err := gather(ctx, e, n)
	if err != nil {
		return sample{}, err
	}
	defer a.leave()
	numbers := make([]int, publishers)
	warm, err := publishTo(ctx, addr, e, a, numbers, s.duration/3)
	if err == nil {
		err = a.settled(ctx, warm*int64(n))
	}
	if err != nil {
		return sample{}, err
	}
	for _, in := range a.all {
		in.took = in.took[:0]
	}
	cpu, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	started := time.Now()
	sent, err := publishTo(ctx, addr, e, a, numbers, s.duration)
	if err == nil {
		err = a.settled(ctx, (warm+sent)*int64(n))
	}
	elapsed := time.Since(started)
	if err != nil {
		return sample{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	deliveries := float64(sent * int64(n))
	one := sample{value: deliveries / (after - cpu).Seconds(), rate: deliveries / elapsed.Seconds()}
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
