package wire_test

import (
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
