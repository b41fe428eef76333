package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const groupSize = 10

// groupsInTurn measures sends to n groups of ten, of which each has connections of
// its own: every publisher sends to its share of the groups, one after another.
func groupsInTurn(n int) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		n := n
		if s.quick {
			n = min(n, publishers)
		}
		p, err := startRole(ctx, "emulator")
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		addr, err := hostOf(p.ready)
		if err != nil {
			return sample{}, err
		}
		a := new(audience)
		defer func() { a.leave() }()
		var groups []func() *http.Request
		for i := range n {
			name := fmt.Sprintf("g%d", i)
			e, err := emulatorEndpoint(ctx, p.ready, "json", name)
			if err != nil {
				return sample{}, err
			}
			if ctx, err = a.gather(ctx, e, groupSize); err != nil {
				return sample{}, err
			}
			publish, err := sendRequest(p.ready, "/groups/"+name, "")
			if err != nil {
				return sample{}, err
			}
			groups = append(groups, publish)
		}
		if err := p.ask("gc", nil); err != nil {
			return sample{}, err
		}
		numbers := make([]int, n)
		warm, err := publishInTurn(ctx, addr, groups, numbers, a, s.duration/3)
		if err == nil {
			err = a.settled(ctx, warm*groupSize)
		}
		if err != nil {
			return sample{}, err
		}
		before, err := p.cpu()
		if err != nil {
			return sample{}, err
		}
		started := time.Now()
		sent, err := publishInTurn(ctx, addr, groups, numbers, a, s.duration)
		if err == nil {
			err = a.settled(ctx, (warm+sent)*groupSize)
		}
		elapsed := time.Since(started)
		if err != nil {
			return sample{}, err
		}
		after, err := p.cpu()
		return sample{value: float64(sent) / (after - before).Seconds(), rate: float64(sent) / elapsed.Seconds()}, err
	}
}

// publishInTurn sends to the groups as fast as their members follow. numbers holds
// the last number of each group.
func publishInTurn(ctx context.Context, addr string, groups []func() *http.Request, numbers []int, a *audience, d time.Duration) (int64, error) {
	var sent atomic.Int64
	before := a.received.Load()
	end := time.Now().Add(d)
	errs := make(chan error, publishers)
	var wg sync.WaitGroup
	for i := range min(publishers, len(groups)) {
		wg.Go(func() {
			var workers []*httpWorker // they share one connection
			for g := i; g < len(groups); g += publishers {
				w, err := newHTTPWorker(addr, groups[g](), http.StatusAccepted, nil)
				if err != nil {
					errs <- err
					return
				}
				if len(workers) > 0 {
					w.close()
					w.conn, w.r = workers[0].conn, workers[0].r
				}
				workers = append(workers, w)
			}
			defer workers[0].close()
			var text []byte
			for turn := 0; ctx.Err() == nil && time.Now().Before(end); {
				if sent.Load()*groupSize-(a.received.Load()-before) > window*groupSize {
					time.Sleep(50 * time.Microsecond)
					continue
				}
				g := i + turn*publishers
				numbers[g]++
				text = stamp(text[:0], i, numbers[g], time.Now())
				w := workers[turn]
				copy(w.request[w.at:], text)
				if _, err := w.exchange(""); err != nil {
					errs <- err
					return
				}
				sent.Add(1)
				turn = (turn + 1) % len(workers)
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

var groupsRow = row{
	name: "groups", title: "Send by REST to groups of 10, in turn",
	unit:       "sends per CPU second of the emulator",
	emulator:   true,
	contenders: []contender{{"4 groups", groupsInTurn(4)}, {"1,000 groups", groupsInTurn(1000)}},
	targets:    []target{{text: "1,000 groups, of 4", a: "1,000 groups", b: "4 groups", field: value}},
	note:       "With 4 groups several messages wait for a connection and are written at once; with 1,000 each is a write of its own.",
}
