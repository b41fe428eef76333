package handler

import (
	"context"
	"errors"

	"example.com/webpubsub"
)

// Sender sends messages through the service. *service.Client implements it. A
// Sender is bound to one hub.
type Sender interface {
	SendToAll(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToUser(ctx context.Context, userID string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToConnection(ctx context.Context, connectionID string, m webpubsub.Message, o *webpubsub.SendOptions) error
}

// ErrNoSender is returned by the Send methods of [Event] if no Sender is
// configured.
var ErrNoSender = errors.New("handler: no service client configured: set Options.Sender, or call HubCallbacks.SetSender, with a *service.Client")

// SendToSender sends m to the connection that the event came from. It can be
// called several times, and for every event except connect: until the response to
// connect the connection does not exist. Of the options only TTL applies to one
// connection.
func (e *Event) SendToSender(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error {
	if e.sender == nil {
		return ErrNoSender
	}
	return e.sender.SendToConnection(ctx, e.ConnectionID, m, o)
}

// SendToAll sends m to every connection of the event's hub.
func (e *Event) SendToAll(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error {
	if e.sender == nil {
		return ErrNoSender
	}
	return e.sender.SendToAll(ctx, m, o)
}

// SendToGroup sends m to every connection in a group of the event's hub.
func (e *Event) SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	if e.sender == nil {
		return ErrNoSender
	}
	return e.sender.SendToGroup(ctx, group, m, o)
}

// SendToUser sends m to every connection of a user of the event's hub.
func (e *Event) SendToUser(ctx context.Context, userID string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	if e.sender == nil {
		return ErrNoSender
	}
	return e.sender.SendToUser(ctx, userID, m, o)
}
