package client_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/internal/test/testlog"
)

// heap returns the number of bytes in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// grows fails the test if f leaves more than most bytes in use.
func grows(t *testing.T, most uint64, f func()) {
	t.Helper()
	before := heap()
	f()
	if after := heap(); after > before+most {
		t.Errorf("%d kB more are in use", (after-before)>>10)
	}
}

// Regression test: pongs for a service that sends pings and does not read were queued
// without a limit, 229 MB in six seconds.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, _ := start(t, s, client.Options{})
		flood := func() {
			for range 50_000 {
				if err := p.ws.WriteControl(websocket.PingMessage, []byte(strings.Repeat("p", 125)), time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}
		grows(t, 2<<20, flood)
		// When the service reads, it receives one pong.
		pongs := 0
		p.ws.SetPongHandler(func(string) error { pongs++; return nil })
		p.send(`{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"x"}`)
		p.read("sequenceAck")
		if pongs == 0 || pongs > 3 {
			t.Errorf("%d pongs", pongs)
		}
		go p.serve()
	})
}

// Acknowledgements are not queued without a limit if the service does not read. Its
// sequence IDs are so far apart that each message is acknowledged immediately.
func TestAckFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		c.OnGroupMessage(func(context.Context, client.GroupMessage) {})
		const n = 20_000
		grows(t, 2<<20, func() {
			for i := range n {
				p.message(1000*(i+1), "x")
			}
			synctest.Wait()
		})
		acks, last := 0, uint64(0)
		for last != 1000*n {
			f := p.read("sequenceAck")
			if *f.SequenceID < last {
				t.Fatalf("acknowledged %d after %d", *f.SequenceID, last)
			}
			acks, last = acks+1, *f.SequenceID
		}
		if acks > 10 {
			t.Errorf("%d acks", acks)
		}
		go p.serve()
	})
}

// Regression test: each incoming stream had a goroutine, 28,000 in a flood.
func TestStreamFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		var log testlog.Buffer
		c, p, _ := start(t, s, client.Options{MaxIncomingStreams: 100, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var mu sync.Mutex
		running, most, total := 0, 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			if running += n; n > 0 {
				total++
				most = max(most, running)
			}
		}
		c.OnStream(func(_ context.Context, in *client.IncomingStream) {
			count(1)
			defer count(-1)
			for range in.Messages(context.Background()) {
			}
		})
		seq := 0
		for range 28_000 {
			seq++
			p.piece(seq, fmt.Sprint("s", seq), 1, "x", "")
		}
		synctest.Wait()
		if most != 100 || total != 100 {
			t.Errorf("%d readers at the same time, %d in all", most, total)
		}
		if n := strings.Count(log.String(), "MaxIncomingStreams"); n == 0 || n > 20 {
			t.Errorf("%d warnings", n)
		}
		// The readers end with the idle timeout, and there is room again.
		go p.serve()
		time.Sleep(6 * time.Minute)
		seq++
		p.piece(seq, "next", 1, "x", "")
		synctest.Wait()
		if running != 1 || total != 101 {
			t.Errorf("%d readers, %d in all", running, total)
		}
	})
}

// At most 16 MiB wait for the readers of all streams; beyond that, callbacks wait.
func TestStreamBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		release := make(chan struct{})
		var mu sync.Mutex
		got := 0
		c.OnStream(func(_ context.Context, in *client.IncomingStream) {
			if in.ID == "leaves" {
				return
			}
			<-release
			for m := range in.Messages(context.Background()) {
				mu.Lock()
				got += len(m.Data)
				mu.Unlock()
			}
		})
		group := 0
		c.OnGroupMessage(func(context.Context, client.GroupMessage) { group++ })
		data := strings.Repeat("x", 1<<20)
		seq := 0
		for i := range 13 {
			for n := 1; n <= 2; n++ {
				seq++
				id := fmt.Sprint("s", i)
				if i%5 == 0 {
					id = "leaves" // does not count
				}
				p.piece(seq, id, n, data[:1<<20-300], "")
				synctest.Wait()
			}
			if i == 5 {
				seq++
				p.message(seq, "still called")
				synctest.Wait()
				if group != 1 {
					t.Error("callbacks wait too early")
				}
			}
		}
		p.message(seq+1, "waits")
		synctest.Wait()
		if group != 1 {
			t.Error("callbacks do not wait")
		}
		close(release)
		synctest.Wait()
		if group != 2 || got != 20*(1<<20-300) {
			t.Errorf("%d messages, %d bytes of streams", group, got)
		}
		go p.serve()
	})
}

// The size of the response to the handshake is limited.
func TestHandshakeTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			_, _ = http.ReadRequest(bufio.NewReader(far))
			_, err := io.WriteString(far, "HTTP/1.1 101 Switching Protocols\r\n")
			for err == nil {
				_, err = io.WriteString(far, "X-More: "+strings.Repeat("x", 1000)+"\r\n")
			}
		}()
		c, err := client.New(client.URL(accessURL), client.Options{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		grows(t, 8<<20, func() {
			if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "too large") {
				t.Errorf("started: %v", err)
			}
		})
		_ = far.Close()
	})
}

// Invalid frames are ignored, and the number of log records is limited.
func TestInvalidFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		var log testlog.Buffer
		_, p, e := start(t, s, client.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 10_000 {
			p.send("not JSON")
		}
		p.message(1, "after it")
		e.expect(t, "connected c1 alice", "room bob: after it 1")
		if n := strings.Count(log.String(), "\n"); n > 20 {
			t.Errorf("%d lines in the log", n)
		}
		go p.serve()
	})
}

// If the service is not able to accept a message of a stream for two minutes, the
// stream ends.
func TestOutgoingStreamRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{PingInterval: -1})
		out := openStream(t, c, p)
		if err := out.Send(t.Context(), webpubsub.Text("x")); err != nil {
			t.Fatal(err)
		}
		ended := background(out.Close)
		sends := 0
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				data, err := p.next()
				if err != nil {
					return
				}
				if strings.Contains(data, "streamData") {
					sends++
					p.send(`{"type":"streamNack","streamId":"s","expectedSequenceId":1,"name":"TransientError","message":"not now"}`)
				}
			}
		}()
		began := time.Now()
		err := <-ended
		if d := time.Since(began); err == nil || !strings.Contains(err.Error(), "TransientError") || d < time.Minute || d > 4*time.Minute {
			t.Errorf("%v after %v", err, d)
		}
		if sends > 50 {
			t.Errorf("sent %d times", sends)
		}
		p.cut()
		<-served
		go s.next().serve()
		synctest.Wait()
	})
}
