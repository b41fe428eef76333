package journal

import (
	"bytes"
	"time"
)

// Body keeps the beginning of a body that passes in parts. The zero value is empty.
type Body struct {
	kept  bytes.Buffer
	bytes int
}

// Add adds the next part, of which it keeps a copy as far as there is room.
func (b *Body) Add(part []byte) {
	b.bytes += len(part)
	b.kept.Write(part[:min(len(part), MaxPayload-b.kept.Len())])
}

// Len returns how many bytes have passed.
func (b *Body) Len() int { return b.bytes }

// Payload returns what was kept. Nothing may be added after it.
func (b *Body) Payload(contentType string) Payload {
	return Payload{Data: b.kept.Bytes(), Bytes: b.bytes, ContentType: contentType}
}

// Milliseconds returns a duration as the JSON of the control API has it, to the
// microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
