package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"example.com/webpubsub"
)

// ErrStreamIdle is returned if nothing of a stream has been received for
// [Options.StreamIdleTimeout].
var ErrStreamIdle = errors.New("stream idle timeout exceeded")

// IncomingStream is a stream that is published to a group. See
// [Client.OnStream].
type IncomingStream struct {
	Group, ID string
	// FromUserID is the user ID of the publisher. It is empty if the publisher has
	// none, and with the protobuf subprotocols, which do not include it.
	FromUserID string
	// Partial is set if the beginning of the stream was not received.
	Partial bool

	next       uint64    // number of the message that is due
	last       time.Time // when one was received
	idle       time.Duration
	messages   chan webpubsub.Message
	buffer     *streamBuffer
	readerDone chan struct{} // closed when the callback has returned
	err        error         // set before messages is closed; nil for a normal end
}

// OnStream registers the callback for streams that are published to the groups of
// the client. It is called for each stream on its own goroutine. Without this
// callback, the messages of streams are passed to the callback of
// [Client.OnGroupMessage], with [GroupMessage.Stream] set.
//
//	c.OnStream(func(ctx context.Context, s *client.IncomingStream) {
//		for m, err := range s.Messages(ctx) {
//			...
//		}
//	})
//
// If f falls far behind, other callbacks wait for it. When f returns, the rest of
// the stream is ignored. Stop waits until f has returned.
// [Options.MaxIncomingStreams] limits the number of streams.
func (c *Client) OnStream(f func(context.Context, *IncomingStream)) {
	c.setCallback(func(s *callbacks) { s.stream = f })
}

// Messages returns an iterator over the messages of the stream, which can be used
// once. If the stream does not end normally, the last pair contains the error. It
// matches one of the following:
//
//   - a [*StreamError] with the name "UserError" or another one of the publisher or
//     the service
//   - a [*StreamError] with the name "Incomplete" if a message is missing; what
//     follows it is a stream of its own, with Partial set
//   - [ErrStreamIdle], [ErrConnectionLost], [ErrNotRunning] after Stop, or
//     [ErrNotJoined] after LeaveGroup
//   - the error of the context
func (s *IncomingStream) Messages(ctx context.Context) iter.Seq2[webpubsub.Message, error] {
	return func(yield func(webpubsub.Message, error) bool) {
		timer := time.NewTimer(s.idle)
		defer timer.Stop()
		for {
			var err error
			select {
			case m, ok := <-s.messages:
				if ok {
					s.buffer.release(len(m.Data))
					if !yield(m, nil) {
						return
					}
					timer.Reset(s.idle)
					continue
				}
				if err = s.err; err == nil {
					return
				}
			case <-timer.C:
				err = ErrStreamIdle
			case <-ctx.Done():
				err = ctx.Err()
			}
			yield(webpubsub.Message{}, fmt.Errorf("client: stream %q of group %q: %w", s.ID, s.Group, err))
			return
		}
	}
}

// abandoned reports whether the callback has returned.
func (s *IncomingStream) abandoned() bool {
	select {
	case <-s.readerDone:
		return true
	default:
		return false
	}
}

// discard drops the messages that have not been read.
func (s *IncomingStream) discard() {
	for {
		select {
		case m, ok := <-s.messages:
			if !ok {
				return
			}
			s.buffer.release(len(m.Data))
		default:
			return
		}
	}
}
