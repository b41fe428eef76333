// Command dashboard shows jobs while they run. It only lets pages receive: what they
// show is sent by the jobs, which are other programs, see the folder job.
//
//	go run ./cmd/webpubsub dev -app ./examples/dashboard
//	go run ./examples/dashboard/job
package main

import (
	"context"
	"embed"

	"example.com/webpubsub/examples/dashboard/progress"
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
	// The client needs no role: the connection joins the group, and cannot publish.
	a.OnConnect(func(context.Context, *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{Groups: []string{progress.Group}}, nil
	})
	return a, nil
}
