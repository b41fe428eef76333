// Package testapp is a small application for tests of what runs applications, so
// that they do not depend on the one in package app, which a fork replaces. Its
// programs are in the folder functions, as those of the real application are.
//
// A client joins the group [Group], to which a message is sent when a client connects
// or disconnects. The event "say" is sent to the group, and its reply is [Said]; the
// reply to "who" is the name of the user.
package testapp

import (
	"context"
	"embed"
	"io/fs"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

// Group is the group of all clients.
const Group = "everybody"

// Said is the reply to the event "say".
const Said = "said"

//go:embed page
var files embed.FS

// New returns the application.
func New(c webapp.Config) (*webapp.App, error) {
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	c.Page = page
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	a.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		return &handler.ConnectResponse{
			Groups: []string{Group},
			Roles:  []string{webpubsub.RoleSendToGroup(Group)},
			State:  map[string]any{visits: 1},
		}, nil
	})
	a.Events.OnConnected(func(ctx context.Context, e *handler.ConnectedEvent) error {
		return e.SendToGroup(ctx, Group, webpubsub.Text(e.UserID+" connected"), nil)
	})
	a.Events.OnDisconnected(func(ctx context.Context, e *handler.DisconnectedEvent) error {
		if n, err := handler.StateValue[int](e.State(), visits); n == 0 || err != nil {
			return err // the connect event has not seen this connection
		}
		return e.SendToGroup(ctx, Group, webpubsub.Text(e.UserID+" disconnected"), nil)
	})
	a.Events.OnEvent("say", func(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		others := &webpubsub.SendOptions{Excluded: []string{e.ConnectionID}}
		if err := e.SendToGroup(ctx, Group, webpubsub.Text(webapp.UserName(&e.Event)+": "+e.Message.String()), others); err != nil {
			return nil, err
		}
		return &handler.EventResponse{Message: webpubsub.Text(Said)}, nil
	})
	a.Events.OnEvent("who", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text(webapp.UserName(&e.Event))}, nil
	})
	return a, nil
}

const visits = "visits" // key in the connection state
