package wsconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/wsconn"
)

// owner writes text messages; "!" is a close frame.
type owner struct {
	w      wsconn.Writer[string]
	failed chan error
	drains atomic.Int32 // draining goroutines that run
	total  atomic.Int32 // those that were started
}

func (o *owner) Encode(b *wsconn.Batch, m string) {
	if m == "!" {
		b.Frame(wsconn.OpClose, wsconn.ClosePayload(1000, "bye"))
		return
	}
	b.Frame(wsconn.OpText, []byte(m))
}
func (o *owner) WriteFailed(err error) { o.failed <- err }
func (o *owner) DrainStarted()         { o.drains.Add(1); o.total.Add(1) }
func (o *owner) DrainEnded()           { o.drains.Add(-1) }

func newOwner(s wsconn.Settings) *owner {
	o := &owner{failed: make(chan error, 2)}
	o.w.Init(&s, o)
	return o
}

func (o *owner) push(messages ...string) {
	for _, m := range messages {
		o.w.PushAlways(m, len(m))
	}
}

// sink is a connection that keeps each write until it is released, if it is
// held, and remembers it.
type sink struct {
	net.Conn
	release chan struct{} // nil: nothing is held
	mu      sync.Mutex
	writes  [][]byte
	closed  bool
	err     error
}

func (s *sink) Write(b []byte) (int, error) {
	if s.release != nil {
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, bytes.Clone(b))
	return len(b), s.err
}

func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// messages decodes what was written since the last call: the messages of each
// write, joined by blanks.
func (s *sink) messages(t *testing.T) []string {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, b := range s.writes {
		var frames []string
		for len(b) > 0 {
			opcode, payload, rest := decode(t, b)
			switch opcode {
			case wsconn.OpPong:
				payload = "pong:" + payload
			case wsconn.OpClose:
				payload = "close"
			}
			frames, b = append(frames, payload), rest
		}
		out = append(out, strings.Join(frames, " "))
	}
	s.writes = nil
	return out
}

// decode reads one small unmasked frame.
func decode(t *testing.T, b []byte) (opcode byte, payload string, rest []byte) {
	t.Helper()
	n, head := int(b[1]), 2
	if n == 126 {
		n, head = int(b[2])<<8|int(b[3]), 4
	}
	if n > 1<<16 || b[0]&0x80 == 0 {
		t.Fatalf("unexpected frame % x", b[:2])
	}
	return b[0] & 0xf, string(b[head : head+n]), b[head+n:]
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("written: %q\nwant:    %q", got, want)
	}
}

// What is queued while a batch is written is one batch, urgent messages first.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{})}
		o.push("before", "start")
		o.w.Start(s)
		synctest.Wait()
		if o.w.Idle() {
			t.Error("idle while a batch is being written")
		}
		o.push("a", "b")
		o.w.Pong([]byte("1"))
		o.w.PushUrgent("urgent1")
		o.push("c")
		o.w.PushUrgent("urgent2")
		o.w.Pong([]byte("2"))
		close(s.release)
		expect(t, s.messages(t), "before start", "pong:2 urgent1 urgent2 a b c")
		if !o.w.Idle() || o.drains.Load() != 0 {
			t.Error("a goroutine is left, with nothing to write")
		}
		o.push("later")
		expect(t, s.messages(t), "later")
	})
}

// A peer that sends pings and reads nothing costs the memory of one pong: they
// were once all buffered, 229 MB in six seconds.
func TestPongsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{})}
		o.w.Start(s)
		o.push("held")
		synctest.Wait()
		payload := make([]byte, 300)
		for i := range 100_000 {
			payload[0] = byte('a' + i%26)
			o.w.Pong(payload)
		}
		close(s.release)
		got := s.messages(t)
		if len(got) != 2 || len(got[1]) != len("pong:")+125 || got[1][5] != byte('a'+99_999%26) {
			t.Errorf("written: %q", got)
		}
	})
}

func TestNothingFollowsTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{})}
		o.w.Start(s)
		o.push("held")
		synctest.Wait()
		o.push("a")
		o.w.PushUrgent("urgent")
		o.w.PushLast("!", 1)
		o.w.PushLast("twice", 1)
		o.push("b")
		o.w.PushUrgent("too late")
		o.w.Pong(nil)
		if !o.w.Push("c", 1) {
			t.Error("a message for a connection that is closing is not dropped but rejected")
		}
		close(s.release)
		expect(t, s.messages(t), "held", "a close")
		o.w.HangUp()
		synctest.Wait()
		if !s.closed {
			t.Error("the network connection is open")
		}
	})
}

// A connection that is closed because its peer does not read drops what the
// peer will not read either.
func TestPushOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{MaxMessages: 1}), &sink{release: make(chan struct{})}
		o.w.Start(s)
		o.push("held")
		synctest.Wait()
		o.push("a")
		o.w.PushUrgent("b")
		o.w.Push("c", 1)
		room := o.w.Room(1)
		o.w.PushOnly("!", 1)
		<-room
		o.w.PushOnly("twice", 1)
		close(s.release)
		expect(t, s.messages(t), "held", "close")
	})
}

func TestHangUpWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{})}
		o.push("a")
		o.w.HangUp()
		o.push("b")
		o.w.Start(s)
		synctest.Wait()
		if s.closed {
			t.Error("closed before the message was written")
		}
		close(s.release)
		expect(t, s.messages(t), "a")
		if !s.closed {
			t.Error("the network connection is open")
		}
	})
}

// The bounds are for what waits. Messages that are queued always do not count.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{MaxMessages: 3, MaxBytes: 10}), &sink{release: make(chan struct{})}
		if !o.w.Push("larger than the bound", 21) {
			t.Error("an empty queue takes any message")
		}
		if o.w.Push("x", 1) {
			t.Error("beyond the bytes")
		}
		o.w.PushAlways("always", 6)
		room := o.w.Room(1)
		select {
		case <-room:
			t.Error("there is no room")
		default:
		}
		o.w.Start(s)
		<-room // both are being written
		for _, m := range []string{"1", "2", "3"} {
			if !o.w.Push(m, 1) {
				t.Errorf("no room for %s", m)
			}
		}
		if o.w.Push("4", 1) {
			t.Error("beyond the messages")
		}
		if n := o.w.Remove(func(m string) bool { return m != "2" }); n != 2 {
			t.Errorf("removed %d", n)
		}
		<-o.w.Room(8)
		if o.w.Push("of ten bytes", 10) || !o.w.Push("of nine", 9) {
			t.Error("the bytes are not counted")
		}
		close(s.release)
		expect(t, s.messages(t), "larger than the bound always", "2 of nine")
		o.w.Abort()
		<-o.w.Room(100)
	})
}

// A batch is about BatchSize, so that an urgent message does not wait for the
// whole queue, and every message arrives once, whatever is removed.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{}, 10000)}
		o.w.Start(s)
		want := ""
		for i := range 5000 {
			m := fmt.Sprintf("%d-%s", i, strings.Repeat("x", i%97))
			o.push(m)
			if i%7 != 3 || i <= 2000 { // those are written, or about to be
				want += m + " "
			}
			if i == 2000 {
				s.release <- struct{}{}
				synctest.Wait()
				s.release <- struct{}{}
			}
		}
		o.w.Remove(func(m string) bool {
			var i int
			_, _ = fmt.Sscanf(m, "%d-", &i)
			return i%7 == 3 && i > 2000
		})
		o.w.PushUrgent("urgent")
		close(s.release)
		got := s.messages(t)
		for _, batch := range got {
			if len(batch) > wsconn.BatchSize+100 {
				t.Errorf("a batch of %d bytes", len(batch))
			}
		}
		if !strings.HasPrefix(got[3], "urgent ") {
			t.Errorf("the urgent message is not at the head of a batch: %.20q", got)
		}
		if all := strings.Replace(strings.Join(got, " ")+" ", "urgent ", "", 1); all != want {
			t.Errorf("%d bytes of messages in %d batches, want %d", len(all), len(got), len(want))
		}
	})
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{release: make(chan struct{}), err: net.ErrClosed}
		o.w.Start(s)
		o.push("held")
		synctest.Wait()
		o.push("dropped")
		o.w.Abort()
		waited := make(chan struct{})
		go func() { o.w.Wait(); close(waited) }()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("a goroutine still writes")
		default:
		}
		close(s.release)
		<-waited
		o.w.Wait()
		o.push("dropped")
		expect(t, s.messages(t), "held")
		if len(o.failed) > 0 {
			t.Errorf("%v: reported after Abort", <-o.failed)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		o, s := newOwner(wsconn.Settings{}), &sink{err: io.ErrUnexpectedEOF}
		o.w.Start(s)
		o.push("fails")
		if err := <-o.failed; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		o.push("dropped")
		expect(t, s.messages(t), "fails")
	})
}

// throttle reads at a rate of bytes per second until the pipe is closed.
func throttle(t *testing.T, c net.Conn, rate int) (total *atomic.Int64) {
	total = new(atomic.Int64)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		b := make([]byte, rate/10)
		for {
			n, err := io.ReadFull(c, b)
			total.Add(int64(n))
			if err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return total
}

// A connection that is slower than what is queued, yet makes progress, is not
// closed: the deadline was set once for all that was written in one go.
func TestSlowConnection(t *testing.T) {
	for name, tt := range map[string]struct{ rate, size int }{
		"sustained load over 500 kB/s": {500_000, 1_000},
		"large messages over 50 kB/s":  {50_000, 1 << 20},
		"one message over 8 kB/s":      {8_000, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				read := throttle(t, far, tt.rate)
				o := newOwner(wsconn.Settings{Stall: 30 * time.Second, MaxBytes: 4 << 20, Masked: true})
				o.w.Start(near)
				m := strings.Repeat("x", tt.size)
				began, sent := time.Now(), 0
				for time.Since(began) < 90*time.Second {
					for !o.w.Push(m, len(m)) {
						<-o.w.Room(len(m))
					}
					if len(o.failed) > 0 {
						_ = near.Close()
						t.Fatalf("after %v: %v", time.Since(began), <-o.failed)
					}
					sent += len(m)
				}
				o.w.HangUp()
				o.w.Wait()
				_ = near.Close()
				synctest.Wait()
				if len(o.failed) > 0 || read.Load() < int64(sent) {
					t.Errorf("%d of %d bytes arrived", read.Load(), sent)
				}
			})
		})
	}
}

func TestStalledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := newOwner(wsconn.Settings{Stall: 30 * time.Second})
		o.w.Start(near)
		began := time.Now()
		o.push("x")
		err := <-o.failed
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d < 30*time.Second || d > time.Minute {
			t.Errorf("%v after %v", err, d)
		}
		_ = far.Close()
	})
	// The last deadline holds, whatever is written.
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		read := throttle(t, far, 1000)
		o := newOwner(wsconn.Settings{Stall: 30 * time.Second})
		o.w.Start(near)
		began := time.Now()
		o.w.Expire(began.Add(3 * time.Second))
		for range 100 {
			o.push(strings.Repeat("x", 1000))
		}
		err := <-o.failed
		if d := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || d != 3*time.Second || read.Load() == 0 {
			t.Errorf("%v after %v, %d bytes read", err, d, read.Load())
		}
		_ = far.Close()
	})
}

// What the library on the other side reads is what was written.
func FuzzFrames(f *testing.F) {
	for _, n := range []int{0, 1, 7, 8, 125, 126, 65535, 65536, 100_000} {
		f.Add(true, []byte(strings.Repeat("x", n)))
		f.Add(false, []byte(strings.Repeat("y", n)))
	}
	f.Fuzz(func(t *testing.T, masked bool, payload []byte) {
		var b []byte
		encode := wsconn.AppendFrame
		if masked {
			encode = wsconn.AppendMaskedFrame
		}
		before := bytes.Clone(payload)
		b = encode(b, wsconn.OpBinary, payload)
		b = encode(b, wsconn.OpBinary, payload)
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload was modified")
		}
		client, service := pair(t)
		reader, writer := client, service
		if masked {
			reader, writer = service, client
		}
		go func() { _, _ = writer.NetConn().Write(b) }()
		for range 2 {
			kind, got, err := reader.ReadMessage()
			if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(got, payload) {
				t.Fatalf("read %d bytes of kind %d (%v), want %d", len(got), kind, err, len(payload))
			}
		}
	})
}

func TestClosePayload(t *testing.T) {
	if got := wsconn.ClosePayload(0, "x"); got != nil {
		t.Errorf("% x", got)
	}
	for reason, want := range map[string]string{
		"bye":                          "bye",
		strings.Repeat("x", 200):       strings.Repeat("x", 123),
		strings.Repeat("ü", 100):       strings.Repeat("ü", 61),
		strings.Repeat("€", 100):       strings.Repeat("€", 41),
		"x" + strings.Repeat("€", 100): "x" + strings.Repeat("€", 40),
	} {
		if got := string(wsconn.ClosePayload(1008, reason)); got != "\x03\xf0"+want {
			t.Errorf("%q: %q", reason, got)
		}
	}
}
