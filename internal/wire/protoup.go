package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
	pb "example.com/webpubsub/internal/wire/wirepb"
)

// errProto replaces the error of the protobuf library, which does not help the
// developer and may quote the frame.
var errProto = errors.New("it is not a valid protobuf message of the subprotocol: see webpubsub.v1.proto of the client protocol")

// marshal makes equal frames for equal messages.
var marshal = proto.MarshalOptions{Deterministic: true}

func decodeProtoUpstream(frame []byte) (Upstream, error) {
	var f pb.UpstreamMessage
	if proto.Unmarshal(frame, &f) != nil {
		return nil, errProto
	}
	u, err := fromProtoUpstream(&f)
	if err == nil {
		err = checkUpstream(u)
	}
	switch {
	case f.Message == nil:
		return nil, fmt.Errorf("the frame has no known type: it has %s", unknownField(&f))
	case err != nil:
		return nil, fmt.Errorf("%s: %w", protoName(&f), err)
	}
	return u, nil
}

func fromProtoUpstream(f *pb.UpstreamMessage) (u Upstream, err error) {
	switch m := f.Message.(type) {
	case *pb.UpstreamMessage_JoinGroupMessage:
		u = JoinGroup{m.JoinGroupMessage.Group, m.JoinGroupMessage.AckId}
	case *pb.UpstreamMessage_LeaveGroupMessage:
		u = LeaveGroup{m.LeaveGroupMessage.Group, m.LeaveGroupMessage.AckId}
	case *pb.UpstreamMessage_SendToGroupMessage:
		m1 := m.SendToGroupMessage
		send := SendToGroup{Group: m1.Group, AckID: m1.AckId, NoEcho: m1.GetNoEcho(), TTLSeconds: m1.GetTtlSeconds()}
		send.Message, err = fromProtoUpstreamData(m1.Data, m1.Metadata)
		if m1.Stream != nil {
			send.Stream = &StreamStart{m1.Stream.StreamId, m1.Stream.IdleTimeoutMs}
			if m1.Data == nil {
				send.Message = webpubsub.Message{} // metadata alone is not a message here
			}
		}
		u = send
	case *pb.UpstreamMessage_EventMessage:
		e := Event{Name: m.EventMessage.Event, AckID: m.EventMessage.AckId}
		e.Message, err = fromProtoUpstreamData(m.EventMessage.Data, m.EventMessage.Metadata)
		u = e
	case *pb.UpstreamMessage_SequenceAckMessage:
		u = SequenceAck{m.SequenceAckMessage.SequenceId}
	case *pb.UpstreamMessage_PingMessage:
		u = Ping{}
	case *pb.UpstreamMessage_InvokeEventMessage:
		m1 := m.InvokeEventMessage
		// The target is in the name of the frame.
		i := Invoke{InvocationID: m1.InvocationId, Target: TargetEvent, Event: m1.Event}
		i.Message, err = fromProtoUpstreamData(m1.Data, m1.Metadata)
		u = i
	case *pb.UpstreamMessage_CancelInvocationMessage:
		u = CancelInvocation{m.CancelInvocationMessage.InvocationId}
	case *pb.UpstreamMessage_StreamDataMessage:
		s := StreamData{StreamID: m.StreamDataMessage.StreamId, SequenceID: m.StreamDataMessage.StreamSequenceId}
		s.Message, err = fromProtoUpstreamData(m.StreamDataMessage.Data, nil)
		u = s
	case *pb.UpstreamMessage_StreamEndMessage:
		s := StreamEnd{StreamID: m.StreamEndMessage.StreamId}
		if e := m.StreamEndMessage.Error; e != nil {
			s.Error = &StreamEndError{e.GetMessage(), e.GetUserErrorCode()}
		}
		u = s
	case *pb.UpstreamMessage_SetGroupStateMessage:
		u = SetGroupState{m.SetGroupStateMessage.Group, m.SetGroupStateMessage.AckId, fromProtoState(m.SetGroupStateMessage.State)}
	case *pb.UpstreamMessage_SubscribeGroupStateMessage:
		u = SubscribeGroupState{m.SubscribeGroupStateMessage.Group, m.SubscribeGroupStateMessage.AckId}
	case *pb.UpstreamMessage_UnsubscribeGroupStateMessage:
		u = UnsubscribeGroupState{m.UnsubscribeGroupStateMessage.Group, m.UnsubscribeGroupStateMessage.AckId}
	}
	return u, err
}

// fromProtoUpstreamData is fromProtoData, for a reader that must not guess.
func fromProtoUpstreamData(d *pb.MessageData, metadata map[string]string) (webpubsub.Message, error) {
	m := fromProtoData(d, metadata)
	if m.Type == webpubsub.DataTypeJSON {
		return m, checkJSON(m.Data)
	}
	return m, nil
}

// fromProtoData returns the payload with its metadata, zero where there is
// neither.
func fromProtoData(d *pb.MessageData, metadata map[string]string) webpubsub.Message {
	var m webpubsub.Message
	if len(metadata) > 0 {
		m.Metadata = metadata
	}
	switch data := d.GetData().(type) {
	case *pb.MessageData_TextData:
		m.Type, m.Data = webpubsub.DataTypeText, []byte(data.TextData)
	case *pb.MessageData_JsonData:
		m.Type, m.Data = webpubsub.DataTypeJSON, []byte(data.JsonData)
	case *pb.MessageData_BinaryData:
		m.Type, m.Data = webpubsub.DataTypeBinary, data.BinaryData
	case *pb.MessageData_ProtobufData:
		// It was read as an Any a moment ago, so this cannot fail.
		m.Type = webpubsub.DataTypeProtobuf
		m.Data, _ = marshal.Marshal(data.ProtobufData)
	default:
		if m.Metadata != nil {
			m.Type = webpubsub.DataTypeText
		}
	}
	if m.Type != "" && m.Data == nil {
		m.Data = []byte{}
	}
	return m
}

func fromProtoState(s *pb.GroupState) map[string]string {
	if s != nil && s.Entries == nil {
		return map[string]string{}
	}
	return s.GetEntries()
}

func appendProtoUpstream(dst []byte, u Upstream) ([]byte, error) {
	var f pb.UpstreamMessage
	var err error
	switch u := u.(type) {
	case JoinGroup:
		f.Message = &pb.UpstreamMessage_JoinGroupMessage{
			JoinGroupMessage: &pb.JoinGroupMessage{Group: u.Group, AckId: u.AckID},
		}
	case LeaveGroup:
		f.Message = &pb.UpstreamMessage_LeaveGroupMessage{
			LeaveGroupMessage: &pb.LeaveGroupMessage{Group: u.Group, AckId: u.AckID},
		}
	case SendToGroup:
		m := &pb.SendToGroupMessage{Group: u.Group, AckId: u.AckID, Metadata: u.Message.Metadata}
		if u.NoEcho {
			m.NoEcho = &u.NoEcho
		}
		if u.TTLSeconds > 0 {
			m.TtlSeconds = &u.TTLSeconds
		}
		if u.Stream != nil {
			m.Stream = &pb.StreamStartInfo{StreamId: u.Stream.StreamID, IdleTimeoutMs: u.Stream.IdleTimeoutMs}
		}
		m.Data, err = toProtoData(u.Message)
		f.Message = &pb.UpstreamMessage_SendToGroupMessage{SendToGroupMessage: m}
	case Event:
		m := &pb.EventMessage{Event: u.Name, AckId: u.AckID, Metadata: u.Message.Metadata}
		m.Data, err = toProtoData(u.Message)
		f.Message = &pb.UpstreamMessage_EventMessage{EventMessage: m}
	case SequenceAck:
		f.Message = &pb.UpstreamMessage_SequenceAckMessage{
			SequenceAckMessage: &pb.SequenceAckMessage{SequenceId: u.SequenceID},
		}
	case Ping:
		f.Message = &pb.UpstreamMessage_PingMessage{PingMessage: &pb.PingMessage{}}
	case Invoke:
		if u.Target != TargetEvent {
			return dst, fmt.Errorf("invoke: the target is %q: protobuf frames have %q only", clip.Text(u.Target, maxShown), TargetEvent)
		}
		m := &pb.InvokeEventMessage{InvocationId: u.InvocationID, Event: u.Event, Metadata: u.Message.Metadata}
		m.Data, err = toProtoData(u.Message)
		f.Message = &pb.UpstreamMessage_InvokeEventMessage{InvokeEventMessage: m}
	case CancelInvocation:
		f.Message = &pb.UpstreamMessage_CancelInvocationMessage{
			CancelInvocationMessage: &pb.CancelInvocationMessage{InvocationId: u.InvocationID},
		}
	case StreamData:
		m := &pb.StreamDataMessage{StreamId: u.StreamID, StreamSequenceId: u.SequenceID}
		m.Data, err = toProtoData(u.Message)
		f.Message = &pb.UpstreamMessage_StreamDataMessage{StreamDataMessage: m}
	case StreamEnd:
		m := &pb.StreamEndMessage{StreamId: u.StreamID}
		if u.Error != nil {
			m.Error = &pb.StreamEndError{Message: optional(u.Error.Message), UserErrorCode: optional(u.Error.UserErrorCode)}
		}
		f.Message = &pb.UpstreamMessage_StreamEndMessage{StreamEndMessage: m}
	case SetGroupState:
		f.Message = &pb.UpstreamMessage_SetGroupStateMessage{
			SetGroupStateMessage: &pb.SetGroupStateMessage{Group: u.Group, AckId: u.AckID, State: toProtoState(u.State)},
		}
	case SubscribeGroupState:
		f.Message = &pb.UpstreamMessage_SubscribeGroupStateMessage{
			SubscribeGroupStateMessage: &pb.SubscribeGroupStateMessage{Group: u.Group, AckId: u.AckID},
		}
	case UnsubscribeGroupState:
		f.Message = &pb.UpstreamMessage_UnsubscribeGroupStateMessage{
			UnsubscribeGroupStateMessage: &pb.UnsubscribeGroupStateMessage{Group: u.Group, AckId: u.AckID},
		}
	default:
		return dst, fmt.Errorf("%T is not a frame that a client sends", u)
	}
	if err != nil {
		return dst, err
	}
	return marshal.MarshalAppend(dst, &f)
}

func toProtoState(state map[string]string) *pb.GroupState {
	if state == nil {
		return nil
	}
	return &pb.GroupState{Entries: state}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// protoName returns the field name of the frame's message, such as
// "join_group_message".
func protoName(f proto.Message) string {
	m := f.ProtoReflect()
	if field := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); field != nil {
		return string(field.Name())
	}
	return unknownField(f)
}

// unknownField describes a frame without a known message.
func unknownField(f proto.Message) string {
	number, _, n := protowire.ConsumeTag(f.ProtoReflect().GetUnknown())
	if n < 0 {
		return "no field"
	}
	return fmt.Sprintf("field %d", number)
}
