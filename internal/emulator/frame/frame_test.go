package frame_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/wire"
)

// The bytes are those of RFC 6455, section 5.7, for unmasked frames.
func TestHeaders(t *testing.T) {
	for n, want := range map[int]string{
		5:     "\x81\x05",
		126:   "\x81\x7e\x00\x7e",
		65536: "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		payload := strings.Repeat("x", n)
		f := frame.New(websocket.TextMessage, []byte(payload))
		if got := f.Append(nil, 0); string(got) != want+payload || f.Size != len(got) || f.Sequenced() {
			t.Errorf("%d bytes: header %q, size %d", n, got[:len(want)], f.Size)
		}
	}
}

// A reason is cut between characters, never within one: the peer would close with
// 1007.
func TestCloseReasonIsCutAtACharacter(t *testing.T) {
	f := frame.NewClose(1000, strings.Repeat("é", 100))
	got := f.Append(nil, 0)
	if len(got) != 2+2+122 || f.Closes != 1000 || !bytes.HasSuffix(got, []byte("é")) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestEachReceiverHasItsSequenceID(t *testing.T) {
	data, err := wire.ReliableJSON.EncodeData(wire.Data{From: wire.FromServer, Message: webpubsub.Text("hi")})
	if err != nil {
		t.Fatal(err)
	}
	f := frame.NewSequenced(websocket.TextMessage, data)
	for _, seq := range []uint64{1, 1 << 40} {
		_, payload, _ := bytes.Cut(f.Append(nil, seq), []byte("{"))
		if u, err := wire.ReliableJSON.DecodeDownstream(append([]byte("{"), payload...)); err != nil || u.(wire.Data).SequenceID != seq {
			t.Errorf("%d: %v, %v", seq, u, err)
		}
	}
}

func TestJoinLeavesItsPartsAlone(t *testing.T) {
	a, b := frame.New(websocket.BinaryMessage, []byte("a")), frame.NewClose(1001, "")
	j := frame.Join(a, b)
	if got := j.Append(nil, 0); string(got) != "\x82\x01a\x88\x02\x03\xe9" || j.Closes != 1001 {
		t.Errorf("joined: %q", got)
	}
	if got := a.Append(nil, 0); string(got) != "\x82\x01a" {
		t.Errorf("the first part is now %q", got)
	}
}
