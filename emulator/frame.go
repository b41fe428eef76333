package emulator

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// frame is one WebSocket message on its way to one or many connections. It is
// immutable once made.
type frame struct {
	// bytes is the whole WebSocket frame of a message that is the same for
	// everybody. It is nil for a sequenced one, which is made from data.
	bytes []byte
	// data is a message of a reliable protocol: each connection's copy carries a
	// sequence id of its own.
	data   wire.Encoded
	opcode byte
	name   string // its type, for faults; a control frame has none
	size   int
	// expires is when the message is no longer worth delivering; zero is never.
	expires time.Time
	// closes is the code of a close frame, which ends the link; else zero.
	closes int
}

func (f *frame) sequenced() bool { return f.bytes == nil }

// append adds the WebSocket frame to b.
func (f *frame) append(b []byte, seq uint64) []byte {
	if f.bytes != nil {
		return append(b, f.bytes...)
	}
	return f.data.Append(appendHeader(b, f.opcode, f.data.Len(seq)), seq)
}

// appendHeader adds the header of an unmasked, unfragmented frame (RFC 6455,
// section 5.2). The emulator writes its frames itself so that many of them can
// share one write, and one encoding can serve many connections.
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

func newFrame(opcode byte, payload []byte) *frame {
	b := make([]byte, 0, len(payload)+10)
	b = append(appendHeader(b, opcode, len(payload)), payload...)
	return &frame{bytes: b, opcode: opcode, size: len(b)}
}

// closeFrame makes a close frame. The reason is cut to what a control frame
// can hold (RFC 6455, section 5.5).
func closeFrame(code int, reason string) *frame {
	const most = 123
	if len(reason) > most {
		reason = reason[:most]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	f := newFrame(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
	f.closes = code
	return f
}

func opcodeOf(p wire.Protocol) byte {
	if p.Binary() {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

// downstream makes the frame of anything but a data message.
func downstream(p wire.Protocol, d wire.Downstream) (*frame, error) {
	payload, err := p.AppendDownstream(nil, d)
	if err != nil {
		return nil, err
	}
	f := newFrame(opcodeOf(p), payload)
	f.name = frameName(d)
	return f, nil
}

// broadcast is one message for many connections, encoded once for each
// protocol that is among them. It belongs to one goroutine.
type broadcast struct {
	data    wire.Data
	expires time.Time
	mqtt    *mqttMessage // what MQTT clients get; nil until one is among them
	from    *conn        // an MQTT client that published it
	frames  [wire.ReliableProtobuf + 1]*frame
	err     error
}

// to queues the message to c and returns how many got it: one or none.
func (b *broadcast) to(c *conn, keep func(*conn) bool) int {
	if keep != nil && !keep(c) {
		return 0
	}
	if c.mqtt != nil {
		return b.toMQTT(c)
	}
	f := b.frames[c.protocol]
	if f == nil {
		if f = b.encode(c.protocol); f == nil {
			return 0
		}
		b.frames[c.protocol] = f
	}
	c.send(f)
	return 1
}

func (b *broadcast) encode(p wire.Protocol) *frame {
	if p == 0 {
		if b.data.Message.IsZero() {
			return nil // the end of a stream means nothing to a simple client
		}
		return b.finish(simpleFrame(b.data.Message))
	}
	e, err := p.EncodeData(b.data)
	if err != nil {
		b.err = err
		return nil
	}
	if p.Reliable() {
		return b.finish(&frame{data: e, opcode: opcodeOf(p), size: e.Len(1)})
	}
	return b.finish(newFrame(opcodeOf(p), e.Append(nil, 0)))
}

func (b *broadcast) finish(f *frame) *frame {
	f.expires, f.name = b.expires, "message"
	return f
}

// simpleFrame is what a client without a subprotocol gets: the bare payload.
func simpleFrame(m webpubsub.Message) *frame {
	if m.Type == webpubsub.DataTypeText || m.Type == webpubsub.DataTypeJSON {
		return newFrame(websocket.TextMessage, m.Data)
	}
	return newFrame(websocket.BinaryMessage, m.Data)
}
