package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/wire"
	"example.com/webpubsub/internal/wsconn"
)

const (
	// closeGrace is how long the client waits for the service to respond to its close
	// frame.
	closeGrace = 3 * time.Second
	// echoGrace is how long the client takes to respond to a close frame of the service.
	echoGrace = time.Second
	// writeBuffer is the number of queued bytes from which on calls block.
	writeBuffer = 1 << 20
	// readLimit is the maximum size of a message of the service. It is far above a
	// payload of 1 MiB in base64, because a snapshot of group state has no
	// documented limit.
	readLimit = 64 << 20
)

var writerSettings = wsconn.Settings{Masked: true, MaxBytes: writeBuffer, Stall: 30 * time.Second}

// outgoing is a message in the queue of a link.
type outgoing struct {
	kind    outgoingKind
	payload []byte // of a frame and a close frame
	owner   any    // the *call or *OutgoingStream that the frame belongs to; may be nil
}

type outgoingKind int

const (
	frameOut outgoingKind = iota
	ackOut                // a sequence ack, whose sequence ID is chosen when it is written
	pingOut
	closeOut
)

// link is the current WebSocket of a session. gorilla/websocket performs the
// handshake and reads; a wsconn.Writer writes.
type link struct {
	ws     *websocket.Conn
	meter  *meter
	p      wire.Protocol
	opcode byte
	writer wsconn.Writer[outgoing]

	// Accessed only by the reader goroutine.
	scratch  []byte
	progress bool // something new has been received
	born     time.Time
	first    *received // the first frame, if it was read to see whether the recovery succeeded

	session    atomic.Pointer[session] // to acknowledge for
	ackQueued  atomic.Bool
	pingQueued atomic.Bool
	closing    atomic.Bool // the client's own close frame is queued

	mu    sync.Mutex
	cause error // why the client aborted the link

	closed chan struct{} // closed by end
	done   chan struct{} // closed when keepAlive has returned
}

func newLink(ws *websocket.Conn, m *meter, p wire.Protocol) *link {
	l := &link{
		ws: ws, meter: m, p: p, opcode: wsconn.OpText, born: time.Now(),
		closed: make(chan struct{}), done: make(chan struct{}),
	}
	if p.Binary() {
		l.opcode = wsconn.OpBinary
	}
	l.writer.Init(&writerSettings, l)
	l.writer.Start(ws.NetConn())
	ws.SetReadLimit(readLimit)
	ws.SetCloseHandler(func(code int, _ string) error {
		if !l.closing.Load() {
			l.writeClose(code, echoGrace)
		}
		return nil
	})
	ws.SetPingHandler(func(payload string) error {
		l.writer.Pong([]byte(payload))
		return nil
	})
	return l
}

// next returns the next frame, or the error of one that cannot be decoded. The second
// error is that which ended the link.
func (l *link) next() (wire.Downstream, error, error) {
	if f := l.first; f != nil {
		l.first = nil
		return f.frame, f.invalid, nil
	}
	_, r, err := l.ws.NextReader()
	if err == nil {
		l.scratch, err = readAll(r, l.scratch[:0])
	}
	if err != nil {
		return nil, nil, l.endedBy(err)
	}
	// The decoded message refers to the frame, so it needs a copy of its own.
	frame := append([]byte(nil), l.scratch...)
	if cap(l.scratch) > 64<<10 {
		l.scratch = nil
	}
	d, err := l.p.DecodeDownstream(frame)
	return d, err, nil
}

func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

// endedBy returns the error that ended the link. A close frame of the service takes
// precedence over other errors.
func (l *link) endedBy(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return &CloseError{closed.Code, closed.Text}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// enqueue queues a frame, or, if too much is queued already, returns a channel
// that is closed when there may be room.
func (l *link) enqueue(frame []byte, owner any) (room <-chan struct{}) {
	if !l.writer.Push(outgoing{payload: frame, owner: owner}, len(frame)) {
		return l.writer.Room(len(frame))
	}
	return nil
}

// enqueueNow queues a frame that cannot wait for room.
func (l *link) enqueueNow(frame []byte, owner any) {
	l.writer.PushAlways(outgoing{payload: frame, owner: owner}, len(frame))
}

// enqueueUrgent queues a small frame ahead of everything that is queued.
func (l *link) enqueueUrgent(frame []byte) { l.writer.PushUrgent(outgoing{payload: frame}) }

// takeBack removes the queued frames of a call or stream, and reports whether there
// were any. Frames that are being written are not removed.
func (l *link) takeBack(owner any) bool {
	return l.writer.Remove(func(m outgoing) bool { return m.owner == owner }) > 0
}

// sendPing requests a pong, which shows that the connection is alive. Browsers
// cannot see WebSocket pings, so the subprotocols have their own.
func (l *link) sendPing() {
	if !l.pingQueued.Swap(true) {
		l.writer.PushUrgent(outgoing{kind: pingOut})
	}
}

// Encode, WriteFailed, DrainStarted and DrainEnded implement wsconn.Owner.
func (l *link) Encode(b *wsconn.Batch, m outgoing) {
	switch m.kind {
	case frameOut:
		b.Frame(l.opcode, m.payload)
	case closeOut:
		b.Frame(wsconn.OpClose, m.payload)
	case pingOut:
		l.pingQueued.Store(false)
		l.encode(b, wire.Ping{})
	case ackOut:
		l.ackQueued.Store(false)
		if s := l.session.Load(); s != nil {
			l.encode(b, wire.SequenceAck{SequenceID: s.takeAck()})
		}
	}
}

func (l *link) encode(b *wsconn.Batch, u wire.Upstream) {
	if payload, err := l.p.AppendUpstream(nil, u); err == nil {
		b.Frame(l.opcode, payload)
	}
}

// WriteFailed ends the link. After a close frame of the service there may still
// be unread data, so the reader gets some time.
func (l *link) WriteFailed(err error) {
	l.setCause(err)
	_ = l.ws.NetConn().SetReadDeadline(time.Now().Add(time.Second))
}

func (l *link) DrainStarted() {}
func (l *link) DrainEnded()   {}

func (l *link) setCause(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		l.cause = err
	}
}

// abort closes the network connection without a close frame, so that the connection
// can be recovered.
func (l *link) abort(err error) {
	l.setCause(err)
	_ = l.ws.NetConn().Close()
}

// setDeadline sets the time at which the link ends.
func (l *link) setDeadline(t time.Time) {
	l.writer.Expire(t)
	_ = l.ws.NetConn().SetReadDeadline(t)
}

// writeClose sends a close frame in place of what is queued. It returns when it has
// been written, or after the grace period.
func (l *link) writeClose(code int, grace time.Duration) {
	l.writer.PushOnly(outgoing{kind: closeOut, payload: closePayload(code)}, 0)
	l.writer.Expire(time.Now().Add(grace))
	l.writer.Wait()
}

// closePayload returns the payload of a close frame. It is empty for codes that must
// not be sent (RFC 6455, section 7.4.1).
func closePayload(code int) []byte {
	if code == websocket.CloseNoStatusReceived || code == websocket.CloseAbnormalClosure {
		code = 0
	}
	return wsconn.ClosePayload(code, "")
}

// stop sends a close frame after what is queued. The link ends when the service
// answers, or after closeGrace.
func (l *link) stop() {
	l.closing.Store(true)
	l.writer.PushLast(outgoing{kind: closeOut, payload: closePayload(websocket.CloseNormalClosure)}, 0)
	l.setDeadline(time.Now().Add(closeGrace))
}

// end releases the resources of the link, after the last call of next.
func (l *link) end() {
	l.writer.Abort()
	_ = l.ws.NetConn().Close()
	close(l.closed)
	<-l.done
	l.writer.Wait()
}

// keepAlive acknowledges messages, sends pings, and aborts the link if nothing is
// received. It stops the link when the context ends.
func (l *link) keepAlive(ctx context.Context, o *Options) {
	defer close(l.done)
	acks, stopAcks := ticker(l.p.Reliable(), ackInterval)
	defer stopAcks()
	h := heartbeat{ping: o.PingInterval, idle: o.IdleTimeout, pinged: time.Now(), active: time.Now()}
	beats, stopBeats := ticker(h.interval() > 0, h.interval())
	defer stopBeats()
	for {
		select {
		case <-acks:
			l.acknowledge(false)
		case now := <-beats:
			h.beat(l, now)
		case <-ctx.Done():
			l.stop()
			return
		case <-l.closed:
			return
		}
	}
}

// ticker returns the channel of a ticker, nil if it is off.
func ticker(on bool, d time.Duration) (<-chan time.Time, func()) {
	if !on {
		return nil, func() {}
	}
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// heartbeat sends pings and detects dead links.
type heartbeat struct {
	ping, idle     time.Duration
	pinged, active time.Time
}

var errIdle = errors.New("idle timeout exceeded: nothing was received")

// interval is the time between two calls of beat, 0 if there is nothing to do.
func (h *heartbeat) interval() time.Duration {
	switch {
	case h.idle <= 0:
		return max(h.ping, 0)
	case h.ping <= 0:
		return max(h.idle/3, 1)
	}
	return max(min(h.ping, h.idle/3), 1)
}

func (h *heartbeat) beat(l *link, now time.Time) {
	if l.meter.active.Swap(false) {
		h.active = now
	}
	if h.idle > 0 && now.Sub(h.active) >= h.idle {
		// Without a close frame: the connection can be recovered.
		l.abort(errIdle)
		return
	}
	if h.ping > 0 && now.Sub(h.pinged) >= h.ping {
		h.pinged = now
		l.sendPing()
	}
}
