package handler

import (
	"context"
	"errors"

	"example.com/webpubsub"
)

// Sender sends messages through the service. *service.Client is one; a test
// may bring its own. A sender is bound to one hub.
type Sender interface {
	SendToAll(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToUser(ctx context.Context, userID string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToConnection(ctx context.Context, connectionID string, m webpubsub.Message, o *webpubsub.SendOptions) error
}

// ErrNoSender is the error of the Send methods of [Event] in a handler that has
// no service client.
var ErrNoSender = errors.New("handler: no service client to send with: set Options.Sender, or Hub.SetSender for one hub, to a *service.Client")

// SendToSender sends m to the connection that the event came from. Unlike the
// reply of a user event it can be called any number of times, and from every
// event after connect: before connect was answered the connection does not
// exist yet. Of the options only TTL makes sense for one connection.
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
