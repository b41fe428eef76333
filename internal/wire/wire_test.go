package wire_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

var protocols = []wire.Protocol{wire.JSON, wire.ReliableJSON, wire.Protobuf, wire.ReliableProtobuf}

func TestLookup(t *testing.T) {
	for _, tt := range []struct {
		name             string
		want             wire.Protocol
		reliable, binary bool
	}{
		{"json.webpubsub.azure.v1", wire.JSON, false, false},
		{"json.reliable.webpubsub.azure.v1", wire.ReliableJSON, true, false},
		{"protobuf.webpubsub.azure.v1", wire.Protobuf, false, true},
		{"protobuf.reliable.webpubsub.azure.v1", wire.ReliableProtobuf, true, true},
	} {
		for _, name := range []string{tt.name, strings.ToUpper(tt.name)} {
			if p, ok := wire.Lookup(name); p != tt.want || !ok {
				t.Errorf("Lookup(%q) = %d, %t; want %d, true", name, p, ok, tt.want)
			}
		}
		p := tt.want
		if p.Name() != tt.name || p.Reliable() != tt.reliable || p.Binary() != tt.binary {
			t.Errorf("%d is %q, reliable %t, binary %t; want %q, %t, %t", p, p.Name(), p.Reliable(), p.Binary(), tt.name, tt.reliable, tt.binary)
		}
	}
	for _, name := range []string{"", "mqtt", "json.webpubsub.azure.v2"} {
		if p, ok := wire.Lookup(name); p != 0 || ok {
			t.Errorf("Lookup(%q) = %d, %t; want 0, false", name, p, ok)
		}
	}
}

func TestNoProtocol(t *testing.T) {
	for _, p := range []wire.Protocol{0, 5, 255} {
		_, upErr := p.DecodeUpstream([]byte(`{"type":"ping"}`))
		_, downErr := p.DecodeDownstream([]byte(`{"type":"pong"}`))
		_, sendErr := p.AppendUpstream(nil, wire.Ping{})
		_, answerErr := p.AppendDownstream(nil, wire.Pong{})
		_, dataErr := p.EncodeData(wire.Data{From: wire.FromServer, Message: webpubsub.Text("x")})
		for _, err := range []error{upErr, downErr, sendErr, answerErr, dataErr} {
			if err == nil || !strings.Contains(err.Error(), "without a predefined subprotocol") {
				t.Errorf("Protocol(%d): error %v", p, err)
			}
		}
		if p.Name() != "" || p.Reliable() || p.Binary() {
			t.Errorf("Protocol(%d) is %q, reliable %t, binary %t", p, p.Name(), p.Reliable(), p.Binary())
		}
	}
}

// Reference page of the reliable JSON subprotocol, "Response message group".
func TestSequenceIDComesFirst(t *testing.T) {
	d := wire.Data{From: wire.FromServer, Message: jsonMsg(`{"a": 1}`)}
	for _, tt := range []struct {
		p    wire.Protocol
		seq  uint64
		want string
	}{
		{wire.JSON, 1, `{"type":"message","from":"server","dataType":"json","data":{"a": 1}}`},
		{wire.ReliableJSON, 0, `{"type":"message","from":"server","dataType":"json","data":{"a": 1}}`},
		{wire.ReliableJSON, 1, `{"sequenceId":1,"type":"message","from":"server","dataType":"json","data":{"a": 1}}`},
		{wire.ReliableJSON, math.MaxUint64, `{"sequenceId":18446744073709551615,"type":"message","from":"server","dataType":"json","data":{"a": 1}}`},
	} {
		e, err := tt.p.EncodeData(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Append(nil, tt.seq); string(got) != tt.want {
			t.Errorf("%s, %d:\n got %s\nwant %s", tt.p.Name(), tt.seq, got, tt.want)
		}
	}
}

// The bytes that one connection gets must not depend on what another one got,
// and Len must be right for every length of the number.
func TestEncodedIsShared(t *testing.T) {
	numbers := []uint64{0, 1, 9, 10, 99, 100, 127, 128, 1<<14 - 1, 1 << 14, 1<<53 + 1, math.MaxInt64, math.MaxUint64}
	for _, p := range protocols {
		// Around 127 bytes the length prefix of a protobuf frame grows.
		for size := range 140 {
			d := wire.Data{From: wire.FromGroup, Group: "g", Message: webpubsub.Text(strings.Repeat("x", size))}
			e, err := p.EncodeData(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, seq := range numbers {
				frame := e.Append([]byte("before"), seq)
				frame, ok := bytes.CutPrefix(frame, []byte("before"))
				if !ok || len(frame) != e.Len(seq) {
					t.Fatalf("%s: Append(%d) made %d bytes, Len says %d", p.Name(), seq, len(frame), e.Len(seq))
				}
				d.SequenceID = seq
				if !p.Reliable() {
					d.SequenceID = 0
				}
				if got, err := p.DecodeDownstream(frame); err != nil || !reflect.DeepEqual(got, d) {
					t.Fatalf("%s: got %+v, %v; want %+v", p.Name(), got, err, d)
				}
			}
		}
		if e := (wire.Encoded{}); e.Len(1) != 0 || len(e.Append(nil, 1)) != 0 {
			t.Error("the zero Encoded adds bytes")
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	for _, p := range protocols {
		e, err := p.EncodeData(wire.Data{From: wire.FromGroup, Group: "g", Message: webpubsub.Text("x")})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, e.Len(math.MaxUint64))
		if n := testing.AllocsPerRun(100, func() { buf = e.Append(buf[:0], math.MaxUint64) }); n != 0 {
			t.Errorf("%s: Append makes %v allocations", p.Name(), n)
		}
	}
}

// The JavaScript client ends a stream only on a frame with a data type.
func TestEndOfStreamIsEmptyText(t *testing.T) {
	d := wire.Data{From: wire.FromGroup, Group: "g", Stream: &wire.StreamInfo{StreamID: "s", SequenceID: 3, EndOfStream: true}}
	want := d
	want.Message = webpubsub.Text("")
	for _, p := range protocols {
		frame, err := p.AppendDownstream(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.DecodeDownstream(frame); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", p.Name(), got, err, want)
		}
	}
}

func TestEncodeDataErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		d    wire.Data
		rule string
	}{
		{"no sender", wire.Data{Message: webpubsub.Text("x")}, `it must be from "group" or "server"`},
		{"no message", wire.Data{From: "server"}, "it is empty"},
		{"piece of a stream without a message", wire.Data{From: "group", Stream: &wire.StreamInfo{}}, "it is empty"},
		{"no type", wire.Data{From: "server", Message: msg{Data: []byte("x")}}, "data type must be"},
		{"deep JSON", wire.Data{From: "server", Message: jsonMsg(strings.Repeat("[", 65) + strings.Repeat("]", 65))}, "more deeply than 64 levels"},
		{"broken JSON", wire.Data{From: "server", Message: jsonMsg(`"type":`)}, "not one JSON value"},
		{"two values", wire.Data{From: "server", Message: jsonMsg(`1 2`)}, "not one JSON value"},
		{"JSON not in UTF-8", wire.Data{From: "server", Message: jsonMsg("\"\xff\"")}, "not one JSON value"},
		{"broken Any", wire.Data{From: "server", Message: webpubsub.Protobuf([]byte("x"))}, "google.protobuf.Any"},
	} {
		for _, p := range protocols {
			_, err := p.EncodeData(tt.d)
			if err == nil || !strings.Contains(err.Error(), tt.rule) {
				t.Errorf("%s, %s: error %v; want %q", p.Name(), tt.name, err, tt.rule)
			}
			out, err := p.AppendDownstream([]byte("before"), tt.d)
			if err == nil || string(out) != "before" {
				t.Errorf("%s, %s: AppendDownstream = %q, %v", p.Name(), tt.name, out, err)
			}
		}
	}
}

func TestAppendErrors(t *testing.T) {
	for _, p := range protocols {
		for _, tt := range []struct {
			u    wire.Upstream
			rule string
		}{
			{nil, "not a frame that a client sends"},
			{wire.JoinGroup{}, "Invalid group name"},
			{wire.SendToGroup{Group: "g"}, "data is missing"},
			{wire.SendToGroup{Group: "g", Message: jsonMsg("{")}, "not one JSON value"},
			{wire.SendToGroup{Group: "g", Message: webpubsub.Text("x"), TTLSeconds: 301}, "from 0 to 300"},
			{wire.Event{Name: "e", Message: jsonMsg("null")}, "payload is null"},
			{wire.Event{Name: "e", Message: jsonMsg(strings.Repeat("[", 65) + strings.Repeat("]", 65))}, "more deeply than 64 levels"},
			{wire.Event{Name: "e", Message: msg{Type: "xml", Data: []byte("x")}}, "data type must be"},
			{wire.StreamData{StreamID: "s", SequenceID: u64(1)}, "go together"},
		} {
			out, err := p.AppendUpstream([]byte("before"), tt.u)
			if err == nil || !strings.Contains(err.Error(), tt.rule) || string(out) != "before" {
				t.Errorf("%s: AppendUpstream(%+v) = %q, %v; want an error with %q", p.Name(), tt.u, out, err, tt.rule)
			}
		}
		for _, d := range []wire.Downstream{nil, wire.Unknown{Type: "x"}, wire.InvokeResponse{Message: jsonMsg("{")}} {
			if out, err := p.AppendDownstream([]byte("before"), d); err == nil || string(out) != "before" {
				t.Errorf("%s: AppendDownstream(%+v) = %q, %v", p.Name(), d, out, err)
			}
		}
	}
	other := wire.Invoke{InvocationID: "1", Target: "other", Event: "e"}
	if _, err := wire.Protobuf.AppendUpstream(nil, other); err == nil || !strings.Contains(err.Error(), `the target is "other"`) {
		t.Errorf("a target that protobuf cannot say: error %v", err)
	}
}

// A handler that answers null answered nothing: no official client can take
// null as a payload.
func TestInvokeResponseNull(t *testing.T) {
	for _, p := range protocols {
		frame, err := p.AppendDownstream(nil, wire.InvokeResponse{InvocationID: "1", Message: jsonMsg("null")})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.DecodeDownstream(frame); err != nil || got.(wire.InvokeResponse).Message.Type != "" {
			t.Errorf("%s: got %+v, %v", p.Name(), got, err)
		}
	}
}

// Text comes from anywhere, a frame must be UTF-8: bad bytes are replaced, in
// the same way in every protocol and as encoding/json does it.
func TestTextIsMadeUTF8(t *testing.T) {
	for _, s := range []string{"", "a", "\xff", "a\xff\xfeb", "\xe2\x82", "é€😀", "\u2028<&>\x7f", "\x00\x1f\"\\/\b\f\n\r\t", "\xed\xa0\x80"} {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(quoted, &want); err != nil {
			t.Fatal(err)
		}
		for _, p := range protocols {
			frame, err := p.AppendUpstream(nil, wire.Event{Name: "e", Message: webpubsub.Text(s)})
			if err != nil {
				t.Fatal(err)
			}
			up, err := p.DecodeUpstream(frame)
			if err != nil || up.(wire.Event).Message.String() != want {
				t.Errorf("%s: %q became %+v, %v", p.Name(), s, up, err)
			}
		}
	}
}

// A reason for closing comes from a REST query, where any byte can be: the
// client must get its frame all the same.
func TestReasonIsMadeUTF8(t *testing.T) {
	for _, p := range protocols {
		for in, want := range map[wire.Downstream]wire.Downstream{
			wire.Disconnected{Message: "a\xffb"}:              wire.Disconnected{Message: "a\uFFFDb"},
			wire.Ack{AckID: 1, Error: ackErr("\xff", "\xfe")}: wire.Ack{AckID: 1, Error: ackErr("\uFFFD", "\uFFFD")},
		} {
			frame, err := p.AppendDownstream(nil, in)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.DecodeDownstream(frame); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v; want %+v", p.Name(), got, err, want)
			}
		}
	}
}

func TestErrorText(t *testing.T) {
	if got := ackErr("Forbidden", "no").Error(); got != "Forbidden: no" {
		t.Errorf("Error() = %q", got)
	}
	if got := (&wire.StreamError{Name: "UserError", Message: "m"}).Error(); got != "UserError: m" {
		t.Errorf("Error() = %q", got)
	}
}

// Every frame survives every codec.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		u, d := randomUpstream(r), randomDownstream(r)
		for _, p := range protocols {
			frame, err := p.AppendUpstream(nil, u)
			if err != nil {
				t.Fatalf("%s: AppendUpstream(%+v): %v", p.Name(), u, err)
			}
			if got, err := p.DecodeUpstream(frame); err != nil || !reflect.DeepEqual(got, u) {
				t.Fatalf("%s: %q\n got %+v, %v\nwant %+v", p.Name(), frame, got, err, u)
			}
			want := d
			if data, ok := d.(wire.Data); ok && p.Binary() {
				data.FromUserID = nil // protobuf cannot say it
				want = data
			}
			frame, err = p.AppendDownstream(nil, d)
			if err != nil {
				t.Fatalf("%s: AppendDownstream(%+v): %v", p.Name(), d, err)
			}
			if data, ok := want.(wire.Data); ok && !p.Reliable() {
				data.SequenceID = 0
				want = data
			}
			if got, err := p.DecodeDownstream(frame); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %q\n got %+v, %v\nwant %+v", p.Name(), frame, got, err, want)
			}
		}
	}
}

// randomText returns a string that is not empty.
func randomText(r *rand.Rand) string {
	alphabet := []rune("ab \"\\/<>&{}[],:\n\x00\x7fé€😀\u2028")
	s := []rune{'g'}
	for range r.IntN(12) {
		s = append(s, alphabet[r.IntN(len(alphabet))])
	}
	return string(s)
}

func randomMessage(r *rand.Rand) webpubsub.Message {
	var m webpubsub.Message
	switch r.IntN(4) {
	case 0:
		m = webpubsub.Text(randomText(r)[1:])
	case 1:
		m = webpubsub.MustJSON(map[string]any{randomText(r): []any{randomText(r), r.Float64(), nil, true}})
	case 2:
		m = webpubsub.Binary([]byte(randomText(r))[r.IntN(2):])
	default:
		m = webpubsub.Protobuf(field(field(nil, 1, []byte(randomText(r))), 2, []byte(randomText(r))))
	}
	for range r.IntN(3) {
		m = m.WithMetadata("k-"+string(rune('a'+r.IntN(26))), "v \"")
	}
	return m
}

func randomMap(r *rand.Rand) map[string]string {
	if r.IntN(4) == 0 {
		return nil
	}
	m := map[string]string{}
	for range r.IntN(3) {
		m[randomText(r)] = randomText(r)
	}
	return m
}

func randomNumber(r *rand.Rand) uint64 { return r.Uint64() >> r.IntN(64) }

func maybe[T any](r *rand.Rand, v T) *T {
	if r.IntN(2) == 0 {
		return nil
	}
	return &v
}

func randomUpstream(r *rand.Rand) wire.Upstream {
	name, ack := randomText(r), maybe(r, randomNumber(r))
	switch r.IntN(14) {
	case 0:
		return wire.JoinGroup{Group: name, AckID: ack}
	case 1:
		return wire.LeaveGroup{Group: name, AckID: ack}
	case 2:
		return wire.SendToGroup{Group: name, AckID: ack, NoEcho: r.IntN(2) == 0, TTLSeconds: r.Uint32N(301), Message: randomMessage(r)}
	case 3:
		return wire.SendToGroup{Group: name, NoEcho: r.IntN(2) == 0, Stream: &wire.StreamStart{StreamID: name, IdleTimeoutMs: maybe(r, r.Uint32())}}
	case 4:
		return wire.Event{Name: "e.E-1_", AckID: ack, Message: randomMessage(r)}
	case 5:
		return wire.SequenceAck{SequenceID: randomNumber(r)}
	case 6:
		return wire.Ping{}
	case 7:
		return wire.Invoke{InvocationID: name, Target: wire.TargetEvent, Event: "e", Message: randomMessage(r)}
	case 8:
		return wire.CancelInvocation{InvocationID: name}
	case 9:
		m := randomMessage(r)
		m.Metadata = nil // there is none in the protobuf frame
		return wire.StreamData{StreamID: name, SequenceID: u64(randomNumber(r)), Message: m}
	case 10:
		return wire.StreamEnd{StreamID: name, Error: maybe(r, wire.StreamEndError{Message: name, UserErrorCode: randomText(r)})}
	case 11:
		return wire.SetGroupState{Group: name, AckID: ack, State: randomMap(r)}
	case 12:
		return wire.SubscribeGroupState{Group: name, AckID: ack}
	default:
		return wire.UnsubscribeGroupState{Group: name, AckID: ack}
	}
}

func randomDownstream(r *rand.Rand) wire.Downstream {
	name, n := randomText(r), randomNumber(r)
	refusal := maybe(r, wire.Error{Name: randomText(r), Message: randomText(r)})
	switch r.IntN(9) {
	case 0:
		return wire.Connected{ConnectionID: name, UserID: maybe(r, randomText(r)), ReconnectionToken: randomText(r)}
	case 1:
		return wire.Disconnected{Message: name}
	case 2:
		return wire.Ack{AckID: n, Error: refusal}
	case 3:
		return wire.Data{From: wire.FromServer, Message: randomMessage(r), SequenceID: n}
	case 4:
		d := wire.Data{From: wire.FromGroup, Group: name, FromUserID: maybe(r, randomText(r)), Message: randomMessage(r), SequenceID: n}
		d.Stream = maybe(r, wire.StreamInfo{
			StreamID: name, SequenceID: randomNumber(r), EndOfStream: r.IntN(2) == 0,
			Error: maybe(r, wire.StreamError{Name: name, Message: randomText(r), UserErrorCode: randomText(r)}),
		})
		return d
	case 5:
		d := wire.InvokeResponse{InvocationID: name, Error: refusal}
		if refusal == nil {
			d.Message = randomMessage(r)
		}
		return d
	case 6:
		return wire.StreamNack{StreamID: name, ExpectedSequenceID: n, Name: randomText(r), Message: randomText(r)}
	case 7:
		return wire.StreamClosed{StreamID: name, Error: refusal}
	default:
		d := wire.GroupState{Snapshot: r.IntN(2) == 0, Group: name}
		for range r.IntN(3) {
			d.Items = append(d.Items, wire.GroupStateItem{
				ConnectionID: randomText(r), UserID: maybe(r, randomText(r)), State: randomMap(r), UpdatedAt: r.Int64(),
			})
		}
		return d
	}
}

// The limit is checked once for every frame and REST body, so it must count what
// stands in strings for nothing.
func TestTooDeep(t *testing.T) {
	for _, tt := range []struct {
		json string
		want bool
	}{
		{strings.Repeat("[", 64) + strings.Repeat("]", 64), false},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), true},
		{strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64), false},
		{strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), true},
		{`"` + strings.Repeat("[", 100) + `"`, false},
		{`["\"` + strings.Repeat("[", 100) + `\\"]`, false},
		{"[" + strings.Repeat("[],", 100) + "[]]", false},
	} {
		if got := wire.TooDeep([]byte(tt.json)); got != tt.want {
			t.Errorf("%.40s: %v", tt.json, got)
		}
	}
}
