package transport

import (
	"net"
	"os"
	"sync"
	"time"

	"example.com/webpubsub/internal/emulator/network"
)

// shaper makes the connection of a link behave as on a slow network. A connection
// gets one when bytes pass for the first time while there are network conditions.
//
// Each direction has a [line], and a goroutine as long as it needs one: that which
// writes ends when everything has arrived, and that which reads, in order to know
// when bytes come, when something was read after the conditions have ended.
//
// The lock is a leaf, but for that of the [Transport] and those of the network
// connection.
type shaper struct {
	c *conn

	mu      sync.Mutex
	changed sync.Cond
	out, in line
	writing bool // the goroutine that writes is running
	reading bool // the goroutine that reads is running
	closed  bool // nothing is read or queued any more; what was queued still arrives
	half    bool // the sending side ends behind what is queued
	dead    bool // the network connection is closed
	failed  error
}

// shape returns the shaper of the connection, a new one if it has none.
func (c *conn) shape() *shaper {
	s := &shaper{c: c}
	s.changed.L = &s.mu
	if !c.shaper.CompareAndSwap(nil, s) {
		return c.shaper.Load()
	}
	if !c.t.addShaper(s) {
		s.kill()
	}
	return s
}

// wait must be called with the lock held. It returns when something has changed, or at a time that is
// not zero.
func (s *shaper) wait(until time.Time) {
	if !until.IsZero() {
		t := time.AfterFunc(time.Until(until), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
		defer t.Stop()
	}
	s.changed.Wait()
}

// write queues bytes. It reports direct if they can be written to the network
// connection: there are no conditions, and nothing is on its way.
func (s *shaper) write(c *network.Conditions, b []byte) (direct bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.failed != nil:
			return false, s.failed
		case s.dead || s.closed:
			return false, net.ErrClosed
		case c == nil && !s.writing:
			return true, nil
		}
		until, full := s.out.full(c)
		if !full {
			break
		}
		s.wait(until)
	}
	s.out.put(c, append([]byte(nil), b...), nil)
	if !s.writing {
		s.writing = true
		s.c.t.tasks.Fork() // what is on its way is work that WaitIdle waits for
		go s.writeOut()
	}
	s.changed.Broadcast()
	return false, nil
}

func (s *shaper) writeOut() {
	defer s.c.t.tasks.Leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.dead && len(s.out.parts) > 0 {
		p := s.out.parts[0]
		if time.Now().Before(p.due) {
			s.wait(p.due)
			continue
		}
		s.deadline()
		s.mu.Unlock()
		_, err := s.c.Conn.Write(p.data)
		s.mu.Lock()
		if s.dead {
			break
		}
		if err != nil {
			s.failed = err
			s.end()
			break
		}
		s.out.pop(len(p.data))
		s.changed.Broadcast()
	}
	s.writing = false
	switch {
	case s.dead:
	case s.closed:
		s.end()
	default:
		if s.half {
			_ = closeWrite(s.c.Conn)
		}
		_ = s.c.Conn.SetWriteDeadline(s.c.writeDeadline.get())
	}
}

// deadline bounds a write. The lock must be held. The deadlines of the link do not fit:
// it has sent long before.
func (s *shaper) deadline() {
	d := stall
	if s.closed {
		d = closeGrace
	}
	_ = s.c.Conn.SetWriteDeadline(time.Now().Add(d))
}

// end closes the network connection. The lock must be held.
func (s *shaper) end() {
	s.dead = true
	s.out.drop()
	s.changed.Broadcast()
	s.mu.Unlock() // TLS may have to wait
	defer s.mu.Lock()
	s.c.t.removeShaper(s)
	_ = s.c.Conn.Close()
}

// arrived queues what was read from the network connection.
func (s *shaper) arrived(c *network.Conditions, b []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.put(c, append([]byte(nil), b...), err)
	s.changed.Broadcast()
}

// read returns what has arrived. It reports direct if the network connection can be
// read: there are no conditions, and nothing is on its way.
func (s *shaper) read(b []byte) (n int, err error, direct bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now, deadline := time.Now(), s.c.readDeadline.get()
		until := deadline
		switch {
		case s.closed || s.dead:
			return 0, net.ErrClosed, false
		case !deadline.IsZero() && !now.Before(deadline):
			return 0, os.ErrDeadlineExceeded, false
		case len(s.in.parts) > 0:
			p := &s.in.parts[0]
			if !now.Before(p.due) {
				if p.err != nil {
					return 0, p.err, false
				}
				n = copy(b, p.data)
				s.in.pop(n)
				s.changed.Broadcast()
				return n, nil, false
			}
			if until.IsZero() || p.due.Before(until) {
				until = p.due
			}
		case s.reading:
		case s.c.t.network.Links() == nil:
			_ = s.c.Conn.SetReadDeadline(deadline)
			return 0, nil, true
		default:
			s.reading = true
			_ = s.c.Conn.SetReadDeadline(time.Time{})
			s.c.t.tasks.Background(s.readIn)
		}
		s.wait(until)
	}
}

// readIn reads what comes, however slowly the session takes it.
func (s *shaper) readIn() {
	buf := make([]byte, 4<<10)
	for {
		n, err := s.c.Conn.Read(buf)
		c := s.c.t.network.Links()
		s.mu.Lock()
		if !s.closed && n > 0 {
			for size := partSize(c); n > 0; n -= min(n, size) {
				k := min(n, size)
				s.in.put(c, append([]byte(nil), buf[:k]...), nil)
				copy(buf, buf[k:n])
			}
		}
		if err != nil && !s.closed {
			s.in.put(c, nil, err)
		}
		s.changed.Broadcast()
		for !s.closed && !s.dead {
			until, full := s.in.full(c)
			if !full {
				break
			}
			s.wait(until)
			c = s.c.t.network.Links()
		}
		// After Close it goes on to read and to drop, since a connection that is closed
		// with something unread loses what is on its way to the peer.
		if err != nil || s.dead || c == nil && !s.closed {
			s.reading = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// close closes the connection behind what is queued.
func (s *shaper) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.dead {
		return
	}
	s.closed = true
	s.in.drop()
	s.changed.Broadcast()
	if s.writing {
		s.deadline() // of a write to a peer that does not read
		return
	}
	s.end()
}

// closeWrite ends the sending side behind what is queued. It reports false if that
// can be done immediately.
func (s *shaper) closeWrite() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.half = s.writing
	return s.half
}

// kill drops what is on its way, and closes the network connection.
func (s *shaper) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		s.end()
	}
}

// abandon is kill without closing the network connection, which the caller does.
func (s *shaper) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	s.out.drop()
	s.in.drop()
	s.changed.Broadcast()
	s.c.t.removeShaper(s)
}
