package wire

import "example.com/webpubsub"

// Downstream is a frame from the service to the client: one of [Connected],
// [Disconnected], [Ack], [Data], [Pong], [InvokeResponse], [StreamAck],
// [StreamNack], [StreamClosed], [GroupState] and, when decoded, [Unknown].
type Downstream interface{ downstream() }

// Values of [Data.From].
const (
	FromGroup  = "group"
	FromServer = "server"
)

type (
	// Connected is the first frame of every new connection.
	Connected struct {
		ConnectionID string
		// UserID is nil for an anonymous client. Protobuf has no null, so there
		// an empty user id reads as nil too.
		UserID *string
		// ReconnectionToken recovers a dropped connection. Empty unless the
		// protocol is reliable. It is a secret.
		ReconnectionToken string
	}

	// Disconnected announces that the service closes the connection, with the reason.
	Disconnected struct{ Message string }

	// Ack acknowledges an upstream frame that has an ack id. A nil Error is success.
	Ack struct {
		AckID uint64
		Error *Error
	}

	// Error is why the service rejected a frame. Names are an open set; known
	// ones are Forbidden, BadRequest, Duplicate and InternalServerError.
	Error struct{ Name, Message string }

	// Data delivers a message that was published to a group or sent by the
	// server.
	Data struct {
		// From is [FromGroup] or [FromServer].
		From string
		// Group is the group that the message was published to; only from a group.
		Group string
		// FromUserID is the publisher, nil if unknown. Only from a group,
		// and only in the JSON family: protobuf frames have no such field.
		FromUserID *string
		Message    webpubsub.Message
		// Stream is set if the message is a stream message.
		Stream *StreamInfo
		// SequenceID numbers the messages of a reliable connection from 1; 0 is
		// none. [Protocol.EncodeData] ignores it: see [Encoded.Append].
		SequenceID uint64
	}

	// Pong is the response to a [Ping].
	Pong struct{}

	// InvokeResponse is the response to an [Invoke]. If Error is nil, it succeeded, and
	// Message is the reply of the event handler, zero if there is none.
	InvokeResponse struct {
		InvocationID string
		Message      webpubsub.Message
		Error        *Error
	}

	// StreamInfo identifies a stream message.
	StreamInfo struct {
		StreamID   string
		SequenceID uint64
		// EndOfStream marks the last frame, which may come without a payload.
		EndOfStream bool
		// Error is why the stream ended, nil if it ended normally.
		Error *StreamError
	}

	// StreamError is why a stream ended. Message and UserErrorCode may be empty.
	StreamError struct{ Name, Message, UserErrorCode string }

	// StreamAck acknowledges every stream message before the number.
	StreamAck struct {
		StreamID           string
		ExpectedSequenceID uint64
	}

	// StreamNack rejects a stream message: ExpectedSequenceID is the one that the
	// service expects.
	StreamNack struct {
		StreamID           string
		ExpectedSequenceID uint64
		Name, Message      string
	}

	// StreamClosed reports to the publisher that its stream has ended. A nil Error means
	// that it ended as requested.
	StreamClosed struct {
		StreamID string
		Error    *Error
	}

	// GroupState is the state of a group: all of it in a snapshot, otherwise
	// the entries that changed.
	GroupState struct {
		Snapshot bool
		Group    string
		Items    []GroupStateItem
		// SequenceID is 0 for none, which is what a service sends: the field is
		// there in protobuf, and a client has to acknowledge what is numbered.
		SequenceID uint64
	}

	// GroupStateItem is the entry of one connection. A nil State means that
	// the connection cleared it.
	GroupStateItem struct {
		ConnectionID string
		UserID       *string
		State        map[string]string
		// UpdatedAt is in milliseconds since 1970.
		UpdatedAt int64
	}

	// Unknown is a well-formed frame that this package does not know: a type, a
	// sender or a system event of a newer service. A client ignores it, but
	// acknowledges its number.
	Unknown struct {
		// Type is the unknown name, for a log.
		Type string
		// SequenceID is the frame's number, 0 for none.
		SequenceID uint64
	}
)

// Error returns the name and the message.
func (e *Error) Error() string { return e.Name + ": " + e.Message }

// Error returns the name and the message.
func (e *StreamError) Error() string { return e.Name + ": " + e.Message }

func (Connected) downstream()      {}
func (Disconnected) downstream()   {}
func (Ack) downstream()            {}
func (Data) downstream()           {}
func (Pong) downstream()           {}
func (InvokeResponse) downstream() {}
func (StreamAck) downstream()      {}
func (StreamNack) downstream()     {}
func (StreamClosed) downstream()   {}
func (GroupState) downstream()     {}
func (Unknown) downstream()        {}
