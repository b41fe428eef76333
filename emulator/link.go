package emulator

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// link is a WebSocket. gorilla/websocket shakes hands and reads; what is
// written goes to the network connection in whole frames, many to a write, and
// so do the few control frames that gorilla writes by itself: see linkConn.
//
// The fields below are guarded by the mutex of the connection that has the link.
type link struct {
	ws   *websocket.Conn
	conn *linkConn
	net  net.Conn      // conn; nil until the handshake has been answered
	gone chan struct{} // closed when the link is cut
	once sync.Once

	queue    []item // what waits to be written
	spare    []item // the queue's storage, used in turns
	loose    int    // queued frames that are kept nowhere else, and their bytes
	looseLen int
	draining bool
	rested   bool // nothing was waiting at some time since the last ping
	dead     bool // nothing is written any more
	closing  bool // a close frame was queued; nothing comes behind it
	readDone bool // nothing more is read; the drain cuts the link when it ends
	deadline *timer

	alive  atomic.Bool // something was read since the last ping
	pinged time.Time
	pingAt time.Time // by the real clock
}

// item is a queued frame.
type item struct {
	frame *frame
	seq   uint64
	kept  bool // an MQTT session keeps it, within bounds of its own
}

const (
	batchSize  = 64 << 10        // bytes of one write
	closeGrace = 5 * time.Second // how long a peer may take to answer a close
)

var batches = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// push queues a frame. It reports false where the queue is full. It needs c.mu.
func (c *conn) push(it item) bool {
	l := c.link
	if l == nil || l.dead || l.closing {
		return true
	}
	if it.seq == 0 && !it.kept && it.frame.closes == 0 {
		if l.loose >= c.hub.srv.opts.MaxMessages || l.looseLen+it.frame.size > c.hub.srv.opts.MaxBytes {
			return false
		}
		l.loose++
		l.looseLen += it.frame.size
	}
	l.closing = it.frame.closes != 0
	l.queue = append(l.queue, it)
	c.wake()
	return true
}

// wake starts a drain where none runs. It needs c.mu.
func (c *conn) wake() {
	if l := c.link; !l.draining && l.net != nil && len(l.queue) > 0 {
		l.draining = true
		// Not by work, whose closures would cost more than the rest of this.
		c.hub.srv.tasks.Add(1)
		c.hub.srv.busy.begin()
		go c.drain(l)
	}
}

// drain writes what is queued, in batches, and ends when nothing is left.
func (c *conn) drain(l *link) {
	defer c.hub.srv.leave()
	buf := batches.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= 4*batchSize {
			batches.Put(buf)
		}
	}()
	for {
		// Whoever is about to queue more goes first, so that it leaves in the same
		// write: under load the system calls are most of the cost.
		runtime.Gosched()
		c.mu.Lock()
		items := l.queue
		if len(items) == 0 || l.dead {
			l.draining, l.rested = false, true
			if l.readDone {
				l.cut()
			}
			if cap(l.spare) > 64 {
				l.spare = nil
			}
			c.mu.Unlock()
			return
		}
		l.queue, l.spare = l.spare[:0], nil
		l.loose, l.looseLen = 0, 0
		c.mu.Unlock()

		*buf = (*buf)[:0]
		for _, it := range items {
			f := it.frame
			if !f.expires.IsZero() && !c.hub.srv.opts.Clock.Now().Before(f.expires) {
				continue
			}
			if c.hub.srv.faults.Load() != nil && f.name != "" {
				c.flush(l, buf)
				if !c.strike(AtSend, f.name, l) {
					break
				}
			}
			*buf = f.append(*buf, it.seq)
			if len(*buf) >= batchSize || f.closes != 0 {
				c.flush(l, buf)
			}
			if f.closes != 0 {
				break
			}
		}
		c.flush(l, buf)

		clear(items)
		c.mu.Lock()
		l.spare = items[:0]
		c.mu.Unlock()
	}
}

// flush writes one batch. A link that cannot be written is cut, which ends its
// reader, and that ends or detaches the connection.
func (c *conn) flush(l *link, buf *[]byte) {
	if len(*buf) == 0 {
		return
	}
	// A peer that takes nothing gets as long as one that answers no ping.
	if _, err := l.conn.write(*buf, 2*c.hub.settings.Load().KeepAlive); err != nil {
		l.cut()
	}
	*buf = (*buf)[:0]
}

func newLink() *link { return &link{gone: make(chan struct{}), conn: newLinkConn()} }

// cut ends the link without another word.
func (l *link) cut() {
	l.once.Do(func() { close(l.gone) })
	if l.net != nil {
		_ = l.net.Close()
	}
}

func (l *link) isCut() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// reset cuts the link as a network that fails does: what is on its way is lost.
func (l *link) reset() {
	n := l.net
	for above, ok := n.(interface{ NetConn() net.Conn }); ok; above, ok = n.(interface{ NetConn() net.Conn }) {
		n = above.NetConn()
	}
	if t, ok := n.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	if n != nil {
		_ = n.Close() // below TLS, which would say goodbye
	}
	l.cut()
}

// sever resets a link, and lets the journal know why.
func (c *conn) sever(l *link, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.cut = why
	}
	l.dead = true
	l.reset()
}

// discard reads over what is left after a close frame was sent, until the peer
// answers or hangs up. To cut the link at once would make the network forget
// the close frame.
func (l *link) discard() error {
	for {
		_, _, err := l.ws.NextReader()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) { // gorilla/websocket reads no further
			_, _ = io.Copy(io.Discard, l.net)
		}
		return err
	}
}

// errTooLarge ends the reading of a message beyond the limit.
var errTooLarge = errors.New("the client message is too large")

// read returns the next message.
func (l *link) read() (opcode int, data []byte, err error) {
	opcode, r, err := l.ws.NextReader()
	if err != nil {
		return 0, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err == nil && len(data) > maxMessage {
		err = errTooLarge
	}
	return opcode, data, err
}

// keepAlive pings a link from time to time, and cuts one that stays silent.
func (c *conn) keepAlive(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil || l.net == nil || l.closing || now.Sub(l.pinged) < c.hub.settings.Load().KeepAlive {
		return
	}
	// While a slow peer still reads what was queued before a ping, it cannot answer
	// that ping. Only as long as something is waiting, since a network that has
	// failed takes single messages into its buffers for a long time.
	busy := l.conn.progress.Swap(false) && l.draining && !l.rested
	l.rested = false
	// The peer answers in real time, even where a test has moved the clock.
	if !l.alive.Load() && !busy && time.Since(l.pingAt) > time.Second {
		c.cut = "PingTimeout: the client answered no ping"
		l.cut()
		return
	}
	l.alive.Store(false)
	l.pinged, l.pingAt = now, time.Now()
	c.push(item{frame: pingFrame})
}

var pingFrame = newFrame(websocket.PingMessage, nil)
