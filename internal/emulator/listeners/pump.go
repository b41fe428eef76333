package listeners

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"example.com/webpubsub/internal/backoff"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/upstream"
)

// pump is the queue of one endpoint. Its lock is a leaf.
type pump struct {
	set     *Set
	name    string // for logs
	sink    sink
	ordered bool // of all connections together

	mu       sync.Mutex
	queue    []queued
	bytes    int
	running  bool
	sent     uint64
	dropped  uint64
	last     string // the error of the newest attempt
	overflow int    // events for which there was no room since the queue was empty
}

type queued struct {
	upstream.Message
	hub string
}

func size(m upstream.Message) int {
	n := 512 + len(m.Body) // with what the attributes take
	for k, v := range m.Properties {
		n += len(k) + len(v)
	}
	return n
}

func (p *pump) state() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{Sent: p.sent, Dropped: p.dropped, Waiting: len(p.queue), LastError: p.last}
}

// add queues a message, or drops it if there is no room.
func (p *pump) add(hub string, m upstream.Message) {
	n := size(m)
	p.mu.Lock()
	if len(p.queue) >= maxEvents || p.bytes+n > maxBytes {
		p.dropped++
		p.overflow++
		first := p.overflow == 1
		p.mu.Unlock()
		if first {
			p.log(hub, m.ConnectionID, "the queue is full: events are dropped until there is room")
		}
		return
	}
	p.queue = append(p.queue, queued{m, hub})
	p.bytes += n
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		p.set.Tasks.Go(p.run)
	}
}

// take returns the next messages. If there are none, the pump is no longer running.
func (p *pump) take() []queued {
	p.mu.Lock()
	if len(p.queue) == 0 {
		overflow := p.overflow
		p.overflow, p.running, p.queue = 0, false, nil
		p.mu.Unlock()
		if overflow > 1 {
			p.log("", "", fmt.Sprintf("there is room in the queue again; %d events were dropped", overflow))
		}
		return nil
	}
	defer p.mu.Unlock()
	n := min(len(p.queue), maxRound)
	taken := p.queue[:n:n]
	p.queue = p.queue[n:]
	for _, m := range taken {
		p.bytes -= size(m.Message)
	}
	return taken
}

func (p *pump) run() {
	for {
		taken := p.take()
		if taken == nil {
			return
		}
		var wg sync.WaitGroup
		slots := make(chan struct{}, maxConnections)
		for _, group := range p.group(taken) {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				p.send(group)
			})
		}
		wg.Wait()
	}
}

// group returns the messages that are sent one after another.
func (p *pump) group(all []queued) [][]queued {
	if p.ordered {
		return [][]queued{all}
	}
	var out [][]queued
	at := make(map[string]int)
	for _, m := range all {
		i, ok := at[m.hub+"/"+m.ConnectionID]
		if !ok {
			i = len(out)
			at[m.hub+"/"+m.ConnectionID] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], m)
	}
	return out
}

// send sends messages within the budget of retries, and drops what is left.
func (p *pump) send(all []queued) {
	messages := make([]upstream.Message, len(all))
	for i, m := range all {
		messages[i] = m.Message
	}
	retry := backoff.New(retries)
	var failed error
	for done := 0; done < len(messages); {
		if err := retry.Wait(p.set.Context); err != nil {
			if !errors.Is(err, backoff.ErrExhausted) {
				failed = errors.New("the emulator is closing")
			}
			p.drop(all[done:], failed)
			return
		}
		ctx, cancel := context.WithTimeout(p.set.Context, attemptTimeout)
		n, err := p.sink.send(ctx, messages[done:])
		cancel()
		p.note(n, err)
		done += n
		if n > 0 {
			retry = backoff.New(retries) // it works
		}
		failed = err
		var final permanent
		if errors.As(err, &final) {
			p.drop(all[done:done+1], err)
			done++
			retry = backoff.New(retries)
		}
	}
}

// note records how an attempt ended.
func (p *pump) note(sent int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += uint64(sent)
	p.last = ""
	if err != nil {
		p.last = firstLine(err)
	}
}

func (p *pump) drop(all []queued, why error) {
	p.mu.Lock()
	p.dropped += uint64(len(all))
	p.mu.Unlock()
	p.log(all[0].hub, all[0].ConnectionID, fmt.Sprintf("%d events are dropped, the first is %s: %v", len(all), all[0].ID, firstLine(why)))
}

func (p *pump) log(hub, connectionID, reason string) {
	p.set.Journal.Add(journal.Entry{
		Kind: journal.EventFailed, Hub: hub, ConnectionID: connectionID, Name: "event listener", Reason: p.name + ": " + reason,
	})
}

// firstLine returns that of an error: those of sign-in attempts have many.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
