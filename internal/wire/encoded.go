package wire

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encoded is a data message encoded once, for many connections: make one with
// [Protocol.EncodeData]. It is immutable, so goroutines may share it. The zero
// Encoded adds nothing.
type Encoded struct {
	protocol Protocol
	// body is what every connection gets: in JSON the whole object, in protobuf
	// the fields of the DataMessage.
	body []byte
}

const sequencePrefix = `{"sequenceId":`

// Len returns the exact number of bytes that Append adds for the number.
func (e Encoded) Len(seq uint64) int {
	numbered := e.protocol.Reliable() && seq > 0
	n := len(e.body)
	switch {
	case e.protocol.Binary():
		if numbered {
			n += len(sequenceIDTag) + protowire.SizeVarint(seq)
		}
		return len(dataMessageTag) + protowire.SizeBytes(n)
	case numbered:
		return len(sequencePrefix) + digits(seq) + n // a comma for the brace
	}
	return n
}

// Append adds the frame to dst and returns the result. In a reliable protocol
// the frame gets the number, unless it is 0; in the others it is ignored. It
// allocates nothing but what dst needs to grow.
func (e Encoded) Append(dst []byte, seq uint64) []byte {
	numbered := e.protocol.Reliable() && seq > 0
	switch {
	case e.protocol.Binary():
		n := len(e.body)
		if numbered {
			n += len(sequenceIDTag) + protowire.SizeVarint(seq)
		}
		dst = append(dst, dataMessageTag...)
		dst = protowire.AppendVarint(dst, uint64(n))
		dst = append(dst, e.body...)
		if numbered {
			dst = append(dst, sequenceIDTag...)
			dst = protowire.AppendVarint(dst, seq)
		}
		return dst
	case numbered:
		// First, as in the examples of the reliable JSON subprotocol reference.
		dst = append(dst, sequencePrefix...)
		dst = strconv.AppendUint(dst, seq, 10)
		dst = append(dst, ',')
		return append(dst, e.body[1:]...)
	}
	return append(dst, e.body...)
}

// digits returns the number of decimal digits of n.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}
