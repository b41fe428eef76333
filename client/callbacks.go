package client

import (
	"context"
	"runtime/debug"

	"example.com/webpubsub/internal/wire"
)

// callbacks are the functions that are called for events. A set is immutable:
// each change makes a new one.
type callbacks struct {
	connected         func(context.Context, ConnectedEvent)
	recovering        func(context.Context, RecoveringEvent)
	recovered         func(context.Context, RecoveredEvent)
	disconnected      func(context.Context, DisconnectedEvent)
	stopped           func(context.Context, StoppedEvent)
	groupMessage      func(context.Context, GroupMessage)
	serverMessage     func(context.Context, ServerMessage)
	rejoinFailed      func(context.Context, RejoinFailedEvent)
	groupStateChanged func(context.Context, GroupStateChangedEvent)
	stream            func(context.Context, *IncomingStream)
}

func (c *Client) setCallback(set func(*callbacks)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *c.callbacks.Load()
	set(&next)
	c.callbacks.Store(&next)
}

// OnConnected registers the callback for new connections. Each event has one
// callback: registering another one replaces it, and nil removes it. Register
// callbacks before Start to receive every event.
//
// The context of every callback is canceled when Stop is called or the client
// gives up. See the package documentation.
func (c *Client) OnConnected(f func(context.Context, ConnectedEvent)) {
	c.setCallback(func(s *callbacks) { s.connected = f })
}

// OnRecovering registers the callback for interruptions of the connection.
func (c *Client) OnRecovering(f func(context.Context, RecoveringEvent)) {
	c.setCallback(func(s *callbacks) { s.recovering = f })
}

// OnRecovered registers the callback for connections that have been recovered.
func (c *Client) OnRecovered(f func(context.Context, RecoveredEvent)) {
	c.setCallback(func(s *callbacks) { s.recovered = f })
}

// OnDisconnected registers the callback for connections that have ended: they
// could not be recovered, or Stop was called.
func (c *Client) OnDisconnected(f func(context.Context, DisconnectedEvent)) {
	c.setCallback(func(s *callbacks) { s.disconnected = f })
}

// OnStopped registers the callback that is called last, when the client has
// stopped or given up. It may call Start.
func (c *Client) OnStopped(f func(context.Context, StoppedEvent)) {
	c.setCallback(func(s *callbacks) { s.stopped = f })
}

// OnGroupMessage registers the callback for messages that are published to
// groups.
func (c *Client) OnGroupMessage(f func(context.Context, GroupMessage)) {
	c.setCallback(func(s *callbacks) { s.groupMessage = f })
}

// OnServerMessage registers the callback for messages of the application server:
// those that it sends through the REST API, and its replies to events.
func (c *Client) OnServerMessage(f func(context.Context, ServerMessage)) {
	c.setCallback(func(s *callbacks) { s.serverMessage = f })
}

// OnRejoinFailed registers the callback for groups that could not be joined again
// on a new connection. The client does not try again.
func (c *Client) OnRejoinFailed(f func(context.Context, RejoinFailedEvent)) {
	c.setCallback(func(s *callbacks) { s.rejoinFailed = f })
}

// OnGroupStateChanged registers the callback for changes of the state of groups
// that [Client.SubscribeGroupState] has subscribed to.
func (c *Client) OnGroupStateChanged(f func(context.Context, GroupStateChangedEvent)) {
	c.setCallback(func(s *callbacks) { s.groupStateChanged = f })
}

// deliver calls the callbacks for the events of the queue.
func (r *run) deliver() {
	defer close(r.delivered)
	if r.prevDelivered != nil {
		<-r.prevDelivered
	}
	streams := newStreamDispatcher(r)
	defer streams.readers.Wait()
	defer streams.endAll(ErrNotRunning)
	for items := r.queue.take(); items != nil; items = r.queue.take() {
		for i := range items {
			it := &items[i]
			if it.barrier == nil {
				r.call(it.event, streams)
				continue
			}
			failed := it.barrier.wait(r.ctx, func(f RejoinFailedEvent) { r.queue.push(item{event: f}, true) })
			r.call(it.event, streams)
			for _, f := range failed {
				r.call(f, streams)
			}
		}
	}
}

// leftGroup marks the place in the queue after which no message of the group
// follows.
type leftGroup string

// call calls the callback of one event. It recovers panics.
func (r *run) call(event any, streams *streamDispatcher) {
	defer func() {
		if p := recover(); p != nil {
			r.c.o.Logger.Error("panic in callback of the Web PubSub client", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s, ctx := r.c.callbacks.Load(), r.callbackCtx
	switch e := event.(type) {
	case wire.Data:
		switch {
		case e.From == wire.FromServer:
			callIf(ctx, s.serverMessage, ServerMessage{e.Message, e.SequenceID})
		case e.Stream != nil && s.stream != nil:
			streams.handleMessage(e, s.stream)
		case s.groupMessage != nil:
			s.groupMessage(ctx, groupMessage(e))
		}
	case ConnectedEvent:
		callIf(ctx, s.connected, e)
	case RecoveringEvent:
		callIf(ctx, s.recovering, e)
	case RecoveredEvent:
		callIf(ctx, s.recovered, e)
	case DisconnectedEvent:
		if e.Err != nil {
			streams.endAll(ErrConnectionLost)
		}
		callIf(ctx, s.disconnected, e)
	case StoppedEvent:
		callIf(ctx, s.stopped, e)
	case leftGroup:
		streams.endGroup(string(e))
	case RejoinFailedEvent:
		callIf(ctx, s.rejoinFailed, e)
	case GroupStateChangedEvent:
		callIf(ctx, s.groupStateChanged, e)
	}
}

func callIf[E any](ctx context.Context, f func(context.Context, E), e E) {
	if f != nil {
		f(ctx, e)
	}
}

func groupMessage(d wire.Data) GroupMessage {
	m := GroupMessage{Group: d.Group, Message: d.Message, SequenceID: d.SequenceID}
	if d.FromUserID != nil {
		m.FromUserID = *d.FromUserID
	}
	if s := d.Stream; s != nil {
		m.Stream = &StreamInfo{StreamID: s.StreamID, SequenceID: s.SequenceID, EndOfStream: s.EndOfStream, Err: streamError(s.Error)}
	}
	return m
}

func streamError(e *wire.StreamError) error {
	if e == nil {
		return nil
	}
	return &StreamError{e.Name, e.Message, e.UserErrorCode}
}
