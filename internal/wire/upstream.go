package wire

import "example.com/webpubsub"

// Upstream is a frame from the client to the service: one of [JoinGroup],
// [LeaveGroup], [SendToGroup], [Event], [SequenceAck], [Ping], [Invoke],
// [CancelInvocation], [StreamData], [StreamEnd], [SetGroupState],
// [SubscribeGroupState] and [UnsubscribeGroupState].
//
// An AckID requests an [Ack] with the same number; nil requests none. Every uint64 is
// valid, including zero.
type Upstream interface{ upstream() }

// TargetEvent is the only known [Invoke] target.
const TargetEvent = "event"

type (
	// JoinGroup subscribes to the messages of the group.
	JoinGroup struct {
		Group string
		AckID *uint64
	}

	// LeaveGroup is the opposite of [JoinGroup].
	LeaveGroup struct {
		Group string
		AckID *uint64
	}

	// SendToGroup publishes a message to a group, or opens a stream to it.
	SendToGroup struct {
		Group string
		AckID *uint64
		// NoEcho excludes the sender from the receivers.
		NoEcho bool
		// TTLSeconds is the time to live in seconds, at most 300; 0 is no limit.
		TTLSeconds uint32
		// Message is the message to publish: never zero, unless Stream is set.
		Message webpubsub.Message
		// Stream, if not nil, opens a stream instead: Message should be zero. Neither the
		// id nor the timeout is checked here, since the service responds with an error
		// to the stream.
		Stream *StreamStart
	}

	// Event raises a user event at the event handler. The message is never zero.
	Event struct {
		Name    string
		AckID   *uint64
		Message webpubsub.Message
	}

	// SequenceAck acknowledges every data message up to the number.
	SequenceAck struct{ SequenceID uint64 }

	// Ping requests a [Pong].
	Ping struct{}

	// Invoke raises an event at the event handler and requests its reply, an
	// [InvokeResponse] with the same invocation id.
	Invoke struct {
		InvocationID string
		// Target is [TargetEvent]. It is not checked here: the service rejects
		// another one in its response. Protobuf frames have no other.
		Target string
		Event  string
		// Message may be zero: an invocation needs no payload.
		Message webpubsub.Message
	}

	// CancelInvocation cancels an invocation.
	CancelInvocation struct{ InvocationID string }

	// StreamStart is the part of a [SendToGroup] that opens a stream.
	StreamStart struct {
		StreamID string
		// IdleTimeoutMs is in milliseconds; nil is 300,000.
		IdleTimeoutMs *uint32
	}

	// StreamData is the next stream message. With neither number nor message
	// it is a keepalive that only resets the idle timer.
	StreamData struct {
		StreamID   string
		SequenceID *uint64
		Message    webpubsub.Message
	}

	// StreamEnd closes a stream, normally or with the publisher's error.
	StreamEnd struct {
		StreamID string
		Error    *StreamEndError
	}

	// StreamEndError is the error of a publisher. Empty fields are omitted from the
	// frame.
	StreamEndError struct{ Message, UserErrorCode string }

	// SetGroupState sets the connection's own entry in the state of a group. A
	// nil State clears it; an empty one does not.
	SetGroupState struct {
		Group string
		AckID *uint64
		State map[string]string
	}

	// SubscribeGroupState requests a snapshot of the group's state and its later
	// changes.
	SubscribeGroupState struct {
		Group string
		AckID *uint64
	}

	// UnsubscribeGroupState is the opposite of [SubscribeGroupState].
	UnsubscribeGroupState struct {
		Group string
		AckID *uint64
	}
)

func (JoinGroup) upstream()             {}
func (LeaveGroup) upstream()            {}
func (SendToGroup) upstream()           {}
func (Event) upstream()                 {}
func (SequenceAck) upstream()           {}
func (Ping) upstream()                  {}
func (Invoke) upstream()                {}
func (CancelInvocation) upstream()      {}
func (StreamData) upstream()            {}
func (StreamEnd) upstream()             {}
func (SetGroupState) upstream()         {}
func (SubscribeGroupState) upstream()   {}
func (UnsubscribeGroupState) upstream() {}
