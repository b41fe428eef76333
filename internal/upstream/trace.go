package upstream

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// traceParentForm is a traceparent header of version 00 (W3C Trace Context,
// section 3.2).
var traceParentForm = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)

// traceParent returns the traceparent header of a request: a new span of the
// trace that the client began, or else of one trace for each connection.
func (e Event) traceParent() string {
	trace, flags := "", "00"
	if m := traceParentForm.FindStringSubmatch(e.TraceParent); m != nil && m[1] != zeros[:32] && m[2] != zeros[:16] {
		trace, flags = m[1], m[3]
	} else {
		sum := sha256.Sum256([]byte(e.Hub + "/" + e.ConnectionID))
		trace = hex.EncodeToString(sum[:16])
	}
	var span [8]byte
	rand.Read(span[:])
	span[0] |= 1 // a span id is not all zeros
	return "00-" + trace + "-" + hex.EncodeToString(span[:]) + "-" + flags
}

const zeros = "00000000000000000000000000000000"
