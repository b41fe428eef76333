package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
)

// MaxTTLSeconds is the longest time to live of a message.
const MaxTTLSeconds = 300

// MaxFrameSize is the number of bytes of the largest message that the service
// accepts from a client, as it is encoded. It closes the connection with 1009 on
// a larger one.
const MaxFrameSize = 1 << 20

var (
	errNoData = errors.New("data is missing: give data, or metadata for a message without a payload")
	errNull   = errors.New("the JSON payload is null, which the service rejects: send another value")
	errAny    = errors.New("the payload of type protobuf is not an encoded google.protobuf.Any: wrap the message in an Any, or send it as binary")
	errKind   = errors.New("the data type must be json, text, binary or protobuf")
)

// checkUpstream checks the rules that every protocol has for a frame. Both ends apply
// them: the service rejects what the client should not have sent. The codecs check
// that the payload matches its type.
func checkUpstream(u Upstream) error {
	switch u := u.(type) {
	case JoinGroup:
		return names.Group(u.Group)
	case LeaveGroup:
		return names.Group(u.Group)
	case SendToGroup:
		if u.TTLSeconds > MaxTTLSeconds {
			return fmt.Errorf("ttlSeconds is %d: it must be from 0 to %d", u.TTLSeconds, MaxTTLSeconds)
		}
		return cmp.Or(names.Group(u.Group), checkMessage(u.Message, u.Stream != nil))
	case Event:
		return cmp.Or(names.Event(u.Name), checkMessage(u.Message, false))
	case Invoke:
		if u.InvocationID == "" {
			return errors.New("invocationId is empty: choose one that is not in use on the connection")
		}
		return cmp.Or(names.Event(u.Event), checkMessage(u.Message, true))
	case CancelInvocation:
		if u.InvocationID == "" {
			return errors.New("invocationId is empty: give the one of the invocation")
		}
	case StreamData:
		if u.Message.IsZero() != (u.SequenceID == nil) {
			return errors.New("streamSequenceId, dataType and data go together: give all three, or none for a keepalive")
		}
		return checkMessage(u.Message, true)
	case SetGroupState:
		return names.Group(u.Group)
	case SubscribeGroupState:
		return names.Group(u.Group)
	case UnsubscribeGroupState:
		return names.Group(u.Group)
	}
	return nil
}

func checkMessage(m webpubsub.Message, optional bool) error {
	if m.IsZero() {
		if optional {
			return nil
		}
		return errNoData
	}
	if m.Type == webpubsub.DataTypeJSON && isNull(m.Data) {
		return errNull
	}
	return names.Metadata(m.Metadata)
}

// CheckPayload returns an error if the payload does not match its type. It would make
// the frame invalid, and the receiver's connection would be closed. Text that is not
// UTF-8 is not an error: as in encoding/json, invalid bytes become U+FFFD.
func CheckPayload(m webpubsub.Message) error {
	switch m.Type {
	case webpubsub.DataTypeText, webpubsub.DataTypeBinary:
		return nil
	case webpubsub.DataTypeJSON:
		return checkJSON(m.Data)
	case webpubsub.DataTypeProtobuf:
		return checkAny(m.Data)
	}
	return errKind
}

func checkJSON(data []byte) error {
	if !utf8.Valid(data) || !json.Valid(data) {
		return errors.New("the payload of type json is not one JSON value in UTF-8: encode it, or send it as text")
	}
	if TooDeep(data) {
		return errDepth
	}
	return nil
}

var errDepth = fmt.Errorf("it is nested more deeply than %d levels: send it as text", MaxDepth)

func checkAny(data []byte) error {
	if err := proto.Unmarshal(data, new(anypb.Any)); err != nil {
		return errAny
	}
	return nil
}

func isNull(data []byte) bool {
	return len(data) < 64 && string(bytes.TrimSpace(data)) == "null"
}
