package session

import (
	"fmt"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
)

// receiver is a session whose frames are whole WebSocket messages.
type receiver interface {
	// decode reads a message. The frame's name is that by which faults select it.
	decode(opcode int, data []byte) (frame any, name string, v *violation)
	// receive takes a frame that the current link has brought.
	receive(frame any, size int, by *journal.Cause)
}

// serve reads a link to its end.
func (b *base) serve(l *transport.Link) {
	l.Listen()
	tasks := b.srv.Tasks
	for {
		opcode, data, err := l.Read()
		tasks.Begin()
		if err == nil {
			b.receive(l, opcode, data)
			tasks.End()
			continue
		}
		if b.readFailed(l, err) {
			tasks.End()
			err = l.Discard()
			tasks.Begin()
		}
		b.linkEnded(l, err)
		tasks.End()
		return
	}
}

// receive handles one message of the client. What a link brings after another
// one has taken over counts as lost: the client sends it again.
func (b *base) receive(l *transport.Link, opcode int, data []byte) {
	r := b.client.(receiver)
	if opcode == websocket.TextMessage && !utf8.Valid(data) {
		if b.current(l) {
			b.violated(&violation{
				websocket.CloseInvalidFramePayloadData, "The client message is not valid UTF-8.",
				"a text message must be UTF-8 (RFC 6455, section 8.1)",
			}, nil)
		}
		return
	}
	frame, name, v := r.decode(opcode, data)
	by := b.cause(name, data)
	if v == nil && !b.applyFaults(fault.AtReceive, name, l) {
		return
	}
	switch {
	case !b.current(l):
	case v != nil:
		b.violated(v, by)
	default:
		// The service disconnects the client; its close code is not documented. All that
		// a client sends counts, as whole WebSocket messages: what the service counts of
		// them is not documented either.
		if e := b.ticket.Receive(len(data)); e != nil {
			b.violated(&violation{websocket.ClosePolicyViolation, e.Text, e.Rule}, by)
			return
		}
		r.receive(frame, len(data), by)
	}
}

// cause returns the cause of what follows from a frame of the client.
func (b *base) cause(name string, raw []byte) *journal.Cause {
	by := b.srv.Journal.Begin(journal.CauseFrame)
	if by != nil {
		by.SetFrame(journal.Frame{Type: name, Protocol: journal.ProtocolName(b.conn.Subprotocol), Raw: journal.NewPayload(raw, "")})
	}
	return by
}

func opcodeViolation(kind, want, protocol string) *violation {
	return &violation{
		websocket.CloseUnsupportedData, fmt.Sprintf("The %s subprotocol requires %s messages.", kind, want),
		fmt.Sprintf("frames of %s are %s messages", protocol, want),
	}
}
