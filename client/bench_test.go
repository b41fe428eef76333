package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
)

// hose is a service that sends one client the given numbers of messages, in large
// writes.
func hose(b *testing.B, messages <-chan int) (url string) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"system","event":"connected","userId":"alice","connectionId":"c1","reconnectionToken":"t"}`))
		go func() {
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					return
				}
			}
		}()
		var batch []byte
		seq := 0
		for n := range messages {
			for i := range n {
				seq++
				payload := fmt.Appendf(nil, `{"sequenceId":%d,"type":"message","from":"group","fromUserId":"alice","group":"chat-room","dataType":"text","data":%q}`, seq, strings.Repeat("x", 100))
				batch = append(batch, 0x81, 126, byte(len(payload)>>8), byte(len(payload)))
				batch = append(batch, payload...)
				if len(batch) > 32<<10 || i == n-1 {
					if _, err := ws.NetConn().Write(batch); err != nil {
						return
					}
					batch = batch[:0]
				}
			}
		}
	}))
	b.Cleanup(h.Close)
	return "ws" + strings.TrimPrefix(h.URL, "http")
}

func BenchmarkReceive(b *testing.B) {
	messages := make(chan int, 1)
	// Unlike the service, the hose does not stop at 1,000 messages that are not
	// acknowledged, and on a busy machine the callbacks may not run for a while.
	c, err := client.New(client.URL(hose(b, messages)), client.Options{EventQueueSize: 60_000})
	if err != nil {
		b.Fatal(err)
	}
	got, done := 0, make(chan bool)
	c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) {
		if got++; got == b.N {
			close(done)
		}
	})
	c.OnDisconnected(func(_ context.Context, d client.DisconnectedEvent) {
		if d.Err != nil {
			b.Error(d.Err)
			close(done)
		}
	})
	if err := c.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer c.Stop(context.Background())
	b.ReportAllocs()
	b.ResetTimer()
	messages <- b.N
	<-done
	b.StopTimer()
	close(messages)
}

// BenchmarkReceiveBare is the baseline: gorilla/websocket and encoding/json, without
// recovery, acknowledgements and an event queue.
func BenchmarkReceiveBare(b *testing.B) {
	messages := make(chan int, 1)
	defer close(messages)
	d := websocket.Dialer{Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
	ws, _, err := d.Dial(hose(b, messages), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.Close()
	b.ReportAllocs()
	b.ResetTimer()
	messages <- b.N
	for got := 0; got < b.N; {
		_, data, err := ws.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		var m struct {
			Type, From, Group, FromUserID, DataType string
			Data                                    json.RawMessage
			SequenceID                              uint64
		}
		if err := json.Unmarshal(data, &m); err != nil {
			b.Fatal(err)
		}
		if m.Type == "message" {
			var text string
			if err := json.Unmarshal(m.Data, &text); err != nil {
				b.Fatal(err)
			}
			got++
		}
	}
}

// BenchmarkSend waits for the acknowledgement of each message. Parallel calls share
// writes.
func BenchmarkSend(b *testing.B) {
	srv := emulator.StartT(b, emulator.Options{})
	c := connect(b, srv, "alice", client.Options{}, nil)
	m := webpubsub.Text(strings.Repeat("x", 100))
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.SendToGroup(b.Context(), "room", m, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(50)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := c.SendToGroup(b.Context(), "room", m, nil); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
