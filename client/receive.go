package client

import (
	"errors"

	"example.com/webpubsub/internal/wire"
)

// read handles the frames of a link until it ends. It does not wait for callbacks.
func (r *run) read(s *session, l *link) error {
	r.reason = ""
	err := r.readFrames(s, l)
	var closed *CloseError
	if errors.As(err, &closed) && closed.Reason == "" {
		closed.Reason = r.reason
	}
	return err
}

func (r *run) readFrames(s *session, l *link) error {
	for {
		d, invalid, err := l.next()
		if err != nil {
			return err
		}
		if invalid != nil {
			if r.noise.Allow("invalid frame") {
				r.c.o.Logger.Warn("ignoring invalid frame of Web PubSub", "error", invalid)
			}
			continue
		}
		progress, err := r.handle(s, l, d)
		if err != nil {
			return err
		}
		if progress {
			l.progress = true
		}
	}
}

// handle handles a frame, and reports whether it shows progress of the connection: a
// message that is repeated after a recovery does not.
func (r *run) handle(s *session, l *link, frame wire.Downstream) (progress bool, err error) {
	switch d := frame.(type) {
	case wire.Data:
		if !s.isNew(d.SequenceID) {
			return false, nil
		}
		return true, r.enqueue(s, l, item{event: frame, seq: d.SequenceID, size: sizeOf(d)})
	case wire.Ack:
		if group := r.c.handleAck(d); group != "" {
			r.queue.push(item{event: leftGroup(group)}, true)
		}
	case wire.StreamAck, wire.StreamNack, wire.StreamClosed:
		r.c.streamFrame(d)
	case wire.GroupState:
		if !s.isNew(d.SequenceID) {
			return false, nil
		}
		it := item{seq: d.SequenceID, size: 1}
		if r.c.groupStateFrame(d) {
			it.event = GroupStateChangedEvent{d.Group}
		} else if d.SequenceID == 0 {
			return true, nil
		}
		return true, r.enqueue(s, l, it)
	case wire.InvokeResponse:
		r.c.handleInvokeResponse(d)
	case wire.Connected:
		// A recovered connection may get a new token, and is not a new connection.
		if d.ConnectionID == s.id && d.ReconnectionToken != "" {
			s.token = d.ReconnectionToken
		}
		return false, nil
	case wire.Disconnected:
		r.reason = d.Message
		return false, nil
	case wire.Unknown:
		if r.noise.Allow("unknown frame") {
			r.c.o.Logger.Debug("ignoring frame of unknown type of Web PubSub", "type", d.Type)
		}
		if s.isNew(d.SequenceID) && d.SequenceID > 0 {
			return true, r.enqueue(s, l, item{seq: d.SequenceID, size: 1})
		}
		return false, nil
	}
	return true, nil
}

// enqueue adds a message to the event queue. One without an event is acknowledged in
// its turn, and no callback is called.
func (r *run) enqueue(s *session, l *link, it item) error {
	if it.seq > 0 {
		it.session = s
	}
	if !r.queue.push(it, l.p.Reliable()) {
		if l.p.Reliable() {
			return ErrSlowConsumer
		}
		if r.dropped++; r.dropped == 1 && r.noise.Allow("dropping messages") {
			r.c.o.Logger.Warn("event queue of the Web PubSub client is full, dropping messages", "queueSize", r.c.o.EventQueueSize,
				"hint", "make callbacks return faster, increase Options.EventQueueSize, or use a reliable subprotocol")
		}
		return nil
	}
	if r.dropped > 0 {
		if r.noise.Allow("dropped messages") {
			r.c.o.Logger.Warn("the Web PubSub client no longer drops messages", "dropped", r.dropped)
		}
		r.dropped = 0
	}
	if it.seq > 0 {
		l.acknowledge(true)
	}
	return nil
}

// sizeOf returns the approximate memory of a queued message.
func sizeOf(d wire.Data) int { return len(d.Message.Data) + len(d.Group) + 128 }
