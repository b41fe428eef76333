package wire

import (
	"errors"
	"fmt"

	"example.com/webpubsub"
)

// DecodeUpstream reads a frame from a client, and checks it by the rules of the
// client protocol: names, metadata, time to live, data that fits its type. The
// error names the broken rule, for the log; the connection is to be closed
// with status 1007. The result may share memory with the frame, which must not
// be modified afterwards.
//
// In the JSON family the type and the data type are taken in any letter case,
// member names only as they are written in the specification. An optional
// member that is null counts as absent, except data.
func (p Protocol) DecodeUpstream(frame []byte) (Upstream, error) {
	if !p.known() {
		return nil, errProtocol
	}
	u, err := p.decodeUpstream(frame)
	if err != nil {
		return nil, fmt.Errorf("wire: invalid frame: %w", err)
	}
	return u, nil
}

func (p Protocol) decodeUpstream(frame []byte) (Upstream, error) {
	if p.Binary() {
		return decodeProtoUpstream(frame)
	}
	return decodeJSONUpstream(frame)
}

// AppendUpstream adds the frame that a client sends for u to dst, and returns
// the result. If DecodeUpstream would reject the frame, it returns dst unchanged and
// an error.
func (p Protocol) AppendUpstream(dst []byte, u Upstream) ([]byte, error) {
	if !p.known() {
		return dst, errProtocol
	}
	err := checkUpstream(u)
	if err == nil {
		err = checkUpstreamPayload(u)
	}
	out := dst
	if err == nil {
		if p.Binary() {
			out, err = appendProtoUpstream(dst, u)
		} else {
			out, err = appendJSONUpstream(dst, u)
			if err == nil && TooDeep(out[len(dst):]) {
				err = errDepth
			}
		}
	}
	if err != nil {
		return dst, fmt.Errorf("wire: cannot send the frame: %w", err)
	}
	return out, nil
}

func checkUpstreamPayload(u Upstream) error {
	var m webpubsub.Message
	switch u := u.(type) {
	case SendToGroup:
		m = u.Message
	case Event:
		m = u.Message
	case Invoke:
		m = u.Message
	case StreamData:
		m = u.Message
	}
	if m.IsZero() {
		return nil
	}
	return CheckPayload(m)
}

// AppendDownstream adds the frame that the service sends for d to dst, and
// returns the result. For [Data] that goes to many connections, use
// [Protocol.EncodeData]. For an [Unknown] and for a payload that does not match
// its type, it returns dst unchanged and an error. JSON null as the response to an
// invocation is sent as an empty response.
func (p Protocol) AppendDownstream(dst []byte, d Downstream) ([]byte, error) {
	if !p.known() {
		return dst, errProtocol
	}
	if d, ok := d.(Data); ok {
		e, err := p.EncodeData(d)
		if err != nil {
			return dst, err
		}
		return e.Append(dst, d.SequenceID), nil
	}
	var err error
	if r, ok := d.(InvokeResponse); ok && !r.Message.IsZero() {
		err = CheckPayload(r.Message)
		if r.Message.Type == webpubsub.DataTypeJSON && isNull(r.Message.Data) {
			r.Message = webpubsub.Message{}
			d = r
		}
	}
	out := dst
	if err == nil {
		if p.Binary() {
			out, err = appendProtoDownstream(dst, d)
		} else {
			out, err = appendJSONDownstream(dst, d)
		}
	}
	if err != nil {
		return dst, fmt.Errorf("wire: cannot send the frame: %w", err)
	}
	return out, nil
}

// DecodeDownstream reads a frame from the service. A frame of an unknown type,
// sender or system event is an [Unknown] and no error, members that are not
// known are ignored, and those that are missing read as zero, except the number
// of an [Ack]. A message of an unknown data type keeps that type and has the
// raw JSON value as its data. The result may share memory with the frame, which
// must not be modified afterwards.
func (p Protocol) DecodeDownstream(frame []byte) (Downstream, error) {
	if !p.known() {
		return nil, errProtocol
	}
	decode := decodeJSONDownstream
	if p.Binary() {
		decode = decodeProtoDownstream
	}
	d, err := decode(frame)
	if err != nil {
		return nil, fmt.Errorf("wire: invalid frame from the service: %w", err)
	}
	return d, nil
}

// EncodeData encodes a data message once, for every connection that speaks the
// protocol. [Data.SequenceID] is ignored: each connection has its own, which
// [Encoded.Append] adds.
//
// The zero Message is allowed in the last frame of a stream only, where it is
// sent as empty text, because the official JavaScript client ends a stream only
// on a frame that has a data type.
//
// It fails if the payload does not match its type, since receivers could not read the
// frame. JSON null is delivered, as the service does, though the JavaScript
// client ignores such a message.
func (p Protocol) EncodeData(d Data) (Encoded, error) {
	if !p.known() {
		return Encoded{}, errProtocol
	}
	if d.Message.IsZero() && d.Stream != nil && d.Stream.EndOfStream {
		d.Message = webpubsub.Text("")
	}
	if err := checkData(d); err != nil {
		return Encoded{}, fmt.Errorf("wire: cannot deliver the message: %w", err)
	}
	if !p.Binary() {
		return Encoded{p, encodeJSONData(d)}, nil
	}
	body, err := encodeProtoData(d)
	if err != nil {
		return Encoded{}, fmt.Errorf("wire: cannot deliver the message: %w", err)
	}
	return Encoded{p, body}, nil
}

func checkData(d Data) error {
	if d.From != FromGroup && d.From != FromServer {
		return fmt.Errorf("it is from %q: it must be from %q or %q", d.From, FromGroup, FromServer)
	}
	if d.Message.IsZero() {
		return errors.New("it is empty: give a payload")
	}
	return CheckPayload(d.Message)
}
