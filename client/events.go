package client

import "example.com/webpubsub"

type (
	// ConnectedEvent is sent when a new connection has been established, after its
	// groups have been joined again, except those for which a [RejoinFailedEvent]
	// follows. A recovered connection is not a new one.
	ConnectedEvent struct {
		ConnectionID string
		// UserID is empty for an anonymous client.
		UserID string
	}

	// RecoveringEvent is sent when the connection has been interrupted.
	RecoveringEvent struct{ ConnectionID string }

	// RecoveredEvent is sent when an interrupted connection has been recovered.
	RecoveredEvent struct{ ConnectionID string }

	// DisconnectedEvent is sent when a connection has ended and cannot be
	// recovered.
	DisconnectedEvent struct {
		ConnectionID string
		// Code is the WebSocket close code with which the service ended the
		// connection or interrupted it, or 1006 if there was none.
		Code int
		// Reason is the reason given by the service; often empty.
		Reason string
		// RecoveryAttempted reports whether the client tried to recover the
		// connection.
		RecoveryAttempted bool
		// Err is the error that ended the connection or the attempts to recover
		// it. It is nil after Stop.
		Err error
	}

	// StoppedEvent is sent when the client has stopped. No event follows until
	// Start is called again.
	StoppedEvent struct {
		// Err is the error that made the client give up. It is nil after Stop.
		Err error
	}

	// GroupMessage is a message that was published to a group.
	GroupMessage struct {
		Group string
		// FromUserID is the user ID of the publisher. It is empty if the publisher
		// has none, and with the protobuf subprotocols, which do not include it.
		FromUserID string
		Message    webpubsub.Message
		// SequenceID is the number of the message on this connection. It is 0
		// unless the subprotocol is reliable.
		SequenceID uint64
		// Stream is set if the message belongs to a stream. See [Client.OnStream].
		Stream *StreamInfo
	}

	// ServerMessage is a message from the application server.
	ServerMessage struct {
		Message webpubsub.Message
		// SequenceID is the number of the message on this connection. It is 0
		// unless the subprotocol is reliable.
		SequenceID uint64
	}

	// RejoinFailedEvent is sent when a group could not be joined again on a new
	// connection.
	RejoinFailedEvent struct {
		Group string
		Err   error
	}

	// GroupStateChangedEvent is sent when the state of a group has changed. See
	// [Client.GroupState].
	GroupStateChangedEvent struct{ Group string }
)

// StreamInfo describes the position of a message in a stream.
type StreamInfo struct {
	StreamID string
	// SequenceID is the number of the message in the stream, counted from 1.
	SequenceID uint64
	// EndOfStream is set for the last message, which may be empty.
	EndOfStream bool
	// Err is the error that ended the stream, nil if it ended normally.
	Err error
}
