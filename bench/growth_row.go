package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// growth is how one dimension of the emulator's state is multiplied while the
// others stay.
type growth struct {
	name string
	// at returns the receivers of a send, the other connections, and how many
	// groups each connection is in, for a factor of 1, 10 or 100.
	at func(factor int) (receivers, others, groups int)
}

var growths = []growth{
	{"connections", func(f int) (int, int, int) { return 10, 50*f - 10, 1 }},
	{"groups", func(f int) (int, int, int) { return 10, 90, f }},
	{"subscribers", func(f int) (int, int, int) { return 5 * f, 0, 1 }},
}

var factors = []int{1, 10, 100}

// cost returns the emulator's CPU time for one send to a group.
func (g growth) cost(ctx context.Context, s settings, factor int) (time.Duration, error) {
	receivers, others, groups := g.at(factor)
	p, err := startRole(ctx, "emulator")
	if err != nil {
		return 0, err
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
			return 0, err
		}
		idle, _, err := gather(ctx, e, others)
		if err != nil {
			return 0, err
		}
		defer idle.leave()
	}
	e, err := emulatorEndpoint(ctx, p.ready, "json", append(names("own"), groupName)...)
	if err != nil {
		return 0, err
	}
	addr, err := hostOf(p.ready)
	if err != nil {
		return 0, err
	}
	a, ctx, err := gather(ctx, e, receivers)
	if err != nil {
		return 0, err
	}
	defer a.leave()
	numbers := make([]int, publishers)
	warm, err := publishTo(ctx, addr, e, a, numbers, s.duration/3)
	if err == nil {
		err = a.settled(ctx, warm*int64(receivers))
	}
	if err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	n, err := publishTo(ctx, addr, e, a, numbers, s.duration)
	if err == nil {
		err = a.settled(ctx, (warm+n)*int64(receivers))
	}
	if err != nil {
		return 0, err
	}
	after, err := p.cpu()
	if err != nil {
		return 0, err
	}
	return (after - before) / time.Duration(n), nil
}

const growthPicture = "growth.svg"

var growthRow = row{
	name: "growth", title: "Cost of a send to a group as the emulator fills",
	extra: func(ctx context.Context, s settings) (string, error) {
		costs := make(map[string][]float64)
		var b strings.Builder
		b.WriteString("| what grows | 1× | 10× | 100× |\n| --- | --- | --- | --- |\n")
		for _, g := range growths {
			cells := []string{g.name}
			for _, f := range factors {
				var all []sample
				for range s.rounds {
					d, err := g.cost(ctx, s, f)
					if err != nil {
						return "", fmt.Errorf("%s at %d×: %w", g.name, f, err)
					}
					all = append(all, sample{value: float64(d.Nanoseconds()) / 1000})
				}
				mid, least, most := spread(all, value)
				costs[g.name] = append(costs[g.name], mid)
				receivers, others, groups := g.at(f)
				cells = append(cells, fmt.Sprintf("%s µs (%s – %s): %d receivers, %d connections, %d groups each",
					figure(mid), figure(least), figure(most), receivers, receivers+others, groups))
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
		fmt.Fprintf(&b, "\nCPU time of the emulator for one send, median (least – most).\n\n![The cost of a send follows the receivers, not the connections or groups.](%s)\n", growthPicture)
		if s.quick {
			return b.String(), nil
		}
		return b.String(), os.WriteFile(growthPicture, []byte(curves(costs)), 0o644)
	},
}
