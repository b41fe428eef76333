package wire_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"example.com/webpubsub/internal/wire"
)

func addJSONSeeds(f *testing.F) {
	for _, tt := range upstreamGolden {
		f.Add([]byte(tt.json))
	}
	for _, tt := range downstreamGolden {
		f.Add([]byte(tt.json))
	}
	for _, s := range []string{
		``, ` {}`, `[]`, `{"type":"ping","x":[{"}":"\\"}]}`, `{"\u0074ype":"ping"}`, `{"type":"event","event":"e","data":null}`,
		`{"type":"event","event":"e","metadata":{"":""}}`, `{"type":"message","from":"group","dataType":"xml","data":{}}`,
		`{"type":"ack","ackId":-0,"success":null}`, "{\"type\":\"\xff\"}", `{"type":"groupStateUpdate","items":[[{}]]}`,
	} {
		f.Add([]byte(s))
	}
}

func addProtobufSeeds(f *testing.F) {
	for _, tt := range protoUpstreamGolden {
		f.Add(decode64(f, tt.base64))
	}
	for _, tt := range protoDownstreamGolden {
		f.Add(decode64(f, tt.base64))
	}
	for _, tt := range upstreamGolden {
		if frame, err := wire.Protobuf.AppendUpstream(nil, tt.want); err == nil {
			f.Add(frame)
		}
	}
	for _, tt := range downstreamGolden {
		if frame, err := wire.Protobuf.AppendDownstream(nil, tt.want); err == nil {
			f.Add(frame)
		}
	}
}

// stableUpstream decodes any bytes. What is taken must be sendable, and read
// back as the same.
func stableUpstream(t *testing.T, p wire.Protocol, frame []byte) {
	u, err := p.DecodeUpstream(frame)
	if err != nil {
		if u != nil {
			t.Fatalf("DecodeUpstream(%q) = %+v and %v", frame, u, err)
		}
		return
	}
	out, err := p.AppendUpstream(nil, u)
	if err != nil {
		t.Fatalf("%q was read as %+v, which cannot be written: %v", frame, u, err)
	}
	if again, err := p.DecodeUpstream(out); err != nil || !reflect.DeepEqual(again, u) {
		t.Fatalf("%q was read as\n%+v, written as %q, read as\n%+v, %v", frame, u, out, again, err)
	}
}

// stableDownstream is the same for the client's side, which also takes what a
// service of this version would not send.
func stableDownstream(t *testing.T, p wire.Protocol, frame []byte) {
	d, err := p.DecodeDownstream(frame)
	if err != nil {
		if d != nil {
			t.Fatalf("DecodeDownstream(%q) = %+v and %v", frame, d, err)
		}
		return
	}
	out, err := p.AppendDownstream(nil, d)
	if err != nil {
		return
	}
	first, err := p.DecodeDownstream(out)
	if err != nil {
		t.Fatalf("%q was read as\n%+v, written as %q, which is not read: %v", frame, d, out, err)
	}
	// The first writing may leave out what this version does not send, such as
	// a group of a message from the server. The second must not.
	out, err = p.AppendDownstream(nil, first)
	if err != nil {
		t.Fatalf("%+v cannot be written: %v", first, err)
	}
	if again, err := p.DecodeDownstream(out); err != nil || !reflect.DeepEqual(again, first) {
		t.Fatalf("%+v was written as %q, read as\n%+v, %v", first, out, again, err)
	}
	if !p.Binary() && !json.Valid(out) {
		t.Fatalf("%+v was written as %q, which is not JSON", first, out)
	}
}

func FuzzJSONUpstream(f *testing.F) {
	addJSONSeeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) { stableUpstream(t, wire.ReliableJSON, frame) })
}

func FuzzJSONDownstream(f *testing.F) {
	addJSONSeeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) { stableDownstream(t, wire.ReliableJSON, frame) })
}

func FuzzProtobufUpstream(f *testing.F) {
	addProtobufSeeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) { stableUpstream(t, wire.ReliableProtobuf, frame) })
}

func FuzzProtobufDownstream(f *testing.F) {
	addProtobufSeeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) { stableDownstream(t, wire.ReliableProtobuf, frame) })
}

// The members of an object are found where encoding/json finds them.
func FuzzJSONMembers(f *testing.F) {
	addJSONSeeds(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		var want map[string]json.RawMessage
		if !utf8.Valid(frame) || json.Unmarshal(frame, &want) != nil || want == nil {
			return // what no frame can be
		}
		got := wire.Members(frame)
		if len(got) != len(want) {
			t.Fatalf("%q: got %d members, want %d", frame, len(got), len(want))
		}
		for name, value := range want {
			if string(got[name]) != string(value) {
				t.Fatalf("%q: %q is %q, want %q", frame, name, got[name], value)
			}
		}
	})
}
