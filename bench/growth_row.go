package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// growth is how one dimension of the emulator's state is multiplied while the
// others stay.
type growth struct {
	name    string
	factors []int
	// at returns the receivers of a send, the other connections, and how many
	// groups each connection is in.
	at func(factor int) (receivers, others, groups int)
}

var growths = []growth{
	{"connections", []int{1, 10, 100, 400}, func(f int) (int, int, int) { return 10, min(50*f, mostConnections()) - 10, 1 }},
	{"groups", []int{1, 10, 100}, func(f int) (int, int, int) { return 10, 90, f }},
	{"subscribers", []int{1, 10, 100}, func(f int) (int, int, int) { return 5 * f, 0, 1 }},
}

// mostConnections is 20,000, or fewer where the system allows fewer open files: the
// emulator and the load generator need one each for a connection. Go programs raise
// their limit to the hard one (ulimit -Hn) by themselves.
func mostConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 5000
	}
	return int(min(20_000, limit.Max-200))
}

// fewest is the number of connections from which their memory is shown: of fewer,
// other allocations are more than they need.
const fewest = 490

// cost returns the emulator's CPU time for one send to a group in microseconds, and
// its resident memory for each of the other connections in KiB.
func (g growth) cost(ctx context.Context, s settings, factor int) (send, memory sample, err error) {
	d, m, err := g.measure(ctx, s, factor)
	return sample{value: float64(d.Nanoseconds()) / 1000}, sample{value: m / 1024}, err
}

func (g growth) measure(ctx context.Context, s settings, factor int) (send time.Duration, memory float64, err error) {
	receivers, others, groups := g.at(factor)
	p, err := startRole(ctx, "emulator")
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	names := func(prefix string) []string {
		var all []string
		for i := 1; i < groups; i++ {
			all = append(all, fmt.Sprintf("%s-%d", prefix, i))
		}
		return all
	}
	if others > 0 {
		e, err := emulatorEndpoint(ctx, p.ready, "json", append(names("other"), "elsewhere")...)
		if err != nil {
			return 0, 0, err
		}
		empty, err := settledMemory(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		idle, _, err := gather(ctx, e, others)
		if err != nil {
			return 0, 0, err
		}
		defer idle.leave()
		full, err := settledMemory(ctx, p)
		if err != nil {
			return 0, 0, err
		}
		memory = float64(full-empty) / float64(others)
	}
	e, err := emulatorEndpoint(ctx, p.ready, "json", append(names("own"), groupName)...)
	if err != nil {
		return 0, 0, err
	}
	addr, err := hostOf(p.ready)
	if err != nil {
		return 0, 0, err
	}
	a, ctx, err := gather(ctx, e, receivers)
	if err != nil {
		return 0, 0, err
	}
	defer a.leave()
	all, done, err := e.publishers(addr)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	sent, err := a.measure(ctx, s, p, all, receivers)
	if err != nil {
		return 0, 0, err
	}
	return time.Duration(float64(sent.cpu) / sent.messages), memory, nil
}

const growthPicture = "growth.svg"

var growthRow = row{
	name: "growth", title: "Cost of a send to a group, and memory, as the emulator fills",
	extra: func(ctx context.Context, s settings) (string, error) {
		var costs []curve
		memory := curve{name: "memory of a connection (KiB)"}
		var b strings.Builder
		b.WriteString("| what grows | receivers | connections | groups each | µs for a send: median (least – most) | KiB for a connection |\n| --- | --- | --- | --- | --- | --- |\n")
		for _, g := range growths {
			cost := curve{name: "send: " + g.name + " (µs)"}
			for _, f := range g.factors {
				receivers, others, groups := g.at(f)
				if s.quick && others > 5000 {
					break
				}
				var all, kept, allBefore, keptBefore []sample
				for range s.rounds {
					d, m, err := g.cost(ctx, s, f)
					if err != nil {
						return "", fmt.Errorf("%s at %d×: %w", g.name, f, err)
					}
					all, kept = append(all, d), append(kept, m)
					if s.against == nil {
						continue
					}
					if d, m, err = s.against.cost(ctx, s, g, f); err != nil {
						return "", fmt.Errorf("%s at %d× in %s: %w", g.name, f, s.against.name, err)
					}
					allBefore, keptBefore = append(allBefore, d), append(keptBefore, m)
				}
				mid, _, _ := spread(all, value)
				cost.points = append(cost.points, point{float64(f), mid})
				if g.name == "connections" && others >= fewest {
					m, _, _ := spread(kept, value)
					memory.points = append(memory.points, point{float64(f), m})
				}
				line := func(name string, all, kept []sample) {
					mid, least, most := spread(all, value)
					cell := ""
					if others >= fewest {
						m, _, _ := spread(kept, value)
						cell = figure(m)
					}
					fmt.Fprintf(&b, "| %s | %d | %d | %d | %s (%s – %s) | %s |\n", name, receivers, receivers+others, groups, figure(mid), figure(least), figure(most), cell)
				}
				line(g.name, all, kept)
				if s.against != nil {
					line(g.name+", in "+s.against.name, allBefore, keptBefore)
				}
			}
			costs = append(costs, cost)
		}
		fmt.Fprintf(&b, "\nCPU time of the emulator for one send, and its resident memory.\n\n![The cost of a send follows the receivers, not the connections or groups.](%s)\n", growthPicture)
		if s.quick {
			return b.String(), nil
		}
		return b.String(), os.WriteFile(growthPicture, []byte(draw(append(costs, memory))), 0o644)
	},
}
