package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const joiners = 50

// requests measures clients that each send a request and wait for its answer, one
// after the other. frame returns the client's n-th request and what its answer
// contains.
func requests(frame func(client, n int) (request, answer []byte)) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		p, err := startRole(ctx, "emulator")
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		e, err := emulatorEndpoint(ctx, p.ready, "json")
		if err != nil {
			return sample{}, err
		}
		conns := make([]*websocket.Conn, joiners)
		for i := range conns {
			if conns[i], err = e.dial(ctx); err != nil {
				return sample{}, err
			}
			defer conns[i].Close()
		}
		var done atomic.Int64
		var stopping atomic.Bool
		errs := make(chan error, joiners)
		var wg sync.WaitGroup
		for i, ws := range conns {
			wg.Go(func() {
				for n := 1; !stopping.Load(); n++ {
					request, answer := frame(i, n)
					err := ws.WriteMessage(websocket.TextMessage, request)
					var got []byte
					if err == nil {
						_, got, err = ws.ReadMessage()
					}
					if err == nil && !bytes.Contains(got, answer) {
						err = fmt.Errorf("%s was answered with %s", request, got)
					}
					if err != nil {
						errs <- err
						return
					}
					done.Add(1)
				}
			})
		}
		wait(ctx, s.duration/3)
		before, err := p.cpu()
		if err != nil {
			return sample{}, err
		}
		n, started := done.Load(), time.Now()
		wait(ctx, s.duration)
		n, elapsed := done.Load()-n, time.Since(started)
		after, err := p.cpu()
		stopping.Store(true)
		wg.Wait()
		select {
		case err := <-errs:
			return sample{}, err
		default:
		}
		return sample{value: float64(n) / (after - before).Seconds(), rate: float64(n) / elapsed.Seconds()}, err
	}
}

func joinOrLeave(client, n int) (request, answer []byte) {
	verb := "leaveGroup"
	if n%2 == 1 {
		verb = "joinGroup"
	}
	return fmt.Appendf(nil, `{"type":"%s","group":"group-%d","ackId":%d}`, verb, (client+n/2)%100, n),
		fmt.Appendf(nil, `"ackId":%d,"success":true`, n)
}

var joinRow = row{
	name: "join", title: fmt.Sprintf("%d JSON clients join and leave 100 groups, waiting for each ack", joiners),
	unit:     "requests per CPU second of the emulator",
	emulator: true,
	contenders: []contender{
		{"joinGroup and leaveGroup", requests(joinOrLeave)},
		{"ceiling: ping", requests(func(int, int) (request, answer []byte) { return []byte(`{"type":"ping"}`), []byte(`"pong"`) })},
	},
	targets: []target{{text: "of the ceiling", a: "joinGroup and leaveGroup", b: "ceiling: ping", field: value, goal: 0.7}},
}
