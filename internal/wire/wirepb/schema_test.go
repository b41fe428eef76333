package wirepb_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"example.com/webpubsub/internal/wire/wirepb"
)

// The numbers of the client protocol of Azure Web PubSub, webpubsub.v1.proto: a
// change here is a change on the wire. A question mark is a field that knows
// whether it was given.
const schema = `
UpstreamMessage: 1 send_to_group_message SendToGroupMessage, 5 event_message EventMessage, 6 join_group_message JoinGroupMessage, 7 leave_group_message LeaveGroupMessage, 8 sequence_ack_message SequenceAckMessage, 9 ping_message PingMessage, 10 invoke_event_message InvokeEventMessage, 11 cancel_invocation_message CancelInvocationMessage, 13 stream_data_message StreamDataMessage, 14 stream_end_message StreamEndMessage, 15 set_group_state_message SetGroupStateMessage, 16 subscribe_group_state_message SubscribeGroupStateMessage, 17 unsubscribe_group_state_message UnsubscribeGroupStateMessage
SendToGroupMessage: 1 group string, 2 ack_id uint64?, 3 data MessageData, 4 no_echo bool?, 5 ttl_seconds uint32?, 6 metadata map, 7 stream StreamStartInfo
EventMessage: 1 event string, 2 data MessageData, 3 ack_id uint64?, 4 metadata map, 5 stream StreamStartInfo
JoinGroupMessage: 1 group string, 2 ack_id uint64?
LeaveGroupMessage: 1 group string, 2 ack_id uint64?
SequenceAckMessage: 1 sequence_id uint64
PingMessage:
InvokeEventMessage: 1 event string, 2 invocation_id string, 3 data MessageData, 4 metadata map, 5 stream StreamStartInfo
CancelInvocationMessage: 1 invocation_id string
StreamStartInfo: 1 stream_id string, 2 idle_timeout_ms uint32?
StreamDataMessage: 1 stream_id string, 2 stream_sequence_id uint64?, 3 data MessageData?
StreamEndMessage: 1 stream_id string, 2 error StreamEndError?
StreamEndError: 1 message string?, 2 user_error_code string?
SetGroupStateMessage: 1 group string, 2 ack_id uint64?, 3 state GroupState?
SubscribeGroupStateMessage: 1 group string, 2 ack_id uint64?
UnsubscribeGroupStateMessage: 1 group string, 2 ack_id uint64?
DownstreamMessage: 1 ack_message AckMessage, 2 data_message DataMessage, 3 system_message SystemMessage, 4 pong_message PongMessage, 5 invoke_response_message InvokeResponseMessage, 6 stream_ack_message StreamAckMessage, 7 stream_nack_message StreamNackMessage, 8 stream_closed_message StreamClosedMessage, 9 group_state_update_message GroupStateUpdateMessage, 10 group_state_snapshot_message GroupStateSnapshotMessage
AckMessage: 1 ack_id uint64, 2 success bool, 3 error ErrorMessage?
ErrorMessage: 1 name string, 2 message string
DataMessage: 1 from string, 2 group string?, 3 data MessageData, 4 sequence_id uint64?, 5 metadata map, 6 stream StreamInfo?
SystemMessage: 1 connected_message ConnectedMessage, 2 disconnected_message DisconnectedMessage
ConnectedMessage: 1 connection_id string, 2 user_id string, 3 reconnection_token string?
DisconnectedMessage: 2 reason string
PongMessage:
InvokeResponseMessage: 1 invocation_id string, 2 success bool, 3 data MessageData?, 4 error ErrorMessage?, 5 metadata map
StreamAckMessage: 1 stream_id string, 2 expected_sequence_id uint64
StreamNackMessage: 1 stream_id string, 2 name string, 3 message string, 4 expected_sequence_id uint64
StreamClosedMessage: 1 stream_id string, 2 error ErrorMessage?
GroupStateUpdateMessage: 1 group string, 2 items GroupStateItem[], 3 sequence_id uint64?
GroupStateSnapshotMessage: 1 group string, 2 items GroupStateItem[], 3 sequence_id uint64?
MessageData: 1 text_data string, 2 binary_data bytes, 3 protobuf_data Any, 4 json_data string
GroupStateItem: 1 connection_id string, 2 user_id string?, 3 state GroupState?, 4 updated_at int64
GroupState: 1 entries map
StreamInfo: 1 stream_id string, 2 stream_sequence_id uint64, 3 end_of_stream bool?, 4 error StreamError?
StreamError: 1 name string, 2 message string, 3 user_error_code string
`

func TestSchema(t *testing.T) {
	want := strings.Split(strings.TrimSpace(schema), "\n")
	messages := wirepb.File_internal_wire_wirepb_webpubsub_proto.Messages()
	if messages.Len() != len(want) {
		t.Errorf("there are %d messages, want %d", messages.Len(), len(want))
	}
	for i := range min(messages.Len(), len(want)) {
		m := messages.Get(i)
		var fields []string
		for j := range m.Fields().Len() {
			fields = append(fields, describe(m.Fields().Get(j)))
		}
		got := strings.TrimSpace(fmt.Sprintf("%s: %s", m.Name(), strings.Join(fields, ", ")))
		if got != want[i] {
			t.Errorf("\n got %s\nwant %s", got, want[i])
		}
	}
}

func describe(f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	switch {
	case f.IsMap():
		kind = "map"
	case f.Message() != nil:
		kind = string(f.Message().Name())
	}
	switch {
	case f.IsList():
		kind += "[]"
	case f.HasOptionalKeyword():
		kind += "?"
	}
	return fmt.Sprintf("%d %s %s", f.Number(), f.Name(), kind)
}
