package main

import (
	"context"
	"fmt"
	"net/http"
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
		defer a.leave()
		var groups []*http.Request
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
			groups = append(groups, publish())
		}
		if err := p.ask("gc", nil); err != nil {
			return sample{}, err
		}
		all, done, err := httpPublishers(addr, http.StatusAccepted, func(i int) (share []*http.Request) {
			for g := i; g < n; g += publishers {
				share = append(share, groups[g])
			}
			return share
		})
		if err != nil {
			return sample{}, err
		}
		defer done()
		sent, err := a.measure(ctx, s, p, all, groupSize)
		return sent.perSecond(1), err
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
