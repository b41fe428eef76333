package client

import (
	"runtime/debug"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

type (
	// Connected says that a new connection stands. Its groups have been joined
	// again, except those for which a [RejoinFailed] follows. A recovered
	// connection is not a new one.
	Connected struct {
		ConnectionID string
		// UserID is empty for an anonymous client.
		UserID string
	}

	// Recovering says that the connection was interrupted.
	Recovering struct{ ConnectionID string }

	// Recovered says that an interrupted connection goes on.
	Recovered struct{ ConnectionID string }

	// Disconnected says that a connection is lost for good.
	Disconnected struct {
		ConnectionID string
		// Code is the WebSocket close code of the interruption: that of the
		// service, or 1006 where the connection broke without one.
		Code int
		// Reason is what the service said about it, if anything.
		Reason string
		// RecoveryTried tells whether an attempt was made to recover the
		// connection.
		RecoveryTried bool
		// Err is the last thing that went wrong: what ended the connection or
		// the attempts to recover it. It is nil after Stop.
		Err error
	}

	// Stopped says that the client has stopped: nothing follows, until Start is
	// called again.
	Stopped struct {
		// Err is why the client gave up, nil where Stop was called.
		Err error
	}

	// GroupMessage is a message that was published to a group.
	GroupMessage struct {
		Group string
		// FromUserID is the publisher, where it is known. The protobuf protocols
		// do not tell.
		FromUserID string
		Message    webpubsub.Message
		// SequenceID is the number of the message on this connection, in a
		// reliable protocol.
		SequenceID uint64
		// Stream is set where the message is a part of a stream. See
		// [Client.OnStream].
		Stream *StreamInfo
	}

	// ServerMessage is a message from the application server.
	ServerMessage struct {
		Message    webpubsub.Message
		SequenceID uint64
	}

	// RejoinFailed says that a new connection could not join a group of the
	// lost one.
	RejoinFailed struct {
		Group string
		Err   error
	}

	// GroupStateChanged says that the state of a subscribed group changed. See
	// [Client.GroupState].
	GroupStateChanged struct{ Group string }
)

// StreamInfo says which part of which stream a message is.
type StreamInfo struct {
	StreamID string
	// SequenceID counts the parts from 1.
	SequenceID uint64
	// EndOfStream marks the last part, which may be empty.
	EndOfStream bool
	// Err says why the stream ended, nil if normally.
	Err error
}

// leftGroup says that what arrives of the group has an end here.
type leftGroup string

// callbacks is what is called for each event. A set is not modified: each
// change makes a new one.
type callbacks struct {
	connected         func(Connected)
	recovering        func(Recovering)
	recovered         func(Recovered)
	disconnected      func(Disconnected)
	stopped           func(Stopped)
	groupMessage      func(GroupMessage)
	serverMessage     func(ServerMessage)
	rejoinFailed      func(RejoinFailed)
	groupStateChanged func(GroupStateChanged)
	stream            func(*InStream)
}

func (c *Client) setCallback(set func(*callbacks)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *c.callbacks.Load()
	set(&next)
	c.callbacks.Store(&next)
}

// OnConnected sets what is called when a new connection stands. There is one
// callback for each event: a second call replaces the first, nil removes it.
// Set callbacks before Start, so as to miss nothing.
func (c *Client) OnConnected(f func(Connected)) {
	c.setCallback(func(s *callbacks) { s.connected = f })
}

// OnRecovering sets what is called when the connection is interrupted and an
// attempt is made to recover it.
func (c *Client) OnRecovering(f func(Recovering)) {
	c.setCallback(func(s *callbacks) { s.recovering = f })
}

// OnRecovered sets what is called when an interrupted connection goes on.
func (c *Client) OnRecovered(f func(Recovered)) {
	c.setCallback(func(s *callbacks) { s.recovered = f })
}

// OnDisconnected sets what is called when a connection is lost for good, or
// ended by Stop.
func (c *Client) OnDisconnected(f func(Disconnected)) {
	c.setCallback(func(s *callbacks) { s.disconnected = f })
}

// OnStopped sets what is called last, when the client has stopped or given up.
// It may call Start.
func (c *Client) OnStopped(f func(Stopped)) {
	c.setCallback(func(s *callbacks) { s.stopped = f })
}

// OnGroupMessage sets what is called for each message of a group.
func (c *Client) OnGroupMessage(f func(GroupMessage)) {
	c.setCallback(func(s *callbacks) { s.groupMessage = f })
}

// OnServerMessage sets what is called for each message of the application
// server: what it sends through the REST API, and its replies to events.
func (c *Client) OnServerMessage(f func(ServerMessage)) {
	c.setCallback(func(s *callbacks) { s.serverMessage = f })
}

// OnRejoinFailed sets what is called for each group that a new connection could
// not join again. It is not tried again.
func (c *Client) OnRejoinFailed(f func(RejoinFailed)) {
	c.setCallback(func(s *callbacks) { s.rejoinFailed = f })
}

// OnGroupStateChanged sets what is called when the state of a group, to which
// [Client.SubscribeGroupState] subscribed, has changed.
func (c *Client) OnGroupStateChanged(f func(GroupStateChanged)) {
	c.setCallback(func(s *callbacks) { s.groupStateChanged = f })
}

// call runs the callback of one event. Whatever a callback does wrong stays in it.
func (c *Client) call(event any, in *streamDispatcher) {
	defer func() {
		if p := recover(); p != nil {
			c.o.Logger.Error("a callback of the Web PubSub client panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	s := c.callbacks.Load()
	switch e := event.(type) {
	case wire.Data:
		if e.From == wire.FromServer {
			run1(s.serverMessage, ServerMessage{e.Message, e.SequenceID})
		} else if e.Stream != nil && s.stream != nil {
			in.handleMessage(e, s.stream)
		} else if s.groupMessage != nil {
			s.groupMessage(groupMessage(e))
		}
	case Connected:
		run1(s.connected, e)
	case Recovering:
		run1(s.recovering, e)
	case Recovered:
		run1(s.recovered, e)
	case Disconnected:
		if e.Err != nil {
			in.endAll(ErrConnectionLost)
		}
		run1(s.disconnected, e)
	case Stopped:
		run1(s.stopped, e)
	case leftGroup:
		in.endGroup(string(e))
	case RejoinFailed:
		run1(s.rejoinFailed, e)
	case GroupStateChanged:
		run1(s.groupStateChanged, e)
	}
}

func run1[E any](f func(E), e E) {
	if f != nil {
		f(e)
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
