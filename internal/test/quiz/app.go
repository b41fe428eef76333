// Package app is a quiz: the application that scripts/fork-check puts in place of
// the chat, as a fork would. The first right answer ends a round.
package app

import (
	"context"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

const players = "players"

var questions = []struct{ Text, answer string }{
	{"Which planet has the most moons?", "Saturn"},
	{"How many legs has a spider?", "8"},
	{"In which year did Go become public?", "2009"},
}

// What clients get.
type (
	question struct {
		Type string `json:"type"` // question
		Text string `json:"text"`
	}
	result struct {
		Type  string `json:"type"` // result
		Right bool   `json:"right"`
	}
	winner struct {
		Type string `json:"type"` // winner
		Name string `json:"name"`
	}
)

// round is the number of the question that a player is at, in the state of the
// connection.
const round = "round"

// New returns the quiz.
func New(c webapp.Config) (*webapp.App, error) {
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	a.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{Groups: []string{players}}, nil
	})
	a.Events.OnEvent("next", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		n, err := handler.StateValue[int](e.State(), round)
		if err != nil {
			return nil, err
		}
		n = n%len(questions) + 1
		return &handler.EventResponse{
			Message: webpubsub.MustJSON(question{"question", questions[n-1].Text}),
			State:   map[string]any{round: n},
		}, nil
	})
	a.Events.OnEvent("answer", func(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		n, err := handler.StateValue[int](e.State(), round)
		right := err == nil && n > 0 && strings.EqualFold(strings.TrimSpace(e.Message.String()), questions[n-1].answer)
		if right {
			err = e.SendToGroup(ctx, players, webpubsub.MustJSON(winner{"winner", webapp.UserName(&e.Event)}), nil)
		}
		return &handler.EventResponse{Message: webpubsub.MustJSON(result{"result", right})}, err
	})
	return a, nil
}
