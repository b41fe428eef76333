package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// serviceOurs sends to everybody, with so many calls in flight.
func serviceOurs(args []string) error {
	inflight, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := service.NewClientFromConnectionString(args[0], hubName, nil)
	if err != nil {
		return err
	}
	numbers := make([]int, inflight)
	return commands("ready", func(line string) (any, error) {
		d, err := time.ParseDuration(line)
		if err != nil {
			return nil, err
		}
		var count atomic.Int64
		took := make([][]time.Duration, inflight)
		errs := make(chan error, inflight)
		cpu, started := ownCPU(), time.Now()
		var wg sync.WaitGroup
		for i := range inflight {
			wg.Go(func() {
				for time.Since(started) < d {
					numbers[i]++
					sent := time.Now()
					if err := c.SendToAll(context.Background(), webpubsub.Text(string(stamp(nil, i, numbers[i], sent))), nil); err != nil {
						errs <- err
						return
					}
					took[i] = append(took[i], time.Since(sent))
					count.Add(1)
				}
			})
		}
		wg.Wait()
		t := tally{Count: int(count.Load()), CPU: (ownCPU() - cpu).Seconds(), Seconds: time.Since(started).Seconds()}
		select {
		case err := <-errs:
			return nil, err
		default:
		}
		var all []time.Duration
		for _, x := range took {
			all = append(all, x...)
		}
		p50, p99, most := percentiles(all)
		t.P50, t.P99, t.Max = p50.Seconds(), p99.Seconds(), most.Seconds()
		return t, nil
	})
}

// measureService starts an emulator with one subscriber, which checks that
// every message arrives once.
func measureService(inflight int, start func(context.Context, string) (*process, error)) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		emu, err := startRole(ctx, "emulator")
		if err != nil {
			return sample{}, err
		}
		defer emu.stop()
		e, err := emulatorEndpoint(ctx, emu.ready, "raw")
		if err != nil {
			return sample{}, err
		}
		a, ctx, err := gather(ctx, e, 1)
		if err != nil {
			return sample{}, err
		}
		defer a.leave()
		p, err := start(ctx, emu.ready)
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		var warm, t tally
		if err := p.ask((s.duration / 3).String(), &warm); err != nil {
			return sample{}, err
		}
		if err := p.ask(s.duration.String(), &t); err != nil {
			return sample{}, err
		}
		if err := a.settled(ctx, int64(warm.Count+t.Count)); err != nil {
			return sample{}, err
		}
		return t.sample()
	}
}

func serviceRow(inflight int) row {
	n := strconv.Itoa(inflight)
	return row{
		name: "service-" + n, title: fmt.Sprintf("Service client: send to all, %s in flight", n),
		unit: "sends per CPU second of the client",
		contenders: []contender{
			{"this client", measureService(inflight, func(ctx context.Context, cs string) (*process, error) {
				return startRole(ctx, "service-ours", cs, n)
			})},
			{"peer: @azure/web-pubsub", measureService(inflight, func(ctx context.Context, cs string) (*process, error) {
				return startNode(ctx, "service.js", cs, hubName, n)
			})},
		},
		targets: []target{{text: "of the peer", a: "this client", b: "peer: @azure/web-pubsub", field: value, goal: 4}},
	}
}
