package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// idleMemory connects many clients that say nothing more, and returns the
// growth of the server's resident memory per connection in KiB.
func idleMemory(ctx context.Context, s settings, p *process, e endpoint) (sample, error) {
	n := 5000
	if s.quick {
		n = 200
	}
	conns := make([]*websocket.Conn, n)
	defer func() {
		for _, ws := range conns {
			if ws != nil {
				_ = ws.Close()
			}
		}
	}()
	connect := func(from, to int) error {
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for w := range 8 {
			wg.Go(func() {
				for i := from + w; i < to; i += 8 {
					var err error
					if conns[i], err = e.dial(ctx); err != nil {
						errs <- fmt.Errorf("connection %d: %w", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		return <-errs
	}
	if err := connect(0, n/50); err != nil { // what the first connections set up is not theirs
		return sample{}, err
	}
	before, err := settledMemory(ctx, p)
	if err != nil {
		return sample{}, err
	}
	if err := connect(n/50, n); err != nil {
		return sample{}, err
	}
	after, err := settledMemory(ctx, p)
	if err != nil {
		return sample{}, err
	}
	return sample{value: float64(after-before) / float64(n-n/50) / 1024}, nil
}

// settledMemory is the server's resident memory once it has returned what it can.
func settledMemory(ctx context.Context, p *process) (int, error) {
	if err := p.ask("gc", nil); err != nil {
		return 0, err
	}
	wait(ctx, 200*time.Millisecond)
	return p.rss()
}

var memoryRow = row{
	name: "memory", title: "Idle memory per connection, 5,000 JSON clients in one group",
	unit: "KiB of resident memory", emulator: true, less: true,
	contenders: []contender{
		{"this emulator", func(ctx context.Context, s settings) (sample, error) {
			p, err := startRole(ctx, "emulator")
			if err != nil {
				return sample{}, err
			}
			defer p.stop()
			e, err := emulatorEndpoint(ctx, p.ready, "json", groupName)
			if err != nil {
				return sample{}, err
			}
			return idleMemory(ctx, s, p, e)
		}},
		{"peer: centrifuge v0.40.1", func(ctx context.Context, s settings) (sample, error) {
			p, err := startRole(ctx, "hub-centrifuge")
			if err != nil {
				return sample{}, err
			}
			defer p.stop()
			return idleMemory(ctx, s, p, centrifugeEndpoint(p.ready, "json"))
		}},
	},
	targets: []target{
		{text: "KiB", a: "this emulator", field: value, goal: 8, most: true},
		{text: "of the peer", a: "this emulator", b: "peer: centrifuge v0.40.1", field: value, goal: 0.5, most: true},
	},
}
