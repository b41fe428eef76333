// Command minimal is the smallest application: negotiate, a page, and one event, which
// is sent back.
//
//	go run ./cmd/webpubsub dev -app ./examples/minimal
package main

import (
	"context"
	"embed"

	"example.com/webpubsub/examples/look"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

//go:embed page
var page embed.FS

func main() { webapp.Main(New) }

// New returns the application.
func New(c webapp.Config) (*webapp.App, error) {
	c.Page = look.Page(page)
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	a.Events.OnEvent("echo", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: e.Message}, nil
	})
	return a, nil
}
