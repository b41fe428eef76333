package transport_test

import (
	"context"
	"net"
	"net/http"
	"strings"
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

// counter counts the writes of the server's side.
type counter struct {
	net.Conn
	writes int
}

func (c *counter) Write(b []byte) (int, error) { c.writes++; return c.Conn.Write(b) }

type listener struct {
	net.Listener
	newest *counter
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.newest = &counter{Conn: c}
		c = l.newest
	}
	return c, err
}

// open returns both ends of a WebSocket on the network mem, whose server accepts from
// l. The caller closes all three.
func open(t *testing.T, tr *transport.Transport, mem *memnet.Listener, l net.Listener) (*transport.Link, *websocket.Conn, *http.Server) {
	t.Helper()
	links := make(chan *transport.Link, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link := tr.NewLink()
		if link.Upgrade(w, r, "") {
			links <- link
		}
	})}
	go func() { _ = server.Serve(l) }()
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, n, a string) (net.Conn, error) { return mem.DialContext(ctx, n, a) }}
	ws, _, err := d.DialContext(t.Context(), "ws://localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return <-links, ws, server
}

// connect returns both ends of a WebSocket in memory.
func connect(t *testing.T, maxFrames int) (*transport.Link, *websocket.Conn, *listener) {
	t.Helper()
	mem := memnet.Listen()
	l := &listener{Listener: mem}
	var tasks task.Group
	tr := transport.New(&tasks, network.New(network.Conditions{}), maxFrames, 1<<20)
	link, ws, server := open(t, tr, mem, l)
	t.Cleanup(func() {
		_ = ws.Close()
		tr.Close()
		_ = server.Close()
		tasks.Close()
		tasks.Wait()
	})
	return link, ws, l
}

func text(s string) transport.Item {
	return transport.Item{Frame: frame.New(websocket.TextMessage, []byte(s))}
}

func read(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	_, data, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What waits for the handshake is written after it, in order and in one write.
func TestQueuedFramesShareAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, ws, l := connect(t, 1000)
		before := l.newest.writes
		for range 500 {
			link.Push(text("x"))
		}
		link.Push(text("last"))
		link.Start()
		for range 500 {
			read(t, ws)
		}
		if got := read(t, ws); got != "last" {
			t.Errorf("got %q", got)
		}
		if n := l.newest.writes - before; n > 5 {
			t.Errorf("%d writes for 501 frames", n)
		}
	})
}

func TestAFullQueueIsReported(t *testing.T) {
	link, _, _ := connect(t, 2)
	for i, want := range []bool{true, true, false} {
		if got := link.Push(text("x")); got != want {
			t.Errorf("frame %d: %v", i, got)
		}
	}
	kept := text("x")
	kept.Kept = true
	if !link.Push(kept) {
		t.Error("a frame that the session keeps has no bound here")
	}
}

func TestExpiredFramesAreNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, ws, _ := connect(t, 10)
		f := frame.New(websocket.TextMessage, []byte("late"))
		f.Expires = time.Now().Add(time.Second)
		link.Push(transport.Item{Frame: f})
		link.Push(text("next"))
		time.Sleep(time.Second)
		link.Start()
		if got := read(t, ws); got != "next" {
			t.Errorf("got %q", got)
		}
	})
}

// without is a fault that ends the sending with a frame.
type without string

func (without) FaultsActive() bool                             { return true }
func (w without) BeforeWrite(_ *transport.Link, n string) bool { return n != string(w) }

// After a fault that ends the sending nothing is written but a close frame.
func TestAFaultSilencesTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, ws, _ := connect(t, 10)
		link.Faults = without("second")
		for _, name := range []string{"first", "second", "third"} {
			it := text(name)
			it.Frame.Name = name
			link.Push(it)
		}
		link.Close(frame.NewClose(4000, "over"), false)
		link.Start()
		if got := read(t, ws); got != "first" {
			t.Errorf("got %q", got)
		}
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 4000) {
			t.Errorf("got %v", err)
		}
	})
}

// A peer that does not answer a close frame is disconnected after a while.
func TestTheClosingHandshakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, _, _ := connect(t, 10)
		link.Start()
		link.Close(frame.NewClose(1000, ""), false)
		began := time.Now()
		<-link.Gone()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("disconnected after %v", took)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link, ws, _ := connect(t, 10)
		link.Start()
		link.Listen()
		go func() { _, _, _ = link.Read() }()
		tick := func() bool {
			time.Sleep(20 * time.Second)
			synctest.Wait()
			return link.KeepAlive(time.Now(), 20*time.Second)
		}
		answers := make(chan bool)
		go func() { // the client reads, and so answers pings, until it is told to stop
			defer close(answers)
			_ = ws.SetReadDeadline(time.Now().Add(70 * time.Second))
			_, _, _ = ws.ReadMessage()
		}()
		for i := range 3 {
			if !tick() {
				t.Fatalf("disconnected at ping %d", i)
			}
		}
		<-answers
		link.Pause(true)
		for range 2 {
			if !tick() {
				t.Error("disconnected while the reader was paused")
			}
		}
		link.Pause(false)
		tick()
		if tick() {
			t.Error("a silent peer was kept")
		}
	})
}

// A message of the largest size arrives, one byte more does not.
func TestMessageSize(t *testing.T) {
	for n, want := range map[int]bool{transport.MaxMessage: true, transport.MaxMessage + 1: false} {
		link, ws, _ := connect(t, 10)
		link.Start()
		go func() { _ = ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", n))) }()
		_, data, err := link.Read()
		if (err == nil) != want || want && len(data) != n || !want && !transport.IsTooLarge(err) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
