// Command aistream answers questions as a language model does: piece by piece, to the
// user who has asked, on every device of theirs.
//
//	go run ./cmd/webpubsub dev -app ./examples/aistream
package main

import (
	"context"
	"embed"
	"time"

	"example.com/webpubsub/examples/look"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

//go:embed page
var page embed.FS

func main() { webapp.Main(New) }

// New returns the application with the fake model.
func New(c webapp.Config) (*webapp.App, error) {
	return newWith(c, fakeModel{perWord: 60 * time.Millisecond})
}

func newWith(c webapp.Config, m Model) (*webapp.App, error) {
	c.Page = look.Page(page)
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	s := &answers{
		model: m, service: a.Service, log: a.Log, byUser: make(map[string]*answer),
		// Lambda stops the process after a response, until the next request.
		inRequest: c.Setting("AWS_LAMBDA_FUNCTION_NAME") != "",
	}
	// Every user may connect, and gets no role: clients send events and receive answers.
	a.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) { return nil, nil })
	a.Events.OnEvent("ask", handler.JSONEvent(s.ask))
	a.Events.OnEvent("stop", s.stop)
	a.Events.OnEvent("resume", s.resume)
	return a, nil
}
