package wire

import "example.com/webpubsub"

// Upstream is a frame from the client to the service: one of [JoinGroup],
// [LeaveGroup], [SendToGroup], [Event], [SequenceAck], [Ping], [Invoke],
// [CancelInvocation], [StreamData], [StreamEnd], [SetGroupState],
// [SubscribeGroupState] and [UnsubscribeGroupState].
//
// An AckID, where there is one, asks the service for an [Ack] with the same
// number; nil asks for none. Every uint64 is valid, zero too.
type Upstream interface{ upstream() }

// TargetEvent is the [Invoke] target that is known.
const TargetEvent = "event"

type (
	// JoinGroup asks to receive what is published to the group.
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
		// NoEcho keeps the message from its own sender.
		NoEcho bool
		// TTLSeconds is how long to try to deliver, at most 300; 0 is for ever.
		TTLSeconds uint32
		// Message is what to publish: never zero, unless Stream is set.
		Message webpubsub.Message
		// Stream, where not nil, opens a stream instead: Message should be zero.
		// Whether the stream is acceptable is for the service to say in its
		// answer, so neither the id nor the timeout is checked here.
		Stream *StreamStart
	}

	// Event raises a user event at the event handler. The message is never zero.
	Event struct {
		Name    string
		AckID   *uint64
		Message webpubsub.Message
	}

	// SequenceAck says that every data message up to the number has arrived.
	SequenceAck struct{ SequenceID uint64 }

	// Ping asks for a [Pong].
	Ping struct{}

	// Invoke raises an event at the event handler and asks for its answer, an
	// [InvokeResponse] with the same invocation id.
	Invoke struct {
		InvocationID string
		// Target is [TargetEvent]. It is not checked here: the service refuses
		// another one in its answer. Protobuf frames have no other.
		Target string
		Event  string
		// Message may be zero: an invocation needs no payload.
		Message webpubsub.Message
	}

	// CancelInvocation gives up waiting for an answer.
	CancelInvocation struct{ InvocationID string }

	// StreamStart is the part of a [SendToGroup] that opens a stream.
	StreamStart struct {
		StreamID string
		// IdleTimeoutMs is in milliseconds; nil stands for 300,000.
		IdleTimeoutMs *uint32
	}

	// StreamData is the next piece of a stream. With neither number nor message
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

	// StreamEndError is what a publisher may say of its failure. Empty fields
	// are left out of the frame.
	StreamEndError struct{ Message, UserErrorCode string }

	// SetGroupState sets the connection's own entry in the state of a group. A
	// nil State clears it; an empty one does not.
	SetGroupState struct {
		Group string
		AckID *uint64
		State map[string]string
	}

	// SubscribeGroupState asks for a snapshot of the group's state and for its
	// changes from then on.
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
