package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

func u64(n uint64) *uint64   { return &n }
func u32(n uint32) *uint32   { return &n }
func text(s string) *string  { return &s }
func anyBytes() []byte       { return []byte("\x0a\x07example\x12\x03xyz") }
func jsonMsg(s string) msg   { return msg{Type: webpubsub.DataTypeJSON, Data: []byte(s)} }
func meta(m msg) msg         { return m.WithMetadata("b", "2").WithMetadata("a", `1"`) }
func ackErr(n, m string) *we { return &we{Name: n, Message: m} }

type (
	msg = webpubsub.Message
	we  = wire.Error
)

// Upstream frames as this package writes them.
var upstreamGolden = []struct {
	json string
	want wire.Upstream
}{
	{`{"type":"joinGroup","group":"g"}`, wire.JoinGroup{Group: "g"}},
	{`{"type":"joinGroup","group":"g","ackId":0}`, wire.JoinGroup{Group: "g", AckID: u64(0)}},
	{`{"type":"leaveGroup","group":"g","ackId":18446744073709551615}`, wire.LeaveGroup{Group: "g", AckID: u64(1<<64 - 1)}},
	{
		`{"type":"sendToGroup","group":"g","noEcho":false,"dataType":"text","data":"<a & \"b\">\n\u0001"}`,
		wire.SendToGroup{Group: "g", Message: webpubsub.Text("<a & \"b\">\n\x01")},
	},
	{
		`{"type":"sendToGroup","group":"g","ackId":1,"noEcho":true,"ttlSeconds":300,"dataType":"json","data":{"a":[1, 2]},"metadata":{"a":"1\"","b":"2"}}`,
		wire.SendToGroup{Group: "g", AckID: u64(1), NoEcho: true, TTLSeconds: 300, Message: meta(jsonMsg(`{"a":[1, 2]}`))},
	},
	{
		`{"type":"sendToGroup","group":"g","noEcho":false,"dataType":"binary","data":"AQL/"}`,
		wire.SendToGroup{Group: "g", Message: webpubsub.Binary([]byte{1, 2, 255})},
	},
	{
		`{"type":"sendToGroup","group":"g","noEcho":false,"dataType":"protobuf","data":"CgdleGFtcGxlEgN4eXo="}`,
		wire.SendToGroup{Group: "g", Message: webpubsub.Protobuf(anyBytes())},
	},
	{
		`{"type":"sendToGroup","group":"g","noEcho":false,"stream":{"streamId":"s"}}`,
		wire.SendToGroup{Group: "g", Stream: &wire.StreamStart{StreamID: "s"}},
	},
	{
		`{"type":"sendToGroup","group":"g","noEcho":true,"stream":{"streamId":"s","idleTimeoutMs":0}}`,
		wire.SendToGroup{Group: "g", NoEcho: true, Stream: &wire.StreamStart{StreamID: "s", IdleTimeoutMs: u32(0)}},
	},
	{
		`{"type":"event","event":"e","ackId":7,"dataType":"text","data":""}`,
		wire.Event{Name: "e", AckID: u64(7), Message: webpubsub.Text("")},
	},
	{`{"type":"sequenceAck","sequenceId":0}`, wire.SequenceAck{}},
	{`{"type":"sequenceAck","sequenceId":123456}`, wire.SequenceAck{SequenceID: 123456}},
	{`{"type":"ping"}`, wire.Ping{}},
	{`{"type":"invoke","invocationId":"1","target":"event","event":"e"}`, wire.Invoke{InvocationID: "1", Target: "event", Event: "e"}},
	{
		`{"type":"invoke","invocationId":"1","target":"event","event":"e","dataType":"json","data":1}`,
		wire.Invoke{InvocationID: "1", Target: "event", Event: "e", Message: jsonMsg("1")},
	},
	{`{"type":"cancelInvocation","invocationId":"1"}`, wire.CancelInvocation{InvocationID: "1"}},
	{`{"type":"streamData","streamId":"s"}`, wire.StreamData{StreamID: "s"}},
	{
		`{"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"x"}`,
		wire.StreamData{StreamID: "s", SequenceID: u64(1), Message: webpubsub.Text("x")},
	},
	{`{"type":"streamEnd","streamId":"s"}`, wire.StreamEnd{StreamID: "s"}},
	{`{"type":"streamEnd","streamId":"s","error":{}}`, wire.StreamEnd{StreamID: "s", Error: &wire.StreamEndError{}}},
	{
		`{"type":"streamEnd","streamId":"s","error":{"message":"m","userErrorCode":"c"}}`,
		wire.StreamEnd{StreamID: "s", Error: &wire.StreamEndError{Message: "m", UserErrorCode: "c"}},
	},
	{
		`{"type":"setGroupState","group":"g","ackId":1,"state":{"a":"1","b":"2"}}`,
		wire.SetGroupState{Group: "g", AckID: u64(1), State: map[string]string{"a": "1", "b": "2"}},
	},
	{`{"type":"setGroupState","group":"g","state":{}}`, wire.SetGroupState{Group: "g", State: map[string]string{}}},
	{`{"type":"setGroupState","group":"g"}`, wire.SetGroupState{Group: "g"}},
	{`{"type":"subscribeGroupState","group":"g","ackId":3}`, wire.SubscribeGroupState{Group: "g", AckID: u64(3)}},
	{`{"type":"unsubscribeGroupState","group":"g"}`, wire.UnsubscribeGroupState{Group: "g"}},
}

func TestJSONUpstreamGolden(t *testing.T) {
	for _, tt := range upstreamGolden {
		got, err := wire.JSON.DecodeUpstream([]byte(tt.json))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("DecodeUpstream(%s)\n got %+v, %v\nwant %+v", tt.json, got, err, tt.want)
		}
		frame, err := wire.ReliableJSON.AppendUpstream([]byte("before"), tt.want)
		if err != nil || string(frame) != "before"+tt.json {
			t.Errorf("AppendUpstream(%+v)\n got %s, %v\nwant before%s", tt.want, frame, err, tt.json)
		}
	}
}

// What other clients write differently, and is taken all the same.
func TestJSONUpstreamLeniency(t *testing.T) {
	deep := strings.Repeat("[", 63) + `"[[\"["` + strings.Repeat("]", 63) // and the frame is the 64th level
	for _, tt := range []struct {
		name, json string
		want       wire.Upstream
	}{
		{"letter case of type", `{"type":"JOINgroup","group":"g"}`, wire.JoinGroup{Group: "g"}},
		{"white space", " {\r\n\t\"type\" : \"joinGroup\" , \"group\" : \"g\" , \"ackId\" : 1 } \n", wire.JoinGroup{Group: "g", AckID: u64(1)}},
		{"type last", `{"group":"g","type":"joinGroup"}`, wire.JoinGroup{Group: "g"}},
		{"escapes", `{"t\u0079pe":"join\u0047roup","group":"\ud83d\ude00\""}`, wire.JoinGroup{Group: "😀\""}},
		{"unknown members", `{"type":"joinGroup","x":{"group":"y","z":["}",{}]},"group":"g","":null}`, wire.JoinGroup{Group: "g"}},
		{"another letter case is another member", `{"type":"joinGroup","group":"g","GROUP":"h","ackID":"x"}`, wire.JoinGroup{Group: "g"}},
		{"null is absent", `{"type":"joinGroup","group":"g","ackId":null}`, wire.JoinGroup{Group: "g"}},
		{
			"null is absent, but for noEcho and dataType",
			`{"type":"sendToGroup","group":"g","ackId":null,"ttlSeconds":null,"data":1,"metadata":null,"stream":null}`,
			wire.SendToGroup{Group: "g", Message: jsonMsg("1")},
		},
		{"json is the default", `{"type":"event","event":"e","data":"x"}`, wire.Event{Name: "e", Message: jsonMsg(`"x"`)}},
		{"JSON is kept as it is", `{"type":"event","event":"e","data":{ "a" : 1.0e3 , "a":"\u0041"} }`, wire.Event{Name: "e", Message: jsonMsg(`{ "a" : 1.0e3 , "a":"\u0041"}`)}},
		{"deep JSON", `{"type":"event","event":"e","data":` + deep + `}`, wire.Event{Name: "e", Message: jsonMsg(deep)}},
		{
			"white space in base64", `{"type":"event","event":"e","dataType":"binary","data":" A\tQ\r\nI D"}`,
			wire.Event{Name: "e", Message: webpubsub.Binary([]byte{1, 2, 3})},
		},
		{
			"metadata without entries", `{"type":"event","event":"e","data":1,"metadata":{}}`,
			wire.Event{Name: "e", Message: webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("1"), Metadata: map[string]string{}}},
		},
		{"letter case of dataType", `{"type":"event","event":"e","dataType":"Text","data":"x"}`, wire.Event{Name: "e", Message: webpubsub.Text("x")}},
		{"data before dataType", `{"data":"x","dataType":"text","type":"event","event":"e"}`, wire.Event{Name: "e", Message: webpubsub.Text("x")}},
		{
			"metadata alone is empty text",
			`{"type":"event","event":"e","metadata":{"k":"v"}}`,
			wire.Event{Name: "e", Message: webpubsub.Text("").WithMetadata("k", "v")},
		},
		{
			// They become one header of the event, which was that of a random key.
			"the last of the keys of metadata that differ by letter case",
			`{"type":"event","event":"e","data":1,"metadata":{"k":"v","a":"x","K":"w"}}`,
			wire.Event{Name: "e", Message: jsonMsg("1").WithMetadata("a", "x").WithMetadata("K", "w")},
		},
		{
			"a message to clients keeps them all",
			`{"type":"sendToGroup","group":"g","data":1,"metadata":{"k":"v","K":"w"}}`,
			wire.SendToGroup{Group: "g", Message: jsonMsg("1").WithMetadata("k", "v").WithMetadata("K", "w")},
		},
		{"longest event name", `{"type":"event","event":"E` + strings.Repeat(".", 127) + `","data":1}`, wire.Event{Name: "E" + strings.Repeat(".", 127), Message: jsonMsg("1")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.JSON.DecodeUpstream([]byte(tt.json))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestJSONUpstreamRules(t *testing.T) {
	for _, tt := range []struct{ json, rule string }{
		{``, "not valid JSON"},
		{`{"type":"ping"`, "not valid JSON"},
		{`{"type":"ping"}{"type":"ping"}`, "not valid JSON"},
		{"{\"type\":\"ping\xff\"}", "not UTF-8"},
		{`[]`, "not a JSON object"},
		{` "ping"`, "not a JSON object"},
		{`{}`, "type is missing"},
		{`{"type":null}`, "type is missing"},
		{`{"type":1}`, "type must be a string"},
		{`{"Type":"ping"}`, "type is missing"},
		{`{"type":"ack","ackId":1,"success":true}`, `type "ack" is not known`},
		{`{"type":"` + strings.Repeat("x", 1000) + `"}`, `xxx…" is not known`},
		{`{"type":"ping","type":"ping"}`, "type is given twice"},
		{`{"type":"joinGroup"}`, "joinGroup: group is missing"},
		{`{"type":"joinGroup","group":1}`, "group must be a string"},
		{`{"type":"joinGroup","group":" "}`, "Invalid group name"},
		{`{"type":"joinGroup","group":"` + strings.Repeat("g", 1025) + `"}`, "Invalid group name"},
		{`{"type":"joinGroup","group":"g","group":"h"}`, "group is given twice"},
		{`{"type":"leaveGroup","group":""}`, "Invalid group name"},
		{`{"type":"joinGroup","group":"g","ackId":"1"}`, "ackId must be a whole number from 0 to 18446744073709551615"},
		{`{"type":"joinGroup","group":"g","ackId":-1}`, "ackId must be"},
		{`{"type":"joinGroup","group":"g","ackId":1.0}`, "ackId must be"},
		{`{"type":"joinGroup","group":"g","ackId":18446744073709551616}`, "ackId must be"},
		{`{"type":"sendToGroup","group":"g"}`, "data is missing"},
		{`{"type":"sendToGroup","group":"g","data":null}`, "payload is null"},
		{`{"type":"sendToGroup","group":"g","data":null,"metadata":{"k":"v"}}`, "payload is null"},
		{`{"type":"sendToGroup","group":"g","dataType":"text","data":1}`, "data must be a string"},
		{`{"type":"sendToGroup","group":"g","dataType":"binary","data":"A"}`, "standard base64"},
		{`{"type":"sendToGroup","group":"g","dataType":"binary","data":"-_-_"}`, "standard base64"},
		{`{"type":"sendToGroup","group":"g","dataType":"binary","data":7}`, "standard base64"},
		{`{"type":"sendToGroup","group":"g","dataType":"protobuf","data":"AQ=="}`, "google.protobuf.Any"},
		{`{"type":"sendToGroup","group":"g","dataType":"binary","data":"AR=="}`, "standard base64"}, // the last bit means nothing
		{`{"type":"sendToGroup","group":"g","data":1,"noEcho":null}`, "noEcho must not be null"},
		{`{"type":"sendToGroup","group":"g","data":1,"dataType":null}`, "dataType must not be null"},
		{`{"type":"ping","ackId":"1"}`, "ackId must be"},
		{`{"type":"sequenceAck","sequenceId":1,"ackId":-1}`, "ackId must be"},
		{`{"type":"p\u0130ng"}`, `type "pİng" is not known`},
		{`{"type":"event","event":"e","dataType":"b\u0130nary","data":"AA=="}`, "data type must be"},
		{`{"type":"event","event":"e","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "more deeply than 64 levels"},
		{`{"type":"joinGroup","group":"` + strings.Repeat("😀", 513) + `"}`, "Invalid group name"},
		{`{"type":"sendToGroup","group":"g","dataType":"xml","data":"x"}`, "data type must be"},
		{`{"type":"sendToGroup","group":"g","dataType":1,"data":"x"}`, "dataType must be a string"},
		{`{"type":"sendToGroup","group":"g","data":1,"noEcho":"true"}`, "noEcho must be true or false"},
		{`{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":301}`, "ttlSeconds must be a whole number from 0 to 300"},
		{`{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":"1"}`, "ttlSeconds must be"},
		{`{"type":"sendToGroup","group":"g","data":1,"metadata":[]}`, "metadata must be an object"},
		{`{"type":"sendToGroup","group":"g","data":1,"metadata":{"k":1}}`, "values of metadata must be strings"},
		{`{"type":"sendToGroup","group":"g","data":1,"metadata":{"k":"v","\u006b":"w"}}`, "metadata has a key twice"},
		{`{"type":"sendToGroup","group":"g","data":1,"metadata":{"a b":"v"}}`, "invalid metadata key"},
		{`{"type":"sendToGroup","group":"g","data":1,"metadata":{"k":"é"}}`, "printable ASCII"},
		{`{"type":"sendToGroup","group":"g","stream":"s"}`, "stream must be an object"},
		{`{"type":"sendToGroup","group":"g","stream":{"streamId":1}}`, "stream: streamId must be a string"},
		{`{"type":"sendToGroup","group":"g","stream":{"streamId":"s","idleTimeoutMs":4294967296}}`, "idleTimeoutMs must be"},
		{`{"type":"event","data":1}`, "event is missing"},
		{`{"type":"event","event":"1","data":1}`, "invalid event name"},
		{`{"type":"event","event":"e` + strings.Repeat("e", 128) + `","data":1}`, "at most 128"},
		{`{"type":"event","event":"e"}`, "data is missing"},
		{`{"type":"sequenceAck"}`, "sequenceId is missing"},
		{`{"type":"sequenceAck","sequenceId":"1"}`, "sequenceId must be"},
		{`{"type":"invoke","event":"e","target":"event"}`, "invocationId is missing"},
		{`{"type":"invoke","invocationId":"","event":"e","target":"event"}`, "invocationId is empty"},
		{`{"type":"invoke","invocationId":"1","target":"event"}`, "event is missing"},
		{`{"type":"cancelInvocation","invocationId":""}`, "invocationId is empty"},
		{`{"type":"streamData"}`, "streamId is missing"},
		{`{"type":"streamData","streamId":"s","streamSequenceId":1}`, "go together"},
		{`{"type":"streamData","streamId":"s","dataType":"text"}`, "go together"},
		{`{"type":"streamData","streamId":"s","dataType":"text","data":"x"}`, "go together"},
		{`{"type":"streamData","streamId":"s","streamSequenceId":1,"data":"x"}`, "go together"},
		{`{"type":"streamEnd"}`, "streamId is missing"},
		{`{"type":"streamEnd","streamId":"s","error":{"message":1}}`, "error: message must be a string"},
		{`{"type":"setGroupState","group":"g","state":{"k":1}}`, "values of state must be strings"},
		{`{"type":"subscribeGroupState"}`, "group is missing"},
		{`{"type":"unsubscribeGroupState","group":""}`, "Invalid group name"},
	} {
		got, err := wire.JSON.DecodeUpstream([]byte(tt.json))
		if err == nil || !strings.Contains(err.Error(), tt.rule) {
			t.Errorf("DecodeUpstream(%.100s) = %+v, %v; want an error with %q", tt.json, got, err, tt.rule)
		}
	}
}

// Downstream frames as this package writes them.
var downstreamGolden = []struct {
	json string
	want wire.Downstream
}{
	{`{"type":"system","event":"connected","userId":null,"connectionId":"c"}`, wire.Connected{ConnectionID: "c"}},
	{
		`{"type":"system","event":"connected","userId":"u","connectionId":"c","reconnectionToken":"t"}`,
		wire.Connected{ConnectionID: "c", UserID: text("u"), ReconnectionToken: "t"},
	},
	{`{"type":"system","event":"disconnected","message":""}`, wire.Disconnected{}},
	{`{"type":"system","event":"disconnected","message":"bye"}`, wire.Disconnected{Message: "bye"}},
	{`{"type":"ack","ackId":1,"success":true}`, wire.Ack{AckID: 1}},
	{
		`{"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"no"}}`,
		wire.Ack{AckID: 1, Error: ackErr("Forbidden", "no")},
	},
	{`{"type":"ack","ackId":0,"success":false,"error":{"name":"","message":""}}`, wire.Ack{Error: ackErr("", "")}},
	{
		`{"type":"message","from":"server","dataType":"json","data":{"a":1}}`,
		wire.Data{From: wire.FromServer, Message: jsonMsg(`{"a":1}`)},
	},
	{
		`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"text","data":"<x>"}`,
		wire.Data{From: wire.FromGroup, Group: "g", Message: webpubsub.Text("<x>")},
	},
	{
		`{"type":"message","from":"group","fromUserId":"","group":"g","dataType":"binary","data":"AQL/","metadata":{"a":"1\"","b":"2"}}`,
		wire.Data{From: wire.FromGroup, FromUserID: text(""), Group: "g", Message: meta(webpubsub.Binary([]byte{1, 2, 255}))},
	},
	{
		`{"type":"message","from":"group","fromUserId":"u","group":"g","dataType":"protobuf","data":"CgdleGFtcGxlEgN4eXo=","stream":{"streamId":"s","streamSequenceId":1}}`,
		wire.Data{From: wire.FromGroup, FromUserID: text("u"), Group: "g", Message: webpubsub.Protobuf(anyBytes()), Stream: &wire.StreamInfo{StreamID: "s", SequenceID: 1}},
	},
	{
		`{"type":"message","from":"group","fromUserId":"u","group":"g","dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":2,"endOfStream":true,"error":{"name":"UserError","message":"m","userErrorCode":"c"}}}`,
		wire.Data{
			From: wire.FromGroup, FromUserID: text("u"), Group: "g", Message: webpubsub.Text(""),
			Stream: &wire.StreamInfo{StreamID: "s", SequenceID: 2, EndOfStream: true, Error: &wire.StreamError{Name: "UserError", Message: "m", UserErrorCode: "c"}},
		},
	},
	{`{"type":"pong"}`, wire.Pong{}},
	{`{"type":"invokeResponse","invocationId":"1","success":true}`, wire.InvokeResponse{InvocationID: "1"}},
	{
		`{"type":"invokeResponse","invocationId":"1","success":true,"dataType":"text","data":"x"}`,
		wire.InvokeResponse{InvocationID: "1", Message: webpubsub.Text("x")},
	},
	{
		`{"type":"invokeResponse","invocationId":"1","success":false,"error":{"name":"BadRequest","message":"m"}}`,
		wire.InvokeResponse{InvocationID: "1", Error: ackErr("BadRequest", "m")},
	},
	{`{"type":"streamAck","streamId":"s","expectedSequenceId":1}`, wire.StreamAck{StreamID: "s", ExpectedSequenceID: 1}},
	{
		`{"type":"streamNack","streamId":"s","expectedSequenceId":3,"name":"InvalidSequenceId","message":"m"}`,
		wire.StreamNack{StreamID: "s", ExpectedSequenceID: 3, Name: "InvalidSequenceId", Message: "m"},
	},
	{`{"type":"streamClosed","streamId":"s"}`, wire.StreamClosed{StreamID: "s"}},
	{
		`{"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"m"}}`,
		wire.StreamClosed{StreamID: "s", Error: ackErr("IdleTimeout", "m")},
	},
	{`{"type":"groupStateSnapshot","group":"g","items":[]}`, wire.GroupState{Snapshot: true, Group: "g"}},
	{
		`{"type":"groupStateUpdate","group":"g","items":[{"connectionId":"c","userId":"u","state":{"a":"1"},"updatedAt":1741652400000},{"connectionId":"d","updatedAt":-1}]}`,
		wire.GroupState{Group: "g", Items: []wire.GroupStateItem{
			{ConnectionID: "c", UserID: text("u"), State: map[string]string{"a": "1"}, UpdatedAt: 1741652400000},
			{ConnectionID: "d", UpdatedAt: -1},
		}},
	},
}

func TestJSONDownstreamGolden(t *testing.T) {
	for _, tt := range downstreamGolden {
		got, err := wire.JSON.DecodeDownstream([]byte(tt.json))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("DecodeDownstream(%s)\n got %+v, %v\nwant %+v", tt.json, got, err, tt.want)
		}
		frame, err := wire.ReliableJSON.AppendDownstream([]byte("before"), tt.want)
		if err != nil || string(frame) != "before"+tt.json {
			t.Errorf("AppendDownstream(%+v)\n got %s, %v\nwant before%s", tt.want, frame, err, tt.json)
		}
	}
}

// What a service of another version may send, and a client has to live with.
func TestJSONDownstreamLeniency(t *testing.T) {
	for _, tt := range []struct {
		name, json string
		want       wire.Downstream
	}{
		{"unknown type", `{"type":"hello","x":1}`, wire.Unknown{Type: "hello"}},
		{"no type", `{}`, wire.Unknown{}},
		{"unknown from", `{"sequenceId":9,"type":"message","from":"moon","data":{}}`, wire.Unknown{Type: "message from moon", SequenceID: 9}},
		{"unknown event", `{"type":"system","event":"tired"}`, wire.Unknown{Type: "system event tired"}},
		{"disconnected without message", `{"type":"system","event":"disconnected"}`, wire.Disconnected{}},
		{"failed ack without error", `{"type":"ack","ackId":1,"success":false}`, wire.Ack{AckID: 1, Error: ackErr("", "")}},
		{"error without message", `{"type":"ack","ackId":1,"success":false,"error":{"name":"n"}}`, wire.Ack{AckID: 1, Error: ackErr("n", "")}},
		{"error of a success", `{"type":"ack","ackId":1,"success":true,"error":{"name":"n"}}`, wire.Ack{AckID: 1}},
		{"no fromUserId", `{"type":"message","from":"group","group":"g","dataType":"text","data":"x"}`, wire.Data{From: "group", Group: "g", Message: webpubsub.Text("x")}},
		{"json null", `{"type":"message","from":"server","dataType":"json","data":null}`, wire.Data{From: "server", Message: jsonMsg("null")}},
		{"no dataType", `{"type":"message","from":"server","data":"x"}`, wire.Data{From: "server", Message: jsonMsg(`"x"`)}},
		{
			"unknown dataType",
			`{"sequenceId":9,"type":"message","from":"server","dataType":"xml","data":"<x/>"}`,
			wire.Data{From: "server", SequenceID: 9, Message: msg{Type: "xml", Data: []byte(`"<x/>"`)}},
		},
		{
			"end of stream without data",
			`{"type":"message","from":"group","group":"g","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true}}`,
			wire.Data{From: "group", Group: "g", Stream: &wire.StreamInfo{StreamID: "s", SequenceID: 1, EndOfStream: true}},
		},
		{"no items", `{"type":"groupStateSnapshot","group":"g"}`, wire.GroupState{Snapshot: true, Group: "g"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.ReliableJSON.DecodeDownstream([]byte(tt.json))
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestJSONDownstreamErrors(t *testing.T) {
	for _, tt := range []struct{ json, rule string }{
		{`x`, "not valid JSON"},
		{`[{"type":"pong"}]`, "not a JSON object"},
		{`{"type":1}`, "type must be a string"},
		{`{"type":"ack","success":true}`, "ackId is missing"},
		{`{"type":"ack","ackId":"1","success":true}`, "ackId must be"},
		{`{"type":"ack","ackId":1,"success":1}`, "success must be"},
		{`{"type":"ack","ackId":1,"error":"x"}`, "error must be an object"},
		{`{"type":"ack","ackId":1,"error":{"name":1}}`, "error: name must be a string"},
		{`{"type":"message","from":"server","dataType":"binary","data":"?"}`, "base64"},
		{`{"type":"message","from":"server","data":1,"sequenceId":-1}`, "sequenceId must be"},
		{`{"type":"message","from":"server","data":1,"stream":{"error":{"name":1}}}`, "stream: error: name must be a string"},
		{`{"type":"groupStateUpdate","items":{}}`, "items must be an array"},
		{`{"type":"groupStateUpdate","items":[1]}`, "items: it is not a JSON object"},
		{`{"type":"groupStateUpdate","items":[{"updatedAt":1.5}]}`, "items: updatedAt must be"},
		{`{"type":"system","event":"connected","reconnectionToken":{"secret":1}}`, "reconnectionToken must be a string"},
	} {
		got, err := wire.JSON.DecodeDownstream([]byte(tt.json))
		if err == nil || !strings.Contains(err.Error(), tt.rule) {
			t.Errorf("DecodeDownstream(%s) = %+v, %v; want an error with %q", tt.json, got, err, tt.rule)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error %q repeats what the frame holds", err)
		}
	}
}
