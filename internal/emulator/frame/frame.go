// Package frame makes the WebSocket messages that the emulator sends: each is
// encoded once and shared by all its receivers.
package frame

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/wire"
)

// Frame is one WebSocket message for one or many connections. It is immutable
// once it is queued.
type Frame struct {
	bytes  []byte // the whole frame; nil if it is sequenced
	data   wire.Encoded
	opcode byte

	// Name is the type of the message, by which faults select it. A control frame
	// has none.
	Name string
	// Size is its length in bytes, for a sequenced one without the sequence id.
	Size int
	// Expires is when it is discarded unless it was written before. Zero: never.
	Expires time.Time
	// Closes is the code of a close frame, after which nothing is written.
	// Zero: any other frame.
	Closes int
}

// New returns an unfragmented frame with the payload.
func New(opcode byte, payload []byte) *Frame {
	b := make([]byte, 0, len(payload)+10)
	b = append(appendHeader(b, opcode, len(payload)), payload...)
	return &Frame{bytes: b, opcode: opcode, Size: len(b)}
}

// NewSequenced returns a message of a reliable protocol, of which each
// connection's copy has its own sequence id.
func NewSequenced(opcode byte, data wire.Encoded) *Frame {
	return &Frame{data: data, opcode: opcode, Size: data.Len(1)}
}

// NewClose returns a close frame. The reason is cut to the limit of a control
// frame (RFC 6455, section 5.5).
func NewClose(code int, reason string) *Frame {
	const limit = 123
	if len(reason) > limit {
		reason = reason[:limit]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	f := New(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
	f.Closes = code
	return f
}

// Join returns one frame of two, of which the second is a close frame: a queue
// takes both or none.
func Join(a, b *Frame) *Frame {
	return &Frame{bytes: append(a.bytes[:len(a.bytes):len(a.bytes)], b.bytes...), opcode: b.opcode, Size: a.Size + b.Size, Closes: b.Closes}
}

// Sequenced reports whether the frame takes a sequence id.
func (f *Frame) Sequenced() bool { return f.bytes == nil }

// Append appends the frame to b. seq is the sequence id of a sequenced one.
func (f *Frame) Append(b []byte, seq uint64) []byte {
	if f.bytes != nil {
		return append(b, f.bytes...)
	}
	return f.data.Append(appendHeader(b, f.opcode, f.data.Len(seq)), seq)
}

// appendHeader appends the header of an unmasked, unfragmented frame (RFC 6455,
// section 5.2). The emulator encodes frames itself so that many of them share
// one write, and one encoding serves many connections.
func appendHeader(b []byte, opcode byte, n int) []byte {
	b = append(b, 0x80|opcode)
	switch {
	case n < 126:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
}
