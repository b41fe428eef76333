package client

import (
	"context"
	"fmt"
	"time"

	"example.com/webpubsub/internal/wire"
)

// wait blocks until the condition, which is evaluated with Client.mu held, is true.
// It returns an error if the stream ends first.
func (s *OutgoingStream) wait(ctx context.Context, condition func() bool) error {
	for {
		s.c.mu.Lock()
		ok, err, changed := condition(), s.err, s.changed
		if s.closed && err == nil {
			err = ErrStreamEnded
		}
		s.c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Client.mu must be held for the methods below.

func (s *OutgoingStream) usable() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closed || s.end != nil:
		return ErrStreamEnded
	}
	return nil
}

// transmit queues a frame if there is a link. Otherwise resume does it later.
func (s *OutgoingStream) transmit(frame []byte) {
	if s.c.link != nil && s.c.session == s.session {
		s.c.link.enqueueNow(frame, s)
	}
}

func (s *OutgoingStream) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *OutgoingStream) close(err error) {
	s.closed, s.err = true, err
	if s.retry != nil {
		s.retry.Stop()
	}
	delete(s.c.streams, s.id)
	s.signal()
}

// resume sends again what the service may not have received, after a recovery. It
// may or may not have received the frame that opens the stream: the stream is
// ended, and opened again.
func (s *OutgoingStream) resume(l *link) {
	if !s.opened {
		s.ignoreNextClose = true
		if frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id}); err == nil {
			l.enqueueNow(frame, s)
		}
		l.enqueueNow(s.open, s)
	}
	for _, frame := range s.unacked {
		l.enqueueNow(frame, s)
	}
	if s.end != nil {
		l.enqueueNow(s.end, s)
	}
}

// acknowledged removes the messages before the number, which the service has. It
// reports false if the number is out of range.
func (s *OutgoingStream) acknowledged(expected uint64) bool {
	next := s.first + uint64(len(s.unacked))
	if expected < s.first || expected > next {
		s.protocolError(fmt.Sprintf("Invalid sequence id %d for ack. Expected range [%d, %d].", expected, s.first, next))
		return false
	}
	n := expected - s.first
	for _, frame := range s.unacked[:n] {
		s.bytes -= len(frame)
	}
	clear(s.unacked[:n])
	s.unacked, s.first = s.unacked[n:], expected
	if n > 0 {
		s.nacked, s.retries = 0, 0
	}
	s.opened, s.ignoreNextClose = true, false
	s.signal()
	return true
}

// protocolError ends a stream after an invalid frame of the service.
func (s *OutgoingStream) protocolError(message string) {
	s.sendEnd(&wire.StreamEndError{Message: message, UserErrorCode: "ProtocolViolation"})
	s.close(&StreamError{Name: "ProtocolViolation", Message: message})
}

// handleNack handles a message that the service did not accept: it and those that
// follow are sent again. This is done once for each position, or, if the service
// was temporarily unable to accept it, after a delay.
func (s *OutgoingStream) handleNack(n wire.StreamNack) {
	if !s.acknowledged(n.ExpectedSequenceID) || len(s.unacked) == 0 {
		return
	}
	if n.Name == "TransientError" {
		if s.retry != nil {
			return
		}
		if s.retries++; s.retries > streamRetry.MaxTries {
			s.sendEnd(&wire.StreamEndError{Message: n.Message, UserErrorCode: n.Name})
			s.close(&ServiceError{Name: n.Name, Message: n.Message})
			return
		}
		s.nacked = s.first
		s.retry = time.AfterFunc(streamRetry.DelayBefore(s.retries), s.retryResend)
		return
	}
	if s.nacked != s.first {
		s.nacked = s.first
		s.resend()
	}
}

// sendEnd queues the end of the stream, after an error of the service.
func (s *OutgoingStream) sendEnd(reason *wire.StreamEndError) {
	if frame, err := s.c.frame(wire.StreamEnd{StreamID: s.id, Error: reason}); err == nil {
		s.transmit(frame)
	}
}

// resend queues what is not acknowledged, in place of what is still queued.
func (s *OutgoingStream) resend() {
	if s.c.link != nil {
		s.c.link.takeBack(s)
	}
	for _, frame := range s.unacked {
		s.transmit(frame)
	}
}

// retryResend calls resend after the delay.
func (s *OutgoingStream) retryResend() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.retry = nil
	if !s.closed {
		s.resend()
	}
}

// ended handles the end of the stream by the service.
func (s *OutgoingStream) ended(e *wire.Error) {
	switch {
	case s.ignoreNextClose:
		s.ignoreNextClose = false
	case e == nil && s.end != nil && s.nacked != 0:
		s.close(fmt.Errorf("%w: the service has not accepted all messages", ErrStreamEnded))
	case e == nil, s.end != nil && e.Name == "StreamNotFound" && len(s.unacked) == 0:
		s.close(nil) // the response to the first end was lost
	default:
		s.close(serviceError(e))
	}
}

// cancelOpen ends a stream that has not been opened yet.
func (s *OutgoingStream) cancelOpen(err error) {
	frame, encErr := s.c.frame(wire.StreamEnd{StreamID: s.id})
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if !s.closed {
		if encErr == nil {
			s.transmit(frame)
		}
		s.close(err)
	}
}

// streamFrame handles a frame about an outgoing stream. It is ignored if the stream
// has ended.
func (c *Client) streamFrame(frame wire.Downstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch d := frame.(type) {
	case wire.StreamAck:
		if s := c.streams[d.StreamID]; s != nil {
			s.acknowledged(d.ExpectedSequenceID)
		}
	case wire.StreamNack:
		if s := c.streams[d.StreamID]; s != nil {
			s.handleNack(d)
		}
	case wire.StreamClosed:
		if s := c.streams[d.StreamID]; s != nil {
			s.ended(d.Error)
		}
	}
}
