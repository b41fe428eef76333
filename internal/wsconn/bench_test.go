package wsconn_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/wsconn"
)

// discard takes everything at once.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error)      { return len(b), nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }

// frames is an owner of messages that are encoded already, as the emulator
// fans them out.
type frames struct{ w wsconn.Writer[[]byte] }

func (o *frames) Encode(b *wsconn.Batch, m []byte) { b.Buf = append(b.Buf, m...) }
func (o *frames) WriteFailed(error)                {}
func (o *frames) DrainStarted()                    {}
func (o *frames) DrainEnded()                      {}

// BenchmarkFanOut queues one message to many connections, time and again.
func BenchmarkFanOut(b *testing.B) {
	settings := wsconn.Settings{Stall: 30 * time.Second}
	owners := make([]frames, 100)
	for i := range owners {
		owners[i].w.Init(&settings, &owners[i])
		owners[i].w.Start(discard{})
	}
	m := wsconn.AppendFrame(nil, wsconn.OpText, []byte(strings.Repeat("x", 150)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range owners {
			owners[i].w.PushAlways(m, len(m))
		}
	}
	for i := range owners {
		owners[i].w.Wait()
	}
}
