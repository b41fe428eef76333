package wsconn

import (
	"encoding/binary"
	"math/rand/v2"
	"unicode/utf8"
)

// Opcodes of frames (RFC 6455, section 5.2).
const (
	OpText   = 1
	OpBinary = 2
	OpClose  = 8
	OpPing   = 9
	OpPong   = 10
)

const (
	final  = 0x80
	masked = 0x80
	// maxControl is the size of the payload of a control frame (RFC 6455,
	// section 5.5).
	maxControl = 125
)

// AppendHeader appends the header of an unmasked, unfragmented frame whose
// payload has n bytes.
func AppendHeader(b []byte, opcode byte, n int) []byte { return appendHeader(b, opcode, 0, n) }

func appendHeader(b []byte, opcode, mask byte, n int) []byte {
	b = append(b, final|opcode)
	switch {
	case n < 126:
		return append(b, mask|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
}

// AppendFrame appends an unmasked frame, as a server sends it.
func AppendFrame(b []byte, opcode byte, payload []byte) []byte {
	return append(AppendHeader(b, opcode, len(payload)), payload...)
}

// AppendMaskedFrame appends a masked frame, as a client sends it.
func AppendMaskedFrame(b []byte, opcode byte, payload []byte) []byte {
	b = appendHeader(b, opcode, masked, len(payload))
	key := rand.Uint32() // from a generator that cannot be predicted
	b = binary.LittleEndian.AppendUint32(b, key)
	start := len(b)
	b = append(b, payload...)
	data := b[start:]
	wide := uint64(key)<<32 | uint64(key)
	for ; len(data) >= 8; data = data[8:] {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^wide)
	}
	for i := range data {
		data[i] ^= byte(wide >> (8 * i))
	}
	return b
}

// ClosePayload returns the payload of a close frame. A reason that is too long
// is cut at a character. Code 0 makes an empty payload.
func ClosePayload(code int, reason string) []byte {
	if code == 0 {
		return nil
	}
	const most = maxControl - 2
	if len(reason) > most {
		reason = reason[:most]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}
