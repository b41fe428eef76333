package session

import (
	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/frame"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/transport"
)

// reliable is what is kept for a client of a reliable protocol (client protocol,
// reliable recovery). It is guarded by base.mu.
type reliable struct {
	seq     uint64           // sequence id of the newest message
	unacked []transport.Item // messages that the client has not acknowledged
	bytes   int              // of all of them
}

func (r *reliable) clear() { r.unacked, r.bytes = nil, 0 }

// sendSequenced queues a message and keeps it until it is acknowledged.
func (s *PubSub) sendSequenced(f *frame.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.closing {
		return
	}
	if len(s.unacked) >= s.srv.MaxMessages || s.bytes+f.Size > s.srv.MaxBytes {
		s.closeSlow("The reliable message buffer is full.")
		return
	}
	s.seq++
	it := transport.Item{Frame: f, Seq: s.seq, Kept: true}
	s.unacked = append(s.unacked, it)
	s.bytes += f.Size
	if s.link != nil {
		s.push(it)
	}
}

// acknowledge frees what the client has received: everything up to id. Ids lower
// than before are valid and have no effect (client protocol, reliable recovery).
func (s *PubSub) acknowledge(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.unacked) && s.unacked[n].Seq <= id {
		s.bytes -= s.unacked[n].Frame.Size
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(s.unacked, s.unacked[n:])
	clear(s.unacked[rest:])
	if s.unacked = s.unacked[:rest]; rest == 0 && cap(s.unacked) > 64 {
		s.unacked = nil
	}
}

// Recovers reports whether the client can recover its connection.
func (s *PubSub) Recovers() bool { return s.protocol.Reliable() }

func (s *PubSub) linkLost(l *transport.Link, code int, reason, why string, by *journal.Cause) {
	if !s.release(l) {
		return
	}
	// A client that closes with 1000 or without a code, as the official JavaScript
	// client does when it stops, does not come back; after anything else a reliable
	// one may. What it sent before is carried out, an event that is being handled among
	// it. Microsoft's emulator cancels that and drops what is queued, so that a client
	// which recovers and repeats the ackId has its event handled twice; what the service
	// does is not documented.
	final := code == websocket.CloseNormalClosure || code == websocket.CloseNoStatusReceived
	if s.protocol.Reliable() && !final {
		const expired = "The connection recovery timeout expired."
		s.detach(code, why, s.srv.RecoveryWindow, expired, expired, by)
		return
	}
	s.finish(code, reason, why, by)
}

// Recover moves the connection to a new link, which has been upgraded, and queues
// again what the client has not acknowledged. It reports false if the connection
// has ended.
//
// Nothing else is sent, as the service does it, with two exceptions: the official
// JavaScript client resumes its streams on a connected frame only, and the frames
// of group states are not among those that are kept.
func (s *PubSub) Recover(l *transport.Link, by *journal.Cause) bool {
	if s.resumeStreams() {
		if connected, err := s.connectedFrame(); err == nil {
			l.Push(transport.Item{Frame: connected})
		}
	}
	s.mu.Lock()
	if s.ended || s.closing {
		s.mu.Unlock()
		return false
	}
	if s.link != nil {
		s.link.Cut()
	}
	s.stopRecovery()
	s.adopt(l)
	s.link = l
	for _, it := range s.unacked {
		l.Push(it)
	}
	s.mu.Unlock()
	s.conn.ResendStates()
	s.conn.Journal(journal.Entry{Kind: journal.Recovered, Cause: by})
	l.Start()
	s.srv.Tasks.Background(func() { s.serve(l) })
	return true
}

// Status implements [broker.Session].
func (s *PubSub) Status() broker.Status {
	st := s.base.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Unacked, st.Kept = len(s.unacked), s.bytes
	return st
}
