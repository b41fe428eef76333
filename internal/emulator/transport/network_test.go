package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/memnet"
	"example.com/webpubsub/internal/emulator/network"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/emulator/transport"
)

// slow is a link under network conditions, with both its ends.
type slow struct {
	*network.Simulator
	t     *testing.T
	tasks *task.Group
	link  *transport.Link
	ws    *websocket.Conn
	reads chan string // what the emulator reads
	ended chan error  // why that ended
}

// dialSlow is to be called in a bubble. The emulator reads all the time.
func dialSlow(t *testing.T, c network.Conditions) *slow {
	t.Helper()
	s := &slow{Simulator: network.New(c), t: t, tasks: new(task.Group), reads: make(chan string, 10_000), ended: make(chan error, 1)}
	tr := transport.New(s.tasks, s.Simulator, 100_000, 1<<30)
	l := memnet.Listen()
	link, ws, server := open(t, tr, l, l)
	s.link, s.ws = link, ws
	t.Cleanup(func() {
		s.tasks.Close()
		tr.Close()
		_ = server.Close()
		s.tasks.Wait()
		_ = ws.Close()
	})
	s.link.Listen()
	s.link.Start()
	s.tasks.Background(func() {
		for {
			_, data, err := s.link.Read()
			if err != nil {
				s.ended <- err
				s.link.ReadEnded(websocket.IsCloseError(err, websocket.CloseNormalClosure))
				return
			}
			s.reads <- string(data)
		}
	})
	return s
}

func (s *slow) push(data string) { s.link.Push(text(data)) }

func (s *slow) send(data string) {
	s.t.Helper()
	if err := s.ws.WriteMessage(websocket.TextMessage, []byte(data)); err != nil {
		s.t.Fatal(err)
	}
}

// took reports whether virtual time is what it must be, but for the headers of frames
// and the 50 ms that the bytes of a part travel together.
func took(start time.Time, want time.Duration) bool {
	return (time.Since(start) - want).Abs() < time.Second/5
}

// What is on its way is so at the same time: a hundred messages take as long as one.
func TestLatencyIsOneWayAndPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		start := time.Now()
		for i := range 100 {
			s.push(fmt.Sprint("down ", i))
			s.send(fmt.Sprint("up ", i))
			time.Sleep(10 * time.Millisecond)
		}
		if !took(start, time.Second) {
			t.Fatalf("sending took %v", time.Since(start))
		}
		for i := range 100 {
			if got, want := read(t, s.ws), fmt.Sprint("down ", i); got != want {
				t.Fatalf("the client got %q, want %q", got, want)
			}
			if got, want := <-s.reads, fmt.Sprint("up ", i); got != want {
				t.Fatalf("the emulator got %q, want %q", got, want)
			}
			if got, want := time.Since(start), time.Second+time.Duration(i)*10*time.Millisecond; got != want {
				t.Fatalf("message %d arrived after %v, want %v", i, got, want)
			}
		}
	})
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Bandwidth: 10_000, Latency: time.Second})
		start := time.Now()
		for range 50 {
			s.push(strings.Repeat("x", 10_000))
		}
		for i := range 50 {
			read(t, s.ws)
			if want := time.Duration(i+2) * time.Second; !took(start, want) {
				t.Fatalf("after message %d: %v, want %v", i, time.Since(start), want)
			}
			// What is not on its way waits in the queue of the link, which has bounds.
			if i == 10 && s.link.Queued() < 30 {
				t.Errorf("%d messages are queued", s.link.Queued())
			}
		}
		start = time.Now()
		go func() {
			for range 50 {
				_ = s.ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("y", 10_000)))
			}
		}()
		for i := range 50 {
			<-s.reads
			if want := time.Duration(i+2) * time.Second; !took(start, want) {
				t.Fatalf("after message %d of the client: %v, want %v", i, time.Since(start), want)
			}
		}
	})
}

// A large message on a slow line does not look like a peer that takes nothing.
func TestSlowLineIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Bandwidth: 1000})
		start := time.Now()
		s.push(strings.Repeat("x", 1<<20))
		if got := len(read(t, s.ws)); got != 1<<20 {
			t.Errorf("%d bytes", got)
		}
		if got := time.Since(start); got < 1000*time.Second {
			t.Errorf("a MiB took %v at 1,000 bytes per second", got)
		}
	})
}

func TestJitterKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: 10 * time.Millisecond, Jitter: time.Second})
		go func() {
			for i := range 1000 {
				s.push(fmt.Sprint(i))
				s.send(fmt.Sprint(i))
				time.Sleep(time.Millisecond)
			}
		}()
		differ, last := 0, time.Now()
		for i := range 1000 {
			if got := read(t, s.ws); got != fmt.Sprint(i) {
				t.Fatalf("the client got %s, want %d", got, i)
			}
			if time.Since(last) != time.Millisecond {
				differ++
			}
			last = time.Now()
			if got := <-s.reads; got != fmt.Sprint(i) {
				t.Fatalf("the emulator got %s, want %d", got, i)
			}
		}
		if differ == 0 {
			t.Error("there was no jitter")
		}
	})
}

// Conditions change while messages are on their way: those arrive when they would
// have, and before what is sent later.
func TestConditionsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{})
		next := 0
		for range 20 {
			for _, c := range []network.Conditions{
				{Latency: time.Second}, {}, {Bandwidth: 1000}, {Latency: time.Millisecond, Jitter: time.Second}, {}, {},
			} {
				if err := s.Set(c); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					s.push(fmt.Sprint(next))
					s.send(fmt.Sprint(next))
					next++
					if next%2 == 0 {
						time.Sleep(100 * time.Millisecond)
					}
				}
			}
		}
		for i := range next {
			if got := read(t, s.ws); got != fmt.Sprint(i) {
				t.Fatalf("the client got %s, want %d", got, i)
			}
			if got := <-s.reads; got != fmt.Sprint(i) {
				t.Fatalf("the emulator got %s, want %d", got, i)
			}
		}
		start := time.Now()
		s.push("fast")
		s.send("fast")
		if read(t, s.ws); <-s.reads != "fast" || time.Since(start) != 0 {
			t.Errorf("without conditions a message took %v", time.Since(start))
		}
	})
}

// The first message after a change is delayed although the emulator was reading
// before.
func TestConditionsApplyToAReadThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{})
		s.send("before")
		<-s.reads
		if err := s.Set(network.Conditions{Latency: time.Second}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s.send("after")
		if <-s.reads; time.Since(start) != time.Second {
			t.Errorf("the message took %v", time.Since(start))
		}
	})
}

// A message that is on its way is work, so that a test can wait until nothing more
// comes.
func TestIdleWaitsForTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Minute})
		start := time.Now()
		s.push("hi")
		if err := s.tasks.Idle(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("idle after %v, %v", time.Since(start), err)
		}
		read(t, s.ws)
	})
}

func TestCloseArrivesBehindWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		start := time.Now()
		s.push("last")
		s.link.Close(frame.NewClose(websocket.CloseNormalClosure, "bye"), false)
		if got := read(t, s.ws); got != "last" {
			t.Errorf("got %q", got)
		}
		_, _, err := s.ws.ReadMessage() // answers
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Text != "bye" || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-s.ended; !websocket.IsCloseError(err, websocket.CloseNormalClosure) || time.Since(start) != 2*time.Second {
			t.Errorf("the emulator read %v after %v", err, time.Since(start))
		}
		if _, err := io.Copy(io.Discard, s.ws.NetConn()); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("the end of the connection: %v after %v", err, time.Since(start))
		}
	})
}

// The client begins: it still gets what was sent before its close frame arrived, and
// the answer.
func TestCloseOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		start := time.Now()
		s.push("on its way")
		if err := s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s.ws); got != "on its way" {
			t.Errorf("got %q", got)
		}
		if _, _, err := s.ws.ReadMessage(); !websocket.IsCloseError(err, 1000) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A client that is gone does not keep what is on its way to it for ever, nor does a
// client that does not read.
func TestCutUnderConditions(t *testing.T) {
	for name, cut := range map[string]func(*slow){
		"client hangs up": func(s *slow) { _ = s.ws.NetConn().Close() },
		"emulator cuts":   func(s *slow) { s.link.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := dialSlow(t, network.Conditions{Latency: time.Second, Bandwidth: 1 << 20})
				for range 100 {
					s.push(strings.Repeat("x", 64<<10))
				}
				time.Sleep(10 * time.Second)
				cut(s)
				<-s.ended
				start := time.Now()
				if err := s.tasks.Idle(t.Context()); err != nil || time.Since(start) > 10*time.Second {
					t.Errorf("idle after %v, %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestResetLosesWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		s.push("lost")
		s.send("lost")
		time.Sleep(time.Second / 2)
		s.link.Reset()
		if _, _, err := s.ws.ReadMessage(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client read %v", err)
		}
		if err := <-s.ended; err == nil || len(s.reads) != 0 {
			t.Errorf("the emulator read %v and %d messages", err, len(s.reads))
		}
		start := time.Now()
		if err := s.tasks.Idle(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("idle after %v, %v", time.Since(start), err)
		}
	})
}

func TestReadDeadlineUnderConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		start := time.Now()
		s.link.SetReadDeadline(start.Add(time.Minute))
		s.send("in time")
		<-s.reads
		var timeout net.Error
		if err := <-s.ended; !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A deadline that was set before the conditions, and is removed under them, does not
// end the reader of the connection.
func TestReadDeadlineBeforeConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{})
		s.link.SetReadDeadline(time.Now().Add(10 * time.Second))
		s.send("one")
		<-s.reads
		if err := s.Set(network.Conditions{Latency: time.Second}); err != nil {
			t.Fatal(err)
		}
		s.send("two")
		<-s.reads
		s.link.SetReadDeadline(time.Time{})
		time.Sleep(time.Minute)
		s.send("three")
		if got := <-s.reads; got != "three" {
			t.Errorf("got %q", got)
		}
		// And the other way round: it is in force without conditions again.
		start := time.Now()
		s.link.SetReadDeadline(start.Add(time.Minute))
		if err := s.Set(network.Conditions{}); err != nil {
			t.Fatal(err)
		}
		s.send("four") // which ends the goroutine that reads under conditions
		<-s.reads
		var timeout net.Error
		if err := <-s.ended; !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// The emulator ends its sending side because of what it read: that arrives behind what
// it has sent, too.
func TestEndOfSendingArrivesBehindWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dialSlow(t, network.Conditions{Latency: time.Second})
		s.push("last")
		time.Sleep(time.Millisecond)
		s.link.ClosedByReader()
		if got := read(t, s.ws); got != "last" {
			t.Errorf("got %q", got)
		}
		start := time.Now()
		if _, err := io.Copy(io.Discard, s.ws.NetConn()); err != nil || time.Since(start) != 0 {
			t.Errorf("the end came %v later, with %v", time.Since(start), err)
		}
	})
}
