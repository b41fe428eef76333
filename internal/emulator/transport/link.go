package transport

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/wsconn"
)

// Link is the WebSocket of a connection. gorilla/websocket performs the handshake
// and reads; a [wsconn.Writer] writes.
type Link struct {
	t      *Transport
	ws     *websocket.Conn
	conn   *conn
	writer wsconn.Writer[Item]
	// Faults is set before Start, or nil.
	Faults   Faults
	silenced bool // BeforeWrite has reported false; used by the writer only

	alive  atomic.Bool // something was read since the last ping
	idle   atomic.Bool // nothing was waiting at some time since the last ping
	paused atomic.Bool // the reader waits for the session

	mu         sync.Mutex
	started    bool
	closing    bool // a close frame was queued
	closeTimer *time.Timer
	pinged     time.Time
	ended      bool          // reset
	gone       chan struct{} // closed then; nil until somebody waits for it
}

// Faults are those that are injected into what a link writes.
type Faults interface {
	// FaultsActive reports whether BeforeWrite is to be called.
	FaultsActive() bool
	// BeforeWrite is called before a frame with a name is written. It may wait. If it
	// reports false, neither the frame nor what follows is written, but for a close
	// frame.
	BeforeWrite(l *Link, name string) bool
}

// Item is a queued frame.
type Item struct {
	Frame *frame.Frame
	Seq   uint64 // sequence id of a sequenced frame
	Kept  bool   // the session keeps the frame, within bounds of its own
}

// NewLink returns the link of a client whose handshake is not complete.
// What is pushed waits for [Link.Start].
func (t *Transport) NewLink() *Link {
	l := &Link{t: t, conn: newConn(t)}
	l.writer.Init(&t.writers, l)
	return l
}

// Start begins to write, after the handshake.
func (l *Link) Start() {
	open := l.t.add(l)
	l.mu.Lock()
	l.started = true
	l.alive.Store(true)
	l.pinged = time.Now()
	if l.closing {
		l.startCloseTimer()
	}
	l.mu.Unlock()
	if !open || l.isGone() { // by the server or a fault, during the handshake
		l.Cut()
		return
	}
	l.writer.Start(l.conn)
}

// Gone is closed when the link is reset.
func (l *Link) Gone() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone == nil {
		l.gone = make(chan struct{})
		if l.ended {
			close(l.gone)
		}
	}
	return l.gone
}

func (l *Link) isGone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

func (l *Link) setGone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && l.gone != nil {
		close(l.gone)
	}
	l.ended = true
}

// Push queues a frame. It reports false if the queue is full, which that of a
// frame that the session keeps never is. A link that is being closed drops it.
func (l *Link) Push(it Item) bool {
	if it.Kept {
		l.writer.PushAlways(it, it.Frame.Size)
		return true
	}
	return l.writer.Push(it, it.Frame.Size)
}

// Close queues a close frame, behind what is queued or, with discard, in place
// of it, and resets the link if the peer does not respond.
func (l *Link) Close(f *frame.Frame, discard bool) {
	l.mu.Lock()
	l.closing = true
	if l.started {
		l.startCloseTimer()
	}
	l.mu.Unlock()
	if discard {
		// What a slow client did not read by now it will not read at all.
		l.writer.PushOnly(Item{Frame: f}, f.Size)
	} else {
		l.writer.PushLast(Item{Frame: f}, f.Size)
	}
}

// startCloseTimer must be called with the lock held.
func (l *Link) startCloseTimer() {
	if l.closeTimer == nil {
		l.closeTimer = time.AfterFunc(closeGrace, l.Cut)
	}
}

// Cut closes the network connection without a closing handshake.
func (l *Link) Cut() {
	l.setGone()
	l.writer.Abort()
	if l.isStarted() {
		_ = l.conn.Close()
	}
}

// Reset drops the connection as a failing network does: data in transit is lost.
func (l *Link) Reset() {
	l.writer.Abort()
	if l.isStarted() {
		l.conn.reset()
	}
	l.Cut()
}

func (l *Link) isStarted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

// ReadEnded is called when nothing more can be read. answered reports whether the
// peer sent a close frame.
func (l *Link) ReadEnded(answered bool) {
	l.t.remove(l)
	l.mu.Lock()
	both := l.closing && answered
	if l.closeTimer != nil && !both {
		l.closeTimer.Stop()
	}
	l.mu.Unlock()
	if both {
		// Both sides may have begun to close at the same time: the client shall still
		// get the close frame with the reason.
		l.setGone()
		l.writer.HangUp()
		return
	}
	l.Cut()
}

// Queued returns the number of frames that wait to be written.
func (l *Link) Queued() int { return l.writer.Queued() }

// Encode, WriteFailed, DrainStarted and DrainEnded implement [wsconn.Owner].

func (l *Link) Encode(b *wsconn.Batch, it Item) {
	f := it.Frame
	if l.silenced && f.Closes == 0 || !f.Expires.IsZero() && !time.Now().Before(f.Expires) {
		return
	}
	if f.Name != "" && l.Faults != nil && l.Faults.FaultsActive() {
		b.Flush()
		if !l.Faults.BeforeWrite(l, f.Name) {
			l.silenced = true
			return
		}
	}
	b.Buf = f.Append(b.Buf, it.Seq)
}

func (l *Link) WriteFailed(error) { l.Cut() } // which ends the reader
func (l *Link) DrainStarted()     { l.t.tasks.Fork() }

func (l *Link) DrainEnded() {
	l.idle.Store(true)
	l.t.tasks.Leave()
}

// KeepAlive sends a ping once in an interval. It reports false, and resets
// the link, if the peer was silent since the last one.
func (l *Link) KeepAlive(now time.Time, interval time.Duration) bool {
	l.mu.Lock()
	if !l.started || l.closing || now.Sub(l.pinged) < interval {
		l.mu.Unlock()
		return true
	}
	l.pinged = now
	l.mu.Unlock()
	// While a slow peer still reads what was queued before a ping, it cannot answer
	// that ping. Only as long as something is waiting, since a network that has
	// failed takes single messages into its buffers for a long time.
	busy := l.conn.progress.Swap(false) && !l.idle.Swap(false) && !l.writer.Idle()
	if !l.alive.Swap(false) && !busy && !l.paused.Load() {
		l.Cut()
		return false
	}
	l.writer.PushUrgent(Item{Frame: pingFrame})
	return true
}

var pingFrame = frame.New(websocket.PingMessage, nil)

// Pause informs the keep-alive whether the reader waits for the session: the peer's
// pongs are not read in the meantime.
func (l *Link) Pause(on bool) {
	l.paused.Store(on)
	l.alive.Store(true)
}

// Paused reports whether the reader waits for the session.
func (l *Link) Paused() bool { return l.paused.Load() }

var (
	errTooLarge   = errors.New("the client message is too large")
	errShortClose = errors.New("invalid close frame: it has a code of two bytes or nothing (RFC 6455, section 5.5.1)")
)

// IsTooLarge reports whether a read failed because the message is too large.
func IsTooLarge(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, websocket.ErrReadLimit)
}

// IsShortClose reports whether a read failed because of a close frame with half a
// code.
func IsShortClose(err error) bool { return errors.Is(err, errShortClose) }

// Listen responds to the control frames of the peer. Call it before the first read.
func (l *Link) Listen() {
	l.ws.SetPongHandler(func(string) error { l.alive.Store(true); return nil })
	l.ws.SetPingHandler(func(data string) error {
		l.alive.Store(true)
		l.writer.Pong([]byte(data))
		return nil
	})
	echo := l.ws.CloseHandler()
	l.ws.SetCloseHandler(func(code int, text string) error {
		l.mu.Lock()
		closing := l.closing
		l.mu.Unlock()
		if closing {
			return nil // the response to our close frame needs no response
		}
		if code == websocket.CloseNoStatusReceived && l.conn.shortClose() {
			return errShortClose
		}
		// RFC 6455, section 5.5.1. Microsoft's emulator drops the connection for codes
		// other than 1000.
		return echo(code, text)
	})
}

// Read returns the next message.
func (l *Link) Read() (opcode int, data []byte, err error) {
	opcode, r, err := l.ws.NextReader()
	if err != nil {
		return 0, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(r, MaxMessage+1))
	if err == nil && len(data) > MaxMessage {
		err = errTooLarge
	}
	if err == nil {
		l.alive.Store(true)
	}
	return opcode, data, err
}

// NextReader returns the next message as a stream.
func (l *Link) NextReader() (opcode int, r io.Reader, err error) {
	opcode, r, err = l.ws.NextReader()
	if err == nil {
		l.alive.Store(true)
	}
	return opcode, r, err
}

// SetReadDeadline bounds the reads. The zero time removes the bound.
func (l *Link) SetReadDeadline(t time.Time) { _ = l.ws.SetReadDeadline(t) }

// Discard reads and drops what the peer sends after a close frame was sent,
// until it responds or disconnects, and returns why that ended. If the link were reset
// immediately, the network could discard the close frame.
func (l *Link) Discard() error {
	for {
		_, _, err := l.ws.NextReader()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) { // gorilla/websocket reads no further
			_, _ = io.Copy(io.Discard, l.conn)
		}
		return err
	}
}

// ClosedByReader notes that gorilla/websocket has sent a close frame because of
// what it read. Nothing more is written.
func (l *Link) ClosedByReader() {
	l.mu.Lock()
	l.closing = true
	l.startCloseTimer()
	l.mu.Unlock()
	l.writer.Abort()
	_ = l.conn.CloseWrite()
}
