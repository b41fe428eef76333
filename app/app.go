package app

import (
	"embed"
	"io/fs"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/webapp"
)

//go:embed page
var pageFiles embed.FS

// New returns the chat. The programs in functions and the command dev call it; an
// application that replaces this package must have it.
func New(c webapp.Config) (*webapp.App, error) {
	page, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	c.Page = page
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	store, err := newStore(c)
	if err != nil {
		return nil, err
	}
	chat := &chat{service: a.Service, store: store, log: a.Log}
	a.OnConnect(chat.connect)
	a.Events.OnConnected(chat.connected)
	a.Events.OnDisconnected(chat.disconnected)
	a.Events.OnEvent("join", handler.JSONEvent(chat.join))
	a.Events.OnEvent("leave", handler.JSONEvent(chat.leave))
	a.Events.OnEvent("message", chat.message)
	return a, nil
}
