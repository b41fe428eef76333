package wire

import "strconv"

// Encoded is a data message encoded once, for many connections: make one with
// [Protocol.EncodeData]. It is immutable, so goroutines may share it. The zero
// Encoded adds nothing.
type Encoded struct {
	protocol Protocol
	// body is the frame without a sequence id: in JSON the whole object.
	body []byte
}

const sequencePrefix = `{"sequenceId":`

// Len returns the exact number of bytes that Append adds for the number.
func (e Encoded) Len(seq uint64) int {
	if !e.protocol.Reliable() || seq == 0 {
		return len(e.body)
	}
	return len(sequencePrefix) + digits(seq) + len(e.body) // a comma for the brace
}

// Append adds the frame to dst and returns the result. In a reliable protocol
// the frame gets the number, unless it is 0; in the others it is ignored. It
// allocates nothing but what dst needs to grow.
func (e Encoded) Append(dst []byte, seq uint64) []byte {
	if !e.protocol.Reliable() || seq == 0 {
		return append(dst, e.body...)
	}
	// First, as in the examples of the reliable JSON subprotocol reference.
	dst = append(dst, sequencePrefix...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, ',')
	return append(dst, e.body[1:]...)
}

// digits returns the number of decimal digits of n.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}
