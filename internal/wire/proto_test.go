package wire_test

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// Frames as the tests of the official JavaScript SDK have them
// (@azure/web-pubsub-client-protobuf, test/client.spec.ts).
var protoUpstreamGolden = []struct {
	base64 string
	want   wire.Upstream
}{
	{"MgcKBWdyb3Vw", wire.JoinGroup{Group: "group"}},
	{"MgsKBWdyb3VwEOXYAg==", wire.JoinGroup{Group: "group", AckID: u64(44133)}},
	{"OgoKBWdyb3VwELlg", wire.LeaveGroup{Group: "group", AckID: u64(12345)}},
	{"Cg4KBWdyb3VwGgUKA3h6eQ==", wire.SendToGroup{Group: "group", Message: webpubsub.Text("xzy")}},
	{
		"Ch8KBWdyb3VwELlgGhEiD3sidmFsdWUiOiJ4enkifSAB",
		wire.SendToGroup{Group: "group", AckID: u64(12345), NoEcho: true, Message: jsonMsg(`{"value":"xzy"}`)},
	},
	{
		"ChMKBWdyb3VwELlgGgUSA3h5eiAB",
		wire.SendToGroup{Group: "group", AckID: u64(12345), NoEcho: true, Message: webpubsub.Binary([]byte("xyz"))},
	},
	{
		"Ch4KBWdyb3VwELlgGhAaDgoHZXhhbXBsZRIDeHl6IAE=",
		wire.SendToGroup{Group: "group", AckID: u64(12345), NoEcho: true, Message: webpubsub.Protobuf(anyBytes())},
	},
	{"Kg4KBWV2ZW50EgUKA3h6eQ==", wire.Event{Name: "event", Message: webpubsub.Text("xzy")}},
	{"QgQIwMQH", wire.SequenceAck{SequenceID: 123456}},
	{
		"eiMKCWNoYXQtcm9vbRABGhQKEgoIYWN0aXZpdHkSBnR5cGluZw==",
		wire.SetGroupState{Group: "chat-room", AckID: u64(1), State: map[string]string{"activity": "typing"}},
	},
	{"eg0KCWNoYXQtcm9vbRAC", wire.SetGroupState{Group: "chat-room", AckID: u64(2)}},
	{"ggENCgljaGF0LXJvb20QAw==", wire.SubscribeGroupState{Group: "chat-room", AckID: u64(3)}},
	{"igENCgljaGF0LXJvb20QBA==", wire.UnsubscribeGroupState{Group: "chat-room", AckID: u64(4)}},
}

var protoDownstreamGolden = []struct {
	base64 string
	want   wire.Downstream
}{
	{"CgQIexAB", wire.Ack{AckID: 123}},
	{"EhwKBWdyb3VwEglncm91cE5hbWUaBQoDeHl6ILlg", wire.Data{From: "group", Group: "groupName", Message: webpubsub.Text("xyz"), SequenceID: 12345}},
	{"EhIKBnNlcnZlchoFCgN4eXoguWA=", wire.Data{From: "server", Message: webpubsub.Text("xyz"), SequenceID: 12345}},
	{"GhQKEgoKY29ubmVjdGlvbhIEdXNlcg==", wire.Connected{ConnectionID: "connection", UserID: text("user")}},
	{"GhkKFwoKY29ubmVjdGlvbhIEdXNlchoDcmVj", wire.Connected{ConnectionID: "connection", UserID: text("user"), ReconnectionToken: "rec"}},
	{"GgcSBRIDbXNn", wire.Disconnected{Message: "msg"}},
	{"UgwKCmVtcHR5LXJvb20=", wire.GroupState{Snapshot: true, Group: "empty-room"}},
	{
		"SjoKCWNoYXQtcm9vbRItCgdjb25uLWExEgVhbGljZRoUChIKCGFjdGl2aXR5EgZ0eXBpbmcggK/KlNgy",
		wire.GroupState{Group: "chat-room", Items: []wire.GroupStateItem{{
			ConnectionID: "conn-a1", UserID: text("alice"), State: map[string]string{"activity": "typing"}, UpdatedAt: 1741652400000,
		}}},
	},
}

func decode64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProtobufUpstreamGolden(t *testing.T) {
	for _, tt := range protoUpstreamGolden {
		frame := decode64(t, tt.base64)
		got, err := wire.Protobuf.DecodeUpstream(frame)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("DecodeUpstream(%s)\n got %+v, %v\nwant %+v", tt.base64, got, err, tt.want)
		}
		out, err := wire.ReliableProtobuf.AppendUpstream(nil, tt.want)
		if err != nil || !bytes.Equal(out, frame) {
			t.Errorf("AppendUpstream(%+v)\n got %x, %v\nwant %x", tt.want, out, err, frame)
		}
	}
}

func TestProtobufDownstreamGolden(t *testing.T) {
	for _, tt := range protoDownstreamGolden {
		frame := decode64(t, tt.base64)
		got, err := wire.ReliableProtobuf.DecodeDownstream(frame)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("DecodeDownstream(%s)\n got %+v, %v\nwant %+v", tt.base64, got, err, tt.want)
		}
		out, err := wire.ReliableProtobuf.AppendDownstream(nil, tt.want)
		if err != nil || !bytes.Equal(out, frame) {
			t.Errorf("AppendDownstream(%+v)\n got %x, %v\nwant %x", tt.want, out, err, frame)
		}
	}
}

// A failed ack of the JavaScript SDK's test writes success, although it is
// false, which Go's encoder leaves out. Both mean the same.
func TestProtobufFailedAck(t *testing.T) {
	want := wire.Ack{AckID: 123, Error: ackErr("Forbidden", "message")}
	explicit := decode64(t, "ChoIexAAGhQKCUZvcmJpZGRlbhIHbWVzc2FnZQ==")
	implicit, err := wire.Protobuf.AppendDownstream(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(implicit) != len(explicit)-2 {
		t.Errorf("the frame is %x: it should be %x without the 1000 of success", implicit, explicit)
	}
	for _, frame := range [][]byte{explicit, implicit} {
		if got, err := wire.Protobuf.DecodeDownstream(frame); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("DecodeDownstream(%x) = %+v, %v; want %+v", frame, got, err, want)
		}
	}
}

// field appends a length-delimited field.
func field(dst []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), value)
}

func TestProtobufUpstreamRules(t *testing.T) {
	group := field(nil, 1, []byte("g"))
	event := field(nil, 1, []byte("e"))
	jsonData := func(s string) []byte { return field(nil, 4, []byte(s)) }
	for _, tt := range []struct {
		name  string
		frame []byte
		rule  string
	}{
		{"empty", nil, "it has no field"},
		{"garbage", []byte{0xff}, "not a valid protobuf message"},
		{"text frame", []byte(`{"type":"ping"}`), "not a valid protobuf message"},
		{"unused field", field(nil, 12, nil), "it has field 12"},
		{"group not UTF-8", field(nil, 6, field(nil, 1, []byte{0xff})), "not a valid protobuf message"},
		{"no group", field(nil, 6, nil), "join_group_message: Invalid group name"},
		{"no data", field(nil, 1, group), "send_to_group_message: data is missing"},
		{"data without a type", field(nil, 1, field(group, 3, nil)), "data is missing"},
		{"broken JSON", field(nil, 1, field(group, 3, jsonData("{"))), "not one JSON value"},
		{"JSON null", field(nil, 5, field(event, 2, jsonData(" null "))), "payload is null"},
		{"broken Any", field(nil, 1, field(group, 3, field(nil, 3, []byte{1}))), "not a valid protobuf message"},
		{"event name", field(nil, 5, field(nil, 1, []byte("1"))), "event_message: invalid event name"},
		{"metadata", field(nil, 5, field(event, 4, field(field(nil, 1, []byte("a b")), 2, nil))), "invalid metadata key"},
		{"time to live", field(nil, 1, protowire.AppendVarint(protowire.AppendTag(field(group, 3, jsonData("1")), 5, protowire.VarintType), 301)), "ttlSeconds is 301"},
		{"invocation id", field(nil, 10, event), "invocationId is empty"},
		{"cancel", field(nil, 11, nil), "invocationId is empty"},
		{"stream data without number", field(nil, 13, field(field(nil, 1, []byte("s")), 3, jsonData("1"))), "go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.Protobuf.DecodeUpstream(tt.frame)
			if err == nil || !strings.Contains(err.Error(), tt.rule) {
				t.Errorf("got %+v, %v; want an error with %q", got, err, tt.rule)
			}
		})
	}
}

func TestProtobufUpstreamMetadataAlone(t *testing.T) {
	metadata := field(field(nil, 1, []byte("k")), 2, []byte("v"))
	frame := field(nil, 5, field(field(nil, 1, []byte("e")), 4, metadata))
	want := wire.Event{Name: "e", Message: webpubsub.Text("").WithMetadata("k", "v")}
	if got, err := wire.Protobuf.DecodeUpstream(frame); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	stream := field(nil, 1, []byte("s"))
	frame = field(nil, 1, field(field(field(nil, 1, []byte("g")), 6, metadata), 7, stream))
	start := wire.SendToGroup{Group: "g", Stream: &wire.StreamStart{StreamID: "s"}}
	if got, err := wire.Protobuf.DecodeUpstream(frame); err != nil || !reflect.DeepEqual(got, start) {
		t.Errorf("got %+v, %v; want %+v", got, err, start)
	}
}

func TestProtobufDownstreamUnknown(t *testing.T) {
	moon := protowire.AppendVarint(protowire.AppendTag(field(nil, 1, []byte("moon")), 4, protowire.VarintType), 9)
	for _, tt := range []struct {
		frame []byte
		want  wire.Unknown
	}{
		{nil, wire.Unknown{Type: "frame with no field"}},
		{field(nil, 99, []byte("x")), wire.Unknown{Type: "frame with field 99"}},
		{field(nil, 3, nil), wire.Unknown{Type: "system message with no field"}},
		{field(nil, 3, field(nil, 7, nil)), wire.Unknown{Type: "system message with field 7"}},
		{field(nil, 2, moon), wire.Unknown{Type: "message from moon", SequenceID: 9}},
	} {
		if got, err := wire.Protobuf.DecodeDownstream(tt.frame); err != nil || got != tt.want {
			t.Errorf("DecodeDownstream(%x) = %+v, %v; want %+v", tt.frame, got, err, tt.want)
		}
	}
	if got, err := wire.Protobuf.DecodeDownstream([]byte{1}); err == nil {
		t.Errorf("DecodeDownstream of garbage = %+v, nil", got)
	}
}
