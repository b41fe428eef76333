package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/wire"
)

const (
	// closeGrace is how long the service may take to answer a close frame.
	closeGrace = 3 * time.Second
	// writeTimeout is how long it may take to accept what is written.
	writeTimeout = 30 * time.Second
	// writeBuffer is how many bytes wait to be written before calls have to wait.
	writeBuffer = 1 << 20
	// readLimit bounds a message from the service. It is far above a payload of
	// 1 MiB in base64, because a snapshot of group state has no limit of its own.
	readLimit = 64 << 20
	// ackInterval is the time between sequence acks, and ackGap the number of
	// messages after which one is sent at once, as in the official clients.
	ackInterval = time.Second
	ackGap      = 300
)

// link is one WebSocket. gorilla/websocket shakes hands and reads; what is
// written goes to the network connection in whole frames, many to a write. The
// close frame that gorilla answers by itself is a whole frame in one write too.
type link struct {
	ws     *websocket.Conn
	net    net.Conn
	p      wire.Protocol
	opcode byte

	scratch []byte // the reader's
	heard   atomic.Bool
	closing atomic.Bool             // the client's own close frame is on its way
	session atomic.Pointer[session] // to acknowledge for

	mu    sync.Mutex
	buf   []byte        // frames that wait to be written
	spare []byte        // the buffer's storage, used in turns
	room  chan struct{} // closed when there is room again; nil while nobody waits
	cause error         // why the client cut the link

	wake chan struct{}
	gone chan struct{} // closed by end
	done chan struct{} // closed when the writer has ended
}

func newLink(ws *websocket.Conn, p wire.Protocol) *link {
	l := &link{
		ws: ws, net: ws.NetConn(), p: p, opcode: websocket.TextMessage,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), done: make(chan struct{}),
	}
	if p.Binary() {
		l.opcode = websocket.BinaryMessage
	}
	ws.SetReadLimit(readLimit)
	ws.SetCloseHandler(func(code int, _ string) error {
		if !l.closing.Load() {
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
		}
		return nil
	})
	ws.SetPingHandler(func(payload string) error {
		l.markHeard()
		l.append(websocket.PongMessage, []byte(payload))
		return nil
	})
	return l
}

// markHeard notes that something arrived, without touching shared memory for
// every message.
func (l *link) markHeard() {
	if !l.heard.Load() {
		l.heard.Store(true)
	}
}

// next returns the next frame, nil for one that cannot be read, with the reason.
// Without a frame and with an error, the link is at its end.
func (l *link) next() (wire.Downstream, error, error) {
	_, r, err := l.ws.NextReader()
	if err == nil {
		l.scratch, err = readAll(r, l.scratch[:0])
	}
	if err != nil {
		return nil, nil, l.endedBy(err)
	}
	l.markHeard()
	// The frame is kept by what is decoded from it; the scratch buffer is not.
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

// endedBy returns the reason for the end of the link.
func (l *link) endedBy(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return &CloseError{closed.Code, closed.Text} // whatever else went wrong meanwhile
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// enqueue adds a frame to what is to be written, or, where too much is waiting,
// returns a channel that is closed when there is room.
func (l *link) enqueue(frame []byte) (room <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buf) >= writeBuffer {
		if l.room == nil {
			l.room = make(chan struct{})
		}
		return l.room
	}
	l.appendLocked(l.opcode, frame)
	return nil
}

// enqueueNow adds a frame that cannot wait.
func (l *link) enqueueNow(frame []byte) { l.append(l.opcode, frame) }

func (l *link) append(opcode byte, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appendLocked(opcode, payload)
}

func (l *link) appendLocked(opcode byte, payload []byte) {
	l.buf = appendFrame(l.buf, opcode, payload)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// appendFrame adds a WebSocket frame of a client, which is masked (RFC 6455,
// section 5.2).
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	const final, masked = 0x80, 0x80
	b = append(b, final|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(n))
	}
	key := rand.Uint32() // from a generator that cannot be predicted
	b = binary.LittleEndian.AppendUint32(b, key)
	start := len(b)
	b = append(b, payload...)
	data := b[start:]
	wide := uint64(key)<<32 | uint64(key)
	for ; len(data) >= 8; data = data[8:] {
		binary.LittleEndian.PutUint64(data, binary.LittleEndian.Uint64(data)^wide)
	}
	for i := range data {
		data[i] ^= byte(wide >> (8 * i))
	}
	return b
}

// write is the link's writer. It ends with the link, or says goodbye when the
// client stops.
func (l *link) write(ctx context.Context, o *Options) {
	defer close(l.done)
	acks, stopAcks := ticker(l.p.Reliable(), ackInterval)
	defer stopAcks()
	beat := beat{ping: o.PingInterval, idle: o.IdleTimeout, pinged: time.Now(), heard: time.Now()}
	beats, stopBeats := ticker(beat.interval() > 0, beat.interval())
	defer stopBeats()
	for {
		select {
		case <-l.wake:
			// Whoever is about to send more goes first, so that it leaves in the
			// same write: the system calls are most of the cost.
			runtime.Gosched()
		case <-acks:
			l.acknowledge(false)
		case now := <-beats:
			beat.run(l, now)
		case <-ctx.Done():
			l.closing.Store(true)
			l.append(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
			l.endBy(time.Now().Add(closeGrace))
			_ = l.flush()
			return
		case <-l.gone:
			return
		}
		_ = l.net.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := l.flush(); err != nil {
			l.failed(err)
			return
		}
	}
}

// ticker returns the channel of a ticker, nil where it is off.
func ticker(on bool, d time.Duration) (<-chan time.Time, func()) {
	if !on {
		return nil, func() {}
	}
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// flush writes what is waiting.
func (l *link) flush() error {
	for {
		l.mu.Lock()
		b := l.buf
		if len(b) == 0 {
			l.mu.Unlock()
			return nil
		}
		l.buf, l.spare = l.spare[:0], nil
		if l.room != nil {
			close(l.room)
			l.room = nil
		}
		l.mu.Unlock()
		if _, err := l.net.Write(b); err != nil {
			return err
		}
		l.mu.Lock()
		if cap(b) <= 128<<10 {
			l.spare = b[:0]
		}
		l.mu.Unlock()
	}
}

// endBy lets the link live until t at most.
func (l *link) endBy(t time.Time) { _ = l.net.SetDeadline(t) }

// cut ends the link at once, as an interruption of the network would.
func (l *link) cut(err error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = err
	}
	l.mu.Unlock()
	_ = l.net.Close()
}

// failed ends the link after a write that failed. What has arrived is still to
// be read: a service that closes says why, and hangs up.
func (l *link) failed(err error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = err
	}
	l.mu.Unlock()
	_ = l.net.SetReadDeadline(time.Now().Add(time.Second))
}

// end releases what the link has, when its reader has ended.
func (l *link) end() {
	_ = l.net.Close()
	close(l.gone)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// acknowledge tells the service up to which number the messages are in the
// queue, where it does not know: at once, or only if the gap is large.
func (l *link) acknowledge(onlyGap bool) {
	s := l.session.Load()
	if s == nil {
		return
	}
	n, acked := s.ackable.Load(), s.acked.Load()
	if n == 0 || (onlyGap && n-acked <= ackGap) || (n == acked && !s.ackDue.Load()) {
		return
	}
	s.ackDue.Store(false)
	s.acked.Store(n)
	frame, err := l.p.AppendUpstream(nil, wire.SequenceAck{SequenceID: n})
	if err == nil {
		l.enqueueNow(frame)
	}
}

// beat keeps a link alive, and ends one that is dead.
type beat struct {
	ping, idle    time.Duration
	pinged, heard time.Time
}

var errIdle = errors.New("nothing was received for the idle timeout")

// interval is the time between two calls of run, 0 where there is nothing to do.
func (b *beat) interval() time.Duration {
	switch {
	case b.idle <= 0:
		return max(b.ping, 0)
	case b.ping <= 0:
		return max(b.idle/3, 1)
	}
	return max(min(b.ping, b.idle/3), 1)
}

func (b *beat) run(l *link, now time.Time) {
	if l.heard.Swap(false) {
		b.heard = now
	}
	if b.idle > 0 && now.Sub(b.heard) >= b.idle {
		// Without a close frame: the connection can be recovered.
		l.cut(errIdle)
		return
	}
	if b.ping > 0 && now.Sub(b.pinged) >= b.ping {
		b.pinged = now
		l.sendPing()
	}
}

// sendPing asks for a pong, which shows that the connection is alive. Browsers
// cannot see WebSocket pings, so the protocol has its own.
func (l *link) sendPing() {
	frame, err := l.p.AppendUpstream(nil, wire.Ping{})
	if err == nil {
		l.enqueueNow(frame)
	}
}

// bye closes a connection that is not going to be recovered, so that the service
// need not keep it.
func (l *link) bye() {
	_ = l.ws.WriteControl(websocket.CloseMessage,
		websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}
