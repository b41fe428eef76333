package wire

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
)

// maxShown bounds what errors quote of text from others, in bytes.
const maxShown = 64

// Values of type in the upstream frames.
const (
	typeJoinGroup             = "joinGroup"
	typeLeaveGroup            = "leaveGroup"
	typeSendToGroup           = "sendToGroup"
	typeEvent                 = "event"
	typeSequenceAck           = "sequenceAck"
	typePing                  = "ping"
	typeInvoke                = "invoke"
	typeCancelInvocation      = "cancelInvocation"
	typeStreamData            = "streamData"
	typeStreamEnd             = "streamEnd"
	typeSetGroupState         = "setGroupState"
	typeSubscribeGroupState   = "subscribeGroupState"
	typeUnsubscribeGroupState = "unsubscribeGroupState"
)

// upstreamTypes has every type as it is written, and in lower case.
var upstreamTypes = func() map[string]string {
	m := make(map[string]string)
	for _, t := range []string{
		typeJoinGroup, typeLeaveGroup, typeSendToGroup, typeEvent, typeSequenceAck, typePing, typeInvoke,
		typeCancelInvocation, typeStreamData, typeStreamEnd, typeSetGroupState, typeSubscribeGroupState,
		typeUnsubscribeGroupState,
	} {
		m[t], m[strings.ToLower(t)] = t, t
	}
	return m
}()

func decodeJSONUpstream(frame []byte) (Upstream, error) {
	var o object
	o.parse(frame)
	if o.err == nil && TooDeep(frame) {
		o.fail(errDepth)
	}
	if o.err == nil {
		o.require(keyType)
	}
	given := o.text(keyType)
	if o.err != nil {
		return nil, o.err
	}
	typ, ok := upstreamTypes[given]
	if !ok {
		typ, ok = upstreamTypes[lowerASCII(given)]
	}
	if !ok {
		return nil, fmt.Errorf("the type %q is not known", clip.Text(given, maxShown))
	}
	u := readUpstream(typ, &o)
	o.uintPointer(keyAckID) // is checked in every frame, also in those without acks
	if o.err == nil {
		o.err = checkUpstream(u)
	}
	if o.err != nil {
		return nil, fmt.Errorf("%s: %w", typ, o.err)
	}
	return u, nil
}

func readUpstream(typ string, o *object) Upstream {
	switch typ {
	case typeJoinGroup:
		return JoinGroup{o.group(), o.uintPointer(keyAckID)}
	case typeLeaveGroup:
		return LeaveGroup{o.group(), o.uintPointer(keyAckID)}
	case typeSendToGroup:
		o.notNull(keyNoEcho)
		u := SendToGroup{
			Group:      o.group(),
			AckID:      o.uintPointer(keyAckID),
			NoEcho:     o.boolean(keyNoEcho),
			TTLSeconds: uint32(o.uint(keyTTLSeconds, MaxTTLSeconds)),
			Message:    o.upstreamMessage(),
		}
		if s := o.object(keyStream); s != nil {
			if o.raw[keyData] == nil {
				u.Message = webpubsub.Message{} // metadata alone is not a message here
			}
			u.Stream = &StreamStart{StreamID: s.text(keyStreamID)}
			if s.has(keyIdleTimeoutMs) {
				ms := uint32(s.uint(keyIdleTimeoutMs, math.MaxUint32))
				u.Stream.IdleTimeoutMs = &ms
			}
			o.fold(keyStream, s)
		}
		return u
	case typeEvent:
		o.require(keyEvent)
		o.foldMetadata = true
		return Event{o.text(keyEvent), o.uintPointer(keyAckID), o.upstreamMessage()}
	case typeSequenceAck:
		o.require(keySequenceID)
		return SequenceAck{o.uint(keySequenceID, math.MaxUint64)}
	case typeInvoke:
		o.require(keyInvocationID)
		o.require(keyEvent)
		o.foldMetadata = true
		return Invoke{o.text(keyInvocationID), o.text(keyTarget), o.text(keyEvent), o.upstreamMessage()}
	case typeCancelInvocation:
		o.require(keyInvocationID)
		return CancelInvocation{o.text(keyInvocationID)}
	case typeStreamData:
		o.require(keyStreamID)
		if (o.raw[keyData] == nil) != (o.raw[keyDataType] == nil) {
			o.fail(errors.New("dataType and data go together: give both, or none for a keepalive"))
		}
		u := StreamData{StreamID: o.text(keyStreamID), SequenceID: o.uintPointer(keyStreamSequenceID)}
		if o.raw[keyData] != nil {
			u.Message = o.upstreamMessage()
		}
		return u
	case typeStreamEnd:
		o.require(keyStreamID)
		u := StreamEnd{StreamID: o.text(keyStreamID)}
		if e := o.object(keyError); e != nil {
			u.Error = &StreamEndError{e.text(keyMessage), e.text(keyUserErrorCode)}
			o.fold(keyError, e)
		}
		return u
	case typeSetGroupState:
		return SetGroupState{o.group(), o.uintPointer(keyAckID), o.textMap(keyState)}
	case typeSubscribeGroupState:
		return SubscribeGroupState{o.group(), o.uintPointer(keyAckID)}
	case typeUnsubscribeGroupState:
		return UnsubscribeGroupState{o.group(), o.uintPointer(keyAckID)}
	default:
		return Ping{}
	}
}

func (o *object) group() string {
	o.require(keyGroup)
	return o.text(keyGroup)
}

// upstreamMessage is message, for a reader that must not guess.
func (o *object) upstreamMessage() webpubsub.Message {
	o.notNull(keyDataType)
	m := o.message()
	if o.err != nil || m.IsZero() {
		return m
	}
	switch m.Type {
	case webpubsub.DataTypeText, webpubsub.DataTypeJSON, webpubsub.DataTypeBinary:
	case webpubsub.DataTypeProtobuf:
		if err := checkAny(m.Data); err != nil {
			o.fail(err)
		}
	default:
		o.fail(errKind)
	}
	return m
}

func appendJSONUpstream(dst []byte, u Upstream) ([]byte, error) {
	w := writer{dst}
	w.begin()
	switch u := u.(type) {
	case JoinGroup:
		w.groupFrame(typeJoinGroup, u.Group, u.AckID)
	case LeaveGroup:
		w.groupFrame(typeLeaveGroup, u.Group, u.AckID)
	case SendToGroup:
		w.groupFrame(typeSendToGroup, u.Group, u.AckID)
		w.bool(keyNoEcho, u.NoEcho)
		if u.TTLSeconds > 0 {
			w.uint(keyTTLSeconds, uint64(u.TTLSeconds))
		}
		if u.Stream != nil {
			w.key(keyStream)
			w.begin()
			w.text(keyStreamID, u.Stream.StreamID)
			if ms := u.Stream.IdleTimeoutMs; ms != nil {
				w.uint(keyIdleTimeoutMs, uint64(*ms))
			}
			w.end()
		}
		w.optionalMessage(u.Message)
	case Event:
		w.text(keyType, typeEvent)
		w.text(keyEvent, u.Name)
		w.optionalUint(keyAckID, u.AckID)
		w.message(u.Message)
	case SequenceAck:
		w.text(keyType, typeSequenceAck)
		w.uint(keySequenceID, u.SequenceID)
	case Ping:
		w.text(keyType, typePing)
	case Invoke:
		w.text(keyType, typeInvoke)
		w.text(keyInvocationID, u.InvocationID)
		w.text(keyTarget, u.Target)
		w.text(keyEvent, u.Event)
		w.optionalMessage(u.Message)
	case CancelInvocation:
		w.text(keyType, typeCancelInvocation)
		w.text(keyInvocationID, u.InvocationID)
	case StreamData:
		w.text(keyType, typeStreamData)
		w.text(keyStreamID, u.StreamID)
		w.optionalUint(keyStreamSequenceID, u.SequenceID)
		w.optionalMessage(u.Message)
	case StreamEnd:
		w.text(keyType, typeStreamEnd)
		w.text(keyStreamID, u.StreamID)
		if u.Error != nil {
			w.key(keyError)
			w.begin()
			w.optionalText(keyMessage, u.Error.Message)
			w.optionalText(keyUserErrorCode, u.Error.UserErrorCode)
			w.end()
		}
	case SetGroupState:
		w.groupFrame(typeSetGroupState, u.Group, u.AckID)
		if u.State != nil {
			w.textMap(keyState, u.State)
		}
	case SubscribeGroupState:
		w.groupFrame(typeSubscribeGroupState, u.Group, u.AckID)
	case UnsubscribeGroupState:
		w.groupFrame(typeUnsubscribeGroupState, u.Group, u.AckID)
	default:
		return dst, fmt.Errorf("%T is not a frame that a client sends", u)
	}
	w.end()
	return w.buf, nil
}

// groupFrame writes what the frames about a group have in common.
func (w *writer) groupFrame(typ, group string, ackID *uint64) {
	w.text(keyType, typ)
	w.text(keyGroup, group)
	w.optionalUint(keyAckID, ackID)
}

func (w *writer) optionalMessage(m webpubsub.Message) {
	if !m.IsZero() {
		w.message(m)
	}
}
