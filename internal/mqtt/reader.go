package mqtt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// Reader reads packets from a stream of bytes.
type Reader struct {
	r   *bufio.Reader
	max int
	raw []byte
	// KeepRaw makes Raw work.
	KeepRaw bool
	// Version is how packets are read: V311 until a CONNECT packet, whole or
	// broken, is one of V5.
	Version Version
}

// NewReader returns a reader of packets of at most max bytes, which are counted
// as the property Maximum Packet Size counts them: with the fixed header.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 512), max: max, Version: V311}
}

// Next returns the next packet. The error is an [*Error] where the peer breaks
// the protocol, and else the stream's: io.EOF only between packets.
func (r *Reader) Next() (Packet, error) {
	first, err := r.r.ReadByte()
	if err != nil {
		return nil, err
	}
	n, header := 0, 2
	for shift := 0; ; shift += 7 {
		c, err := r.r.ReadByte()
		if err != nil {
			return nil, midway(err)
		}
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			if c == 0 && shift > 0 {
				return nil, errOverlong
			}
			break
		}
		if shift == 21 {
			return nil, malformed("the remaining length has more than four bytes")
		}
		header++
	}
	if header+n > r.max {
		return nil, &Error{PacketTooLarge, fmt.Sprintf("a packet of %d bytes is too large: at most %d are allowed", header+n, r.max)}
	}
	// The buffer grows with what arrives: a length alone costs nothing.
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r.r, int64(n)); err != nil {
		return nil, midway(err)
	}
	if r.KeepRaw {
		r.raw = append(appendVarint([]byte{first}, uint32(n)), body.Bytes()...)
	}
	// Known before the rest is read, so that a malformed CONNECT gets a response.
	if b := body.Bytes(); Type(first>>4) == TypeConnect && len(b) > 6 && Version(b[6]) == V5 {
		r.Version = V5
	}
	return r.Version.Decode(first, body.Bytes())
}

// Raw returns the bytes of the last packet, which the caller may keep. It is nil
// without KeepRaw.
func (r *Reader) Raw() []byte { return r.raw }

// Joined returns what messages carry as one stream: packets may be split and
// joined over WebSocket messages (section 6). next returns the next message; its
// error ends the stream.
func Joined(next func() (io.Reader, error)) io.Reader { return &joined{next: next} }

type joined struct {
	next    func() (io.Reader, error)
	current io.Reader
}

func (j *joined) Read(p []byte) (n int, err error) {
	for {
		if j.current == nil {
			if j.current, err = j.next(); err != nil {
				return 0, err
			}
		}
		n, err = j.current.Read(p)
		if err == io.EOF {
			j.current, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func midway(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
