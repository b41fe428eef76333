package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Two pieces of work for WebSocket clients, both in reliable JSON:
//
//   - echo: one client publishes to a group that it is in, 16 messages at a time,
//     waits for each ack, and gets each message itself, as fast as it can.
//   - receive: 50 clients in one process are in a group to which somebody else
//     publishes at a steady pace, the same for every contender, so that the
//     times can be compared.

const (
	echoInFlight = 16
	receivers    = 50
	receivePace  = 200 // messages per second, to each receiver
)

// echoClient publishes as one of several senders, each of which waits for its
// ack before it publishes again.
type echoClient interface {
	// run publishes for d, and returns how many messages there were.
	run(d time.Duration) (int, error)
}

// mailbox checks what one client receives. One goroutine at a time may use it.
type mailbox struct {
	in    *inspector
	fault error
}

func (m *mailbox) put(text []byte) {
	if n, err := m.in.frame(text, time.Now()); err != nil {
		m.fault = err
	} else if n != 1 {
		m.fault = fmt.Errorf("%d messages in %q", n, text)
	}
}

// clientRole answers the commands of the parent with clients that connect makes.
func clientRole(connect func(box *mailbox) (echoClient, error)) error {
	var count atomic.Int64
	var boxes []*mailbox
	var echo echoClient
	var cpu time.Duration
	var started time.Time
	begin := func() {
		for _, b := range boxes {
			b.in.took = b.in.took[:0]
		}
		cpu, started = ownCPU(), time.Now()
	}
	// end waits for n messages in all, and reports on the last of them.
	end := func(n int64, done int) (any, error) {
		if err := arrived(&count, n); err != nil {
			return nil, err
		}
		t := tally{Count: done, CPU: (ownCPU() - cpu).Seconds(), Seconds: time.Since(started).Seconds()}
		var all []time.Duration
		for _, b := range boxes {
			if b.fault != nil {
				t.Faults = b.fault.Error()
			}
			all = append(all, b.in.took...)
		}
		p50, p99, most := percentiles(all)
		t.P50, t.P99, t.Max = p50.Seconds(), p99.Seconds(), most.Seconds()
		return t, nil
	}
	return commands("ready", func(line string) (any, error) {
		what, argument, _ := strings.Cut(line, " ")
		n, _ := strconv.Atoi(argument)
		switch what {
		case "connect":
			for range n {
				box := &mailbox{in: newInspector(&count)}
				var err error
				if echo, err = connect(box); err != nil {
					return nil, err
				}
				boxes = append(boxes, box)
			}
			return nil, nil
		case "echo":
			d, err := time.ParseDuration(argument)
			if err != nil {
				return nil, err
			}
			before := count.Load()
			begin()
			done, err := echo.run(d)
			if err != nil {
				return nil, err
			}
			return end(before+int64(done), done)
		case "begin":
			begin()
			return nil, nil
		case "end": // with the messages in all
			return end(int64(n), int(count.Load()))
		}
		return nil, fmt.Errorf("unknown command %q", line)
	})
}

func arrived(count *atomic.Int64, n int64) error {
	for deadline := time.Now().Add(20 * time.Second); count.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d messages arrived: the rest is lost", count.Load(), n)
		}
	}
	if got := count.Load(); got != n {
		return fmt.Errorf("%d messages arrived, %d were sent", got, n)
	}
	return nil
}

// starter starts a contender with the URL that its clients connect to.
type starter func(ctx context.Context, url string) (*process, error)

// withClients starts an emulator and a contender with so many clients.
func withClients(ctx context.Context, start starter, n int, f func(emulator, clients *process, e endpoint) (sample, error)) (sample, error) {
	emu, err := startRole(ctx, "emulator", "patient")
	if err != nil {
		return sample{}, err
	}
	defer emu.stop()
	e, err := emulatorEndpoint(ctx, emu.ready, "json.reliable", groupName)
	if err != nil {
		return sample{}, err
	}
	p, err := start(ctx, e.url)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if err := p.ask(fmt.Sprintf("connect %d", n), nil); err != nil {
		return sample{}, err
	}
	return f(emu, p, e)
}

func measureEcho(start starter) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		return withClients(ctx, start, 1, func(_, p *process, _ endpoint) (sample, error) {
			var t tally
			for _, d := range []time.Duration{s.duration / 3, s.duration} { // the first is to warm up
				if err := p.ask("echo "+d.String(), &t); err != nil {
					return sample{}, err
				}
			}
			return t.sample()
		})
	}
}

func measureReceive(start starter) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		return withClients(ctx, start, receivers, func(emu, p *process, e endpoint) (sample, error) {
			addr, err := hostOf(emu.ready)
			if err != nil {
				return sample{}, err
			}
			w, err := newHTTPWorker(addr, e.publish(), e.status, nil)
			if err != nil {
				return sample{}, err
			}
			defer w.close()
			number := 0
			publish := func(d time.Duration) error {
				tick := time.NewTicker(time.Second / receivePace)
				defer tick.Stop()
				for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					number++
					copy(w.request[w.at:], stamp(nil, 0, number, time.Now()))
					if _, err := w.exchange(""); err != nil {
						return err
					}
				}
				return nil
			}
			var t tally
			if err = publish(s.duration / 3); err == nil {
				err = p.ask(fmt.Sprintf("end %d", number*receivers), nil)
			}
			warm := number
			if err == nil {
				err = p.ask("begin", nil)
			}
			if err == nil {
				err = publish(s.duration)
			}
			if err == nil {
				err = p.ask(fmt.Sprintf("end %d", number*receivers), &t)
			}
			if err != nil {
				return sample{}, err
			}
			t.Count = (number - warm) * receivers
			return t.sample()
		})
	}
}

var clientStarters = []struct {
	name  string
	start starter
}{
	{"this client", func(ctx context.Context, url string) (*process, error) { return startRole(ctx, "client-ours", url) }},
	{"ceiling: bare gorilla loop", func(ctx context.Context, url string) (*process, error) {
		return startRole(ctx, "client-ceiling", url)
	}},
	{"peer: @azure/web-pubsub-client", func(ctx context.Context, url string) (*process, error) {
		return startNode(ctx, "client.js", url, groupName)
	}},
}

// receiveNote is about the row in which the peer's ratio is smallest.
const receiveNote = "At this pace the time goes into waking up: a read, and a hand-over to the goroutine of the callbacks, for each " +
	"message. The bare loop, which has no hand-over and runs its callback where it reads, is no faster, so what is left to " +
	"win is in the runtime and not in the client."

func clientRow(name, title, note string, measure func(starter) func(context.Context, settings) (sample, error)) row {
	r := row{name: name, title: title, note: note, unit: "messages per CPU second of the client"}
	for _, s := range clientStarters {
		r.contenders = append(r.contenders, contender{s.name, measure(s.start)})
	}
	ours, ceiling, peer := clientStarters[0].name, clientStarters[1].name, clientStarters[2].name
	r.targets = []target{
		{text: "of the peer", a: ours, b: peer, field: value, goal: 2},
		{text: "of the ceiling", a: ours, b: ceiling, field: value, goal: 0.8},
		{text: "p99 of the peer's", a: ours, b: peer, field: p99, goal: 1, most: true},
	}
	return r
}
