package wire

// Encoded is a data message encoded once, for many connections. It is
// immutable: goroutines may share it.
type Encoded struct {
	p    Protocol
	body []byte
}

// Len returns the exact length of what Append adds for the number.
func (e Encoded) Len(seq uint64) int { return len(e.body) }

// Append adds the frame to dst and returns the result.
func (e Encoded) Append(dst []byte, seq uint64) []byte { return append(dst, e.body...) }
