package main

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	publishers = 4
	window     = 200 // messages that may be under way to a subscriber
)

// publisher sends its next message and waits until it is accepted.
type publisher func() error

// publish lets the publishers send as fast as the audience follows until the context
// ends or d is over, and returns how many messages there were. Each message has so
// many receivers.
func (a *audience) publish(ctx context.Context, all []publisher, receivers int64, d time.Duration) (int64, error) {
	var sent atomic.Int64
	before := a.received.Load()
	end := time.Now().Add(d)
	errs := make(chan error, len(all))
	var wg sync.WaitGroup
	for _, next := range all {
		wg.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) {
				if sent.Load()*receivers-(a.received.Load()-before) > window*receivers {
					time.Sleep(50 * time.Microsecond)
					continue
				}
				if err := next(); err != nil {
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

// published is what publishers did, and what it took of the server.
type published struct {
	messages     float64
	cpu, elapsed time.Duration
}

// perSecond returns the work per second, so much of it for each message.
func (p published) perSecond(each int) sample {
	n := p.messages * float64(each)
	return sample{value: n / p.cpu.Seconds(), rate: n / p.elapsed.Seconds()}
}

// measure lets the publishers send for the length of a measurement, after a while for
// which caches get warm, and checks that every message arrives once.
func (a *audience) measure(ctx context.Context, s settings, p *process, all []publisher, receivers int) (published, error) {
	n := int64(receivers)
	warm, err := a.publish(ctx, all, n, s.duration/3)
	if err == nil {
		err = a.settled(ctx, warm*n)
	}
	if err != nil {
		return published{}, err
	}
	for _, in := range a.all {
		in.took = in.took[:0]
	}
	before, err := p.cpu()
	if err != nil {
		return published{}, err
	}
	started := time.Now()
	sent, err := a.publish(ctx, all, n, s.duration)
	if err == nil {
		err = a.settled(ctx, (warm+sent)*n)
	}
	elapsed := time.Since(started)
	if err != nil {
		return published{}, err
	}
	after, err := p.cpu()
	return published{messages: float64(sent), cpu: after - before, elapsed: elapsed}, err
}

// httpPublishers returns the publishers of an address, each with a connection of its
// own. Publisher i sends what targets(i) returns, in turn. Call done at the end.
func httpPublishers(addr string, status int, targets func(i int) []*http.Request) (all []publisher, done func(), err error) {
	var first []*httpWorker
	done = func() {
		for _, w := range first {
			w.close()
		}
	}
	for i := range publishers {
		var workers []*httpWorker
		for _, r := range targets(i) {
			w, err := newHTTPWorker(addr, r, status, nil)
			if err != nil {
				done()
				return nil, nil, err
			}
			if len(workers) > 0 { // they share one connection
				w.close()
				w.conn, w.r = workers[0].conn, workers[0].r
			} else {
				first = append(first, w)
			}
			workers = append(workers, w)
		}
		turn := 0
		var text []byte
		all = append(all, func() error {
			w := workers[turn]
			turn = (turn + 1) % len(workers)
			w.number++
			text = stamp(text[:0], i, w.number, time.Now())
			copy(w.request[w.at:], text)
			_, err := w.exchange("")
			return err
		})
	}
	return all, done, nil
}

// publishers returns those of the endpoint.
func (e endpoint) publishers(addr string) (all []publisher, done func(), err error) {
	return httpPublishers(addr, e.status, func(int) []*http.Request { return []*http.Request{e.publish()} })
}
