package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

func BenchmarkDecodeUpstream(b *testing.B) {
	send := wire.SendToGroup{Group: "chat-room", AckID: u64(17), Message: jsonMsg(`{"user":"alice","text":"hello there"}`)}
	for _, p := range []wire.Protocol{wire.JSON, wire.Protobuf} {
		b.Run(p.Name(), func(b *testing.B) {
			frame, err := p.AppendUpstream(nil, send)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.DecodeUpstream(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJSONCodec is one message through the service, read from its publisher
// and encoded for a subscriber, with the codec of this package and with
// encoding/json, which is why there is one. encoding/json does less: it takes a
// member in another letter case, and the last of two.
func BenchmarkJSONCodec(b *testing.B) {
	frame := []byte(`{"type":"sendToGroup","group":"chat-room","noEcho":false,"ackId":17,"dataType":"json","data":{"user":"alice","text":"hello there"}}`)
	const want = `{"sequenceId":1,"type":"message","from":"group","fromUserId":"alice","group":"chat-room","dataType":"json","data":{"user":"alice","text":"hello there"}}`
	b.Run("wire", func(b *testing.B) {
		b.ReportAllocs()
		var out []byte
		for b.Loop() {
			u, err := wire.ReliableJSON.DecodeUpstream(frame)
			if err != nil {
				b.Fatal(err)
			}
			send := u.(wire.SendToGroup)
			e, err := wire.ReliableJSON.EncodeData(wire.Data{From: wire.FromGroup, Group: send.Group, FromUserID: text("alice"), Message: send.Message})
			if err != nil {
				b.Fatal(err)
			}
			out = e.Append(nil, 1)
		}
		if string(out) != want {
			b.Errorf("the frame is %s", out)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		var out []byte
		for b.Loop() {
			var up struct {
				Type       string            `json:"type"`
				Group      string            `json:"group"`
				AckID      *uint64           `json:"ackId"`
				NoEcho     bool              `json:"noEcho"`
				TTLSeconds uint32            `json:"ttlSeconds"`
				DataType   string            `json:"dataType"`
				Data       json.RawMessage   `json:"data"`
				Metadata   map[string]string `json:"metadata"`
			}
			if err := json.Unmarshal(frame, &up); err != nil {
				b.Fatal(err)
			}
			var err error
			out, err = json.Marshal(struct {
				SequenceID uint64            `json:"sequenceId,omitempty"`
				Type       string            `json:"type"`
				From       string            `json:"from"`
				FromUserID *string           `json:"fromUserId"`
				Group      string            `json:"group"`
				DataType   string            `json:"dataType"`
				Data       json.RawMessage   `json:"data"`
				Metadata   map[string]string `json:"metadata,omitempty"`
			}{1, "message", "group", text("alice"), up.Group, up.DataType, up.Data, up.Metadata})
			if err != nil {
				b.Fatal(err)
			}
		}
		if string(out) != want {
			b.Errorf("the frame is %s", out)
		}
	})
}

func BenchmarkEncodeData(b *testing.B) {
	for _, size := range []int{64, 64 << 10} {
		for _, p := range []wire.Protocol{wire.ReliableJSON, wire.ReliableProtobuf} {
			b.Run(fmt.Sprintf("%s/%d", p.Name(), size), func(b *testing.B) {
				d := wire.Data{From: wire.FromGroup, Group: "chat-room", FromUserID: text("alice"), Message: webpubsub.Text(strings.Repeat("x", size))}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.EncodeData(d); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, p := range []wire.Protocol{wire.ReliableJSON, wire.ReliableProtobuf} {
		b.Run(p.Name(), func(b *testing.B) {
			e, err := p.EncodeData(wire.Data{From: wire.FromGroup, Group: "chat-room", Message: webpubsub.Text(strings.Repeat("x", 64))})
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, e.Len(1<<62))
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				buf = e.Append(buf[:0], seq)
			}
		})
	}
}
