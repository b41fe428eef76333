package client

import (
	"example.com/webpubsub/internal/wire"
)

// read handles the frames of a link, to its end. It never waits for a callback.
func (r *run) read(s *session, l *link) error {
	for {
		d, unreadable, err := l.next()
		if err != nil {
			return err
		}
		if r.interrupted != nil {
			r.interrupted, r.reason = nil, ""
			r.c.o.Logger.Debug("the Web PubSub connection is recovered", "connection", s.id)
			r.queue.push(item{event: Recovered{s.id}}, true)
		}
		if unreadable != nil {
			r.c.o.Logger.Warn("a frame from Web PubSub is ignored", "error", unreadable)
			continue
		}
		if err := r.handle(s, l, d); err != nil {
			return err
		}
	}
}

func (r *run) handle(s *session, l *link, frame wire.Downstream) error {
	switch d := frame.(type) {
	case wire.Data:
		if !s.isNew(d.SequenceID) {
			return nil
		}
		return r.enqueue(s, l, item{event: frame, seq: d.SequenceID, size: sizeOf(d)})
	case wire.Ack:
		if group := r.c.settle(d); group != "" {
			r.queue.push(item{event: leftGroup(group)}, true)
		}
	case wire.StreamAck, wire.StreamNack, wire.StreamClosed:
		r.c.streamFrame(d)
	case wire.GroupState:
		if s.isNew(d.SequenceID) && (r.c.groupStateFrame(d) || d.SequenceID > 0) {
			return r.enqueue(s, l, item{event: GroupStateChanged{d.Group}, seq: d.SequenceID, size: 1})
		}
	case wire.InvokeResponse:
		r.c.answer(d)
	case wire.Connected:
		// A recovered connection may get a new token, and is no new connection.
		if d.ConnectionID == s.id && d.ReconnectionToken != "" {
			s.token = d.ReconnectionToken
		}
	case wire.Disconnected:
		r.reason = d.Message
	case wire.Unknown:
		r.c.o.Logger.Debug("a frame from Web PubSub is not known, and ignored", "type", d.Type)
		if s.isNew(d.SequenceID) && d.SequenceID > 0 {
			return r.enqueue(s, l, item{event: frame, seq: d.SequenceID, size: 1})
		}
	}
	return nil
}

// isNew reports whether a message is delivered for the first time. After a
// recovery the service repeats what was not acknowledged.
func (s *session) isNew(seq uint64) bool {
	if seq == 0 {
		return true
	}
	if !s.ackDue.Load() {
		s.ackDue.Store(true)
	}
	if seq <= s.lastSeq {
		return false
	}
	s.lastSeq = seq
	return true
}

// enqueue hands a message to the callbacks.
func (r *run) enqueue(s *session, l *link, it item) error {
	if it.seq > 0 {
		it.session = s
	}
	if !r.queue.push(it, l.p.Reliable()) {
		if l.p.Reliable() {
			return ErrSlow
		}
		if r.dropped++; r.dropped == 1 {
			r.c.o.Logger.Warn("messages are dropped: " + ErrSlow.Error() + "; a reliable protocol would keep them")
		}
		return nil
	}
	if r.dropped > 0 {
		r.c.o.Logger.Warn("messages were dropped", "count", r.dropped)
		r.dropped = 0
	}
	if it.seq > 0 {
		l.acknowledge(true)
	}
	return nil
}

// sizeOf returns the memory that a message takes while it waits, roughly.
func sizeOf(d wire.Data) int { return len(d.Message.Data) + len(d.Group) + 128 }

// deliver runs the callbacks.
func (r *run) deliver() {
	defer close(r.delivered)
	if r.before != nil {
		<-r.before
	}
	id := goroutineID()
	r.c.inCallback.Store(id, nil)
	defer r.c.inCallback.Delete(id)
	in := &inbox{c: r.c, ctx: r.ctx, streams: make(map[streamKey]*InStream)}
	defer in.readers.Wait()
	defer in.endAll(ErrStopped)
	for items := r.queue.take(); items != nil; items = r.queue.take() {
		for i := range items {
			it := &items[i]
			if it.gate == nil {
				r.c.call(it.event, in)
				continue
			}
			failed := it.gate.wait(r.ctx, func(f RejoinFailed) { r.queue.push(item{event: f}, true) })
			r.c.call(it.event, in)
			for _, f := range failed {
				r.c.call(f, in)
			}
		}
	}
}

func streamError(e *wire.StreamError) error {
	if e == nil {
		return nil
	}
	return &StreamError{e.Name, e.Message, e.UserErrorCode}
}
