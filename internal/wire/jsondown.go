package wire

import (
	"fmt"
	"math"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
)

// Values of type and of a system frame's event in the downstream frames.
const (
	typeSystem             = "system"
	typeAck                = "ack"
	typeMessage            = "message"
	typePong               = "pong"
	typeInvokeResponse     = "invokeResponse"
	typeStreamAck          = "streamAck"
	typeStreamNack         = "streamNack"
	typeStreamClosed       = "streamClosed"
	typeGroupStateSnapshot = "groupStateSnapshot"
	typeGroupStateUpdate   = "groupStateUpdate"

	eventConnected    = "connected"
	eventDisconnected = "disconnected"
)

func decodeJSONDownstream(frame []byte) (Downstream, error) {
	var o object
	if o.parse(frame); o.err != nil {
		return nil, o.err
	}
	typ := o.text(keyType)
	d := readDownstream(typ, &o)
	if o.err != nil {
		return nil, fmt.Errorf("%s: %w", clip.Text(typ, maxShown), o.err)
	}
	return d, nil
}

func readDownstream(typ string, o *object) Downstream {
	switch typ {
	case typeSystem:
		switch event := o.text(keyEvent); event {
		case eventConnected:
			return Connected{o.text(keyConnectionID), o.textPointer(keyUserID), o.text(keyReconnectionToken)}
		case eventDisconnected:
			return Disconnected{o.text(keyMessage)}
		default:
			return o.unknown("system event " + event)
		}
	case typeAck:
		o.require(keyAckID)
		d := Ack{AckID: o.uint(keyAckID, math.MaxUint64)}
		if !o.boolean(keySuccess) {
			d.Error = o.failure()
		}
		return d
	case typeMessage:
		from := o.text(keyFrom)
		if from != FromGroup && from != FromServer {
			return o.unknown("message from " + from)
		}
		return Data{
			From:       from,
			Group:      o.text(keyGroup),
			FromUserID: o.textPointer(keyFromUserID),
			Message:    o.message(),
			Stream:     o.stream(),
			SequenceID: o.uint(keySequenceID, math.MaxUint64),
		}
	case typePong:
		return Pong{}
	case typeInvokeResponse:
		d := InvokeResponse{InvocationID: o.text(keyInvocationID), Message: o.message()}
		if !o.boolean(keySuccess) {
			d.Error = o.failure()
		}
		return d
	case typeStreamAck:
		return StreamAck{o.text(keyStreamID), o.uint(keyExpectedSequenceID, math.MaxUint64)}
	case typeStreamNack:
		return StreamNack{
			o.text(keyStreamID), o.uint(keyExpectedSequenceID, math.MaxUint64), o.text(keyName), o.text(keyMessage),
		}
	case typeStreamClosed:
		d := StreamClosed{StreamID: o.text(keyStreamID)}
		if o.has(keyError) {
			d.Error = o.failure()
		}
		return d
	case typeGroupStateSnapshot, typeGroupStateUpdate:
		return GroupState{
			Snapshot:   typ == typeGroupStateSnapshot,
			Group:      o.text(keyGroup),
			Items:      o.groupStateItems(),
			SequenceID: o.uint(keySequenceID, math.MaxUint64),
		}
	default:
		return o.unknown(typ)
	}
}

func (o *object) unknown(typ string) Unknown {
	return Unknown{clip.Text(typ, maxShown), o.uint(keySequenceID, math.MaxUint64)}
}

// failure returns the error of a frame that reports a failure, never nil.
func (o *object) failure() *Error {
	e := o.object(keyError)
	if e == nil {
		return &Error{}
	}
	failure := &Error{e.text(keyName), e.text(keyMessage)}
	o.fold(keyError, e)
	return failure
}

func (o *object) stream() *StreamInfo {
	s := o.object(keyStream)
	if s == nil {
		return nil
	}
	info := &StreamInfo{
		StreamID:    s.text(keyStreamID),
		SequenceID:  s.uint(keyStreamSequenceID, math.MaxUint64),
		EndOfStream: s.boolean(keyEndOfStream),
	}
	if e := s.object(keyError); e != nil {
		info.Error = &StreamError{e.text(keyName), e.text(keyMessage), e.text(keyUserErrorCode)}
		s.fold(keyError, e)
	}
	o.fold(keyStream, s)
	return info
}

func (o *object) groupStateItems() []GroupStateItem {
	if !o.has(keyItems) {
		return nil
	}
	if o.raw[keyItems][0] != '[' {
		o.fail(fmt.Errorf("%s must be an array", keyNames[keyItems]))
		return nil
	}
	var items []GroupStateItem
	for raw := range elements(o.raw[keyItems]) {
		var item object
		item.scan(raw)
		items = append(items, GroupStateItem{
			ConnectionID: item.text(keyConnectionID),
			UserID:       item.textPointer(keyUserID),
			State:        item.textMap(keyState),
			UpdatedAt:    item.int64(keyUpdatedAt),
		})
		o.fold(keyItems, &item)
	}
	return items
}

func appendJSONDownstream(dst []byte, d Downstream) ([]byte, error) {
	w := writer{dst}
	w.begin()
	switch d := d.(type) {
	case Connected:
		w.text(keyType, typeSystem)
		w.text(keyEvent, eventConnected)
		w.nullableText(keyUserID, d.UserID)
		w.text(keyConnectionID, d.ConnectionID)
		w.optionalText(keyReconnectionToken, d.ReconnectionToken)
	case Disconnected:
		w.text(keyType, typeSystem)
		w.text(keyEvent, eventDisconnected)
		w.text(keyMessage, d.Message)
	case Ack:
		w.text(keyType, typeAck)
		w.uint(keyAckID, d.AckID)
		w.outcome(d.Error)
	case Pong:
		w.text(keyType, typePong)
	case InvokeResponse:
		w.text(keyType, typeInvokeResponse)
		w.text(keyInvocationID, d.InvocationID)
		w.outcome(d.Error)
		w.optionalMessage(d.Message)
	case StreamAck:
		w.text(keyType, typeStreamAck)
		w.text(keyStreamID, d.StreamID)
		w.uint(keyExpectedSequenceID, d.ExpectedSequenceID)
	case StreamNack:
		w.text(keyType, typeStreamNack)
		w.text(keyStreamID, d.StreamID)
		w.uint(keyExpectedSequenceID, d.ExpectedSequenceID)
		w.text(keyName, d.Name)
		w.text(keyMessage, d.Message)
	case StreamClosed:
		w.text(keyType, typeStreamClosed)
		w.text(keyStreamID, d.StreamID)
		if d.Error != nil {
			w.error(d.Error)
		}
	case GroupState:
		w.groupState(d)
	default:
		return dst, fmt.Errorf("%T is not a frame that a service sends", d)
	}
	w.end()
	return w.buf, nil
}

// outcome writes success and, if it failed, the error.
func (w *writer) outcome(e *Error) {
	w.bool(keySuccess, e == nil)
	if e != nil {
		w.error(e)
	}
}

func (w *writer) groupState(d GroupState) {
	if d.SequenceID > 0 {
		w.uint(keySequenceID, d.SequenceID)
	}
	if d.Snapshot {
		w.text(keyType, typeGroupStateSnapshot)
	} else {
		w.text(keyType, typeGroupStateUpdate)
	}
	w.text(keyGroup, d.Group)
	w.key(keyItems)
	w.buf = append(w.buf, '[')
	for _, item := range d.Items {
		w.comma()
		w.begin()
		w.text(keyConnectionID, item.ConnectionID)
		if item.UserID != nil {
			w.text(keyUserID, *item.UserID)
		}
		if item.State != nil {
			w.textMap(keyState, item.State)
		}
		w.int(keyUpdatedAt, item.UpdatedAt)
		w.end()
	}
	w.buf = append(w.buf, ']')
}

// encodeJSONData returns the frame without a sequence id.
func encodeJSONData(d Data) []byte {
	size := len(d.Message.Data) + len(d.Message.Data)/8 + len(d.Group) + 160
	if d.Message.Type == webpubsub.DataTypeBinary || d.Message.Type == webpubsub.DataTypeProtobuf {
		size += len(d.Message.Data) / 3 // base64
	}
	w := writer{make([]byte, 0, size)}
	w.begin()
	w.text(keyType, typeMessage)
	w.text(keyFrom, d.From)
	if d.From == FromGroup {
		w.nullableText(keyFromUserID, d.FromUserID)
		w.text(keyGroup, d.Group)
	}
	w.message(d.Message)
	if s := d.Stream; s != nil {
		w.key(keyStream)
		w.begin()
		w.text(keyStreamID, s.StreamID)
		w.uint(keyStreamSequenceID, s.SequenceID)
		if s.EndOfStream {
			w.bool(keyEndOfStream, true)
		}
		if e := s.Error; e != nil {
			w.key(keyError)
			w.begin()
			w.text(keyName, e.Name)
			w.optionalText(keyMessage, e.Message)
			w.optionalText(keyUserErrorCode, e.UserErrorCode)
			w.end()
		}
		w.end()
	}
	w.end()
	return w.buf
}
