package wire

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
	pb "example.com/webpubsub/internal/wire/wirepb"
)

func decodeProtoDownstream(frame []byte) (Downstream, error) {
	var f pb.DownstreamMessage
	if proto.Unmarshal(frame, &f) != nil {
		return nil, errProto
	}
	switch m := f.Message.(type) {
	case *pb.DownstreamMessage_AckMessage:
		d := Ack{AckID: m.AckMessage.AckId}
		if !m.AckMessage.Success {
			d.Error = &Error{m.AckMessage.GetError().GetName(), m.AckMessage.GetError().GetMessage()}
		}
		return d, nil
	case *pb.DownstreamMessage_DataMessage:
		return fromProtoDataMessage(m.DataMessage), nil
	case *pb.DownstreamMessage_SystemMessage:
		switch s := m.SystemMessage.Message.(type) {
		case *pb.SystemMessage_ConnectedMessage:
			c := s.ConnectedMessage
			return Connected{c.ConnectionId, optional(c.UserId), c.GetReconnectionToken()}, nil
		case *pb.SystemMessage_DisconnectedMessage:
			return Disconnected{s.DisconnectedMessage.Reason}, nil
		}
		return Unknown{Type: "system message with " + unknownField(m.SystemMessage)}, nil
	case *pb.DownstreamMessage_PongMessage:
		return Pong{}, nil
	case *pb.DownstreamMessage_InvokeResponseMessage:
		m1 := m.InvokeResponseMessage
		d := InvokeResponse{InvocationID: m1.InvocationId, Message: fromProtoData(m1.Data, m1.Metadata)}
		if !m1.Success {
			d.Error = &Error{m1.GetError().GetName(), m1.GetError().GetMessage()}
		}
		return d, nil
	case *pb.DownstreamMessage_StreamAckMessage:
		return StreamAck{m.StreamAckMessage.StreamId, m.StreamAckMessage.ExpectedSequenceId}, nil
	case *pb.DownstreamMessage_StreamNackMessage:
		m1 := m.StreamNackMessage
		return StreamNack{m1.StreamId, m1.ExpectedSequenceId, m1.Name, m1.Message}, nil
	case *pb.DownstreamMessage_StreamClosedMessage:
		d := StreamClosed{StreamID: m.StreamClosedMessage.StreamId}
		if e := m.StreamClosedMessage.Error; e != nil {
			d.Error = &Error{e.Name, e.Message}
		}
		return d, nil
	case *pb.DownstreamMessage_GroupStateUpdateMessage:
		m1 := m.GroupStateUpdateMessage
		return GroupState{false, m1.Group, fromProtoItems(m1.Items), m1.GetSequenceId()}, nil
	case *pb.DownstreamMessage_GroupStateSnapshotMessage:
		m1 := m.GroupStateSnapshotMessage
		return GroupState{true, m1.Group, fromProtoItems(m1.Items), m1.GetSequenceId()}, nil
	}
	return Unknown{Type: "frame with " + unknownField(&f)}, nil
}

func fromProtoDataMessage(m *pb.DataMessage) Downstream {
	if m.From != FromGroup && m.From != FromServer {
		return Unknown{clip.Text("message from "+m.From, maxShown), m.GetSequenceId()}
	}
	d := Data{
		From:       m.From,
		Group:      m.GetGroup(),
		Message:    fromProtoData(m.Data, m.Metadata),
		SequenceID: m.GetSequenceId(),
	}
	if s := m.Stream; s != nil {
		d.Stream = &StreamInfo{StreamID: s.StreamId, SequenceID: s.StreamSequenceId, EndOfStream: s.GetEndOfStream()}
		if e := s.Error; e != nil {
			d.Stream.Error = &StreamError{e.Name, e.Message, e.UserErrorCode}
		}
	}
	return d
}

func fromProtoItems(items []*pb.GroupStateItem) []GroupStateItem {
	var out []GroupStateItem
	for _, i := range items {
		out = append(out, GroupStateItem{i.ConnectionId, i.UserId, fromProtoState(i.State), i.UpdatedAt})
	}
	return out
}

func appendProtoDownstream(dst []byte, d Downstream) ([]byte, error) {
	var f pb.DownstreamMessage
	switch d := d.(type) {
	case Connected:
		c := &pb.ConnectedMessage{ConnectionId: d.ConnectionID, ReconnectionToken: optional(d.ReconnectionToken)}
		if d.UserID != nil {
			c.UserId = *d.UserID
		}
		f.Message = &pb.DownstreamMessage_SystemMessage{SystemMessage: &pb.SystemMessage{
			Message: &pb.SystemMessage_ConnectedMessage{ConnectedMessage: c},
		}}
	case Disconnected:
		f.Message = &pb.DownstreamMessage_SystemMessage{SystemMessage: &pb.SystemMessage{
			Message: &pb.SystemMessage_DisconnectedMessage{
				DisconnectedMessage: &pb.DisconnectedMessage{Reason: toUTF8(d.Message)},
			},
		}}
	case Ack:
		f.Message = &pb.DownstreamMessage_AckMessage{
			AckMessage: &pb.AckMessage{AckId: d.AckID, Success: d.Error == nil, Error: toProtoError(d.Error)},
		}
	case Pong:
		f.Message = &pb.DownstreamMessage_PongMessage{PongMessage: &pb.PongMessage{}}
	case InvokeResponse:
		data, err := toProtoData(d.Message)
		if err != nil {
			return dst, err
		}
		f.Message = &pb.DownstreamMessage_InvokeResponseMessage{InvokeResponseMessage: &pb.InvokeResponseMessage{
			InvocationId: d.InvocationID, Success: d.Error == nil, Data: data, Error: toProtoError(d.Error),
			Metadata: d.Message.Metadata,
		}}
	case StreamAck:
		f.Message = &pb.DownstreamMessage_StreamAckMessage{
			StreamAckMessage: &pb.StreamAckMessage{StreamId: d.StreamID, ExpectedSequenceId: d.ExpectedSequenceID},
		}
	case StreamNack:
		f.Message = &pb.DownstreamMessage_StreamNackMessage{StreamNackMessage: &pb.StreamNackMessage{
			StreamId: d.StreamID, Name: d.Name, Message: d.Message, ExpectedSequenceId: d.ExpectedSequenceID,
		}}
	case StreamClosed:
		f.Message = &pb.DownstreamMessage_StreamClosedMessage{
			StreamClosedMessage: &pb.StreamClosedMessage{StreamId: d.StreamID, Error: toProtoError(d.Error)},
		}
	case GroupState:
		toProtoGroupState(&f, d)
	default:
		return dst, fmt.Errorf("%T is not a frame that a service sends", d)
	}
	return marshal.MarshalAppend(dst, &f)
}

func toProtoGroupState(f *pb.DownstreamMessage, d GroupState) {
	items := make([]*pb.GroupStateItem, len(d.Items))
	for n, i := range d.Items {
		items[n] = &pb.GroupStateItem{
			ConnectionId: i.ConnectionID, UserId: i.UserID, State: toProtoState(i.State), UpdatedAt: i.UpdatedAt,
		}
	}
	var seq *uint64
	if d.SequenceID > 0 {
		seq = &d.SequenceID
	}
	if d.Snapshot {
		f.Message = &pb.DownstreamMessage_GroupStateSnapshotMessage{
			GroupStateSnapshotMessage: &pb.GroupStateSnapshotMessage{Group: d.Group, Items: items, SequenceId: seq},
		}
		return
	}
	f.Message = &pb.DownstreamMessage_GroupStateUpdateMessage{
		GroupStateUpdateMessage: &pb.GroupStateUpdateMessage{Group: d.Group, Items: items, SequenceId: seq},
	}
}

func toProtoError(e *Error) *pb.ErrorMessage {
	if e == nil {
		return nil
	}
	return &pb.ErrorMessage{Name: toUTF8(e.Name), Message: toUTF8(e.Message)}
}

// toProtoData returns nil for the zero Message.
func toProtoData(m webpubsub.Message) (*pb.MessageData, error) {
	switch m.Type {
	case webpubsub.DataTypeText:
		return &pb.MessageData{Data: &pb.MessageData_TextData{TextData: toUTF8(string(m.Data))}}, nil
	case webpubsub.DataTypeJSON:
		return &pb.MessageData{Data: &pb.MessageData_JsonData{JsonData: string(m.Data)}}, nil
	case webpubsub.DataTypeBinary:
		return &pb.MessageData{Data: &pb.MessageData_BinaryData{BinaryData: m.Data}}, nil
	case webpubsub.DataTypeProtobuf:
		a := new(anypb.Any)
		if proto.Unmarshal(m.Data, a) != nil {
			return nil, errAny
		}
		return &pb.MessageData{Data: &pb.MessageData_ProtobufData{ProtobufData: a}}, nil
	}
	return nil, nil
}

// toUTF8 replaces bad bytes by U+FFFD, as appendString does: protobuf rejects
// to send them.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// Tags of DownstreamMessage.data_message and of DataMessage.sequence_id.
var (
	dataMessageTag = protowire.AppendTag(nil, 2, protowire.BytesType)
	sequenceIDTag  = protowire.AppendTag(nil, 4, protowire.VarintType)
)

// encodeProtoData returns the fields of the DataMessage, without the sequence
// id and without the frame around it.
func encodeProtoData(d Data) ([]byte, error) {
	data, err := toProtoData(d.Message)
	if err != nil {
		return nil, err
	}
	m := &pb.DataMessage{From: d.From, Data: data, Metadata: d.Message.Metadata}
	if d.From == FromGroup {
		m.Group = &d.Group
	}
	if s := d.Stream; s != nil {
		m.Stream = &pb.StreamInfo{StreamId: s.StreamID, StreamSequenceId: s.SequenceID}
		if s.EndOfStream {
			m.Stream.EndOfStream = &s.EndOfStream
		}
		if e := s.Error; e != nil {
			m.Stream.Error = &pb.StreamError{Name: e.Name, Message: e.Message, UserErrorCode: e.UserErrorCode}
		}
	}
	return marshal.Marshal(m)
}
