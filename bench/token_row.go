package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
)

// tally is what a contender reports of its own work.
type tally struct {
	Count   int
	CPU     float64 // seconds
	Seconds float64
	Token   string  // the last one made
	P50     float64 // seconds
	P99     float64
	Max     float64
	Faults  string // what came out wrong; empty: nothing
}

func (t tally) sample() (sample, error) {
	if t.Faults != "" {
		return sample{}, errors.New(t.Faults)
	}
	if t.Count == 0 || t.CPU == 0 {
		return sample{}, errors.New("nothing was done")
	}
	return sample{
		value: float64(t.Count) / t.CPU, rate: float64(t.Count) / t.Seconds,
		p50: seconds(t.P50), p99: seconds(t.P99), max: seconds(t.Max),
	}, nil
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

func tokenOurs([]string) error {
	c, err := service.NewClientFromConnectionString(handlertest.ConnectionString, "chat", nil)
	if err != nil {
		return err
	}
	o := &service.GetClientAccessTokenOptions{UserID: "alice", Roles: []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup}, Groups: []string{"lobby"}}
	return commands("ready", func(line string) (any, error) {
		d, err := time.ParseDuration(line)
		if err != nil {
			return nil, err
		}
		var t tally
		cpu, started := ownCPU(), time.Now()
		for time.Since(started) < d {
			for range 100 {
				made, err := c.GetClientAccessToken(context.Background(), o)
				if err != nil {
					return nil, err
				}
				t.Token = made.Token
				t.Count++
			}
		}
		t.CPU, t.Seconds = (ownCPU() - cpu).Seconds(), time.Since(started).Seconds()
		return t, nil
	})
}

func measureTokens(start func(context.Context) (*process, error)) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (sample, error) {
		p, err := start(ctx)
		if err != nil {
			return sample{}, err
		}
		defer p.stop()
		var t tally
		if err := p.ask((s.duration / 3).String(), &t); err != nil { // warm up
			return sample{}, err
		}
		if err := p.ask(s.duration.String(), &t); err != nil {
			return sample{}, err
		}
		c, err := token.Verify(t.Token, []string{handlertest.AccessKey}, time.Now())
		if err != nil {
			return sample{}, err
		}
		if c.UserID != "alice" || strings.Join(c.Groups, " ") != "lobby" || len(c.Roles) != 2 || c.Audience != "http://localhost:8080/client/hubs/chat" {
			return sample{}, fmt.Errorf("the token says %+v", c.All)
		}
		return t.sample()
	}
}

var tokenRow = row{
	name: "token", title: "Client access token with an access key",
	unit: "tokens per CPU second",
	contenders: []contender{
		{"this client", measureTokens(func(ctx context.Context) (*process, error) { return startRole(ctx, "token-ours") })},
		{"peer: @azure/web-pubsub", measureTokens(func(ctx context.Context) (*process, error) {
			return startNode(ctx, "token.js", handlertest.ConnectionString)
		})},
	},
	targets: []target{{text: "of the peer", a: "this client", b: "peer: @azure/web-pubsub", field: value, goal: 50}},
}
