package client

import (
	"context"
	"testing"

	"example.com/webpubsub/internal/wire"
)

// FuzzReceive passes arbitrary frames to a client with calls in progress. No frame may
// end the client, and sequence IDs never decrease.
func FuzzReceive(f *testing.F) {
	seeds := []wire.Downstream{
		wire.Connected{ConnectionID: "c1", ReconnectionToken: "t"},
		wire.Disconnected{Message: "bye"},
		wire.Ack{AckID: 1},
		wire.Ack{AckID: 1, Error: &wire.Error{Name: "Forbidden"}},
		wire.Pong{},
		wire.InvokeResponse{InvocationID: "1"},
		wire.StreamAck{StreamID: "s", ExpectedSequenceID: 1},
		wire.StreamAck{StreamID: "s", ExpectedSequenceID: 3},
		wire.StreamNack{StreamID: "s", ExpectedSequenceID: 1, Name: "TransientError"},
		wire.StreamNack{StreamID: "s", ExpectedSequenceID: 2, Name: "InvalidSequenceId"},
		wire.StreamClosed{StreamID: "s"},
		wire.StreamClosed{StreamID: "s", Error: &wire.Error{Name: "StreamNotFound"}},
		wire.GroupState{Snapshot: true, Group: "g", Items: []wire.GroupStateItem{{ConnectionID: "a", State: map[string]string{"k": "v"}, UpdatedAt: 5}}},
		wire.GroupState{Group: "g", Items: []wire.GroupStateItem{{ConnectionID: "a", UpdatedAt: 6}}, SequenceID: 9},
	}
	for _, p := range []wire.Protocol{wire.ReliableJSON, wire.ReliableProtobuf} {
		for _, d := range seeds {
			frame, err := p.AppendDownstream(nil, d)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p.Binary(), frame, frame)
		}
	}
	message := []byte(`{"sequenceId":18446744073709551615,"type":"message","from":"group","group":"g","dataType":"text","data":"x","stream":{"streamId":"s","streamSequenceId":1}}`)
	f.Add(false, message, []byte(`{"sequenceId":1,"type":"unknown"}`))
	f.Fuzz(func(t *testing.T, binary bool, first, second []byte) {
		o := Options{}
		if binary {
			o.Protocol = ReliableProtobuf
		}
		c, err := New(URL(""), o)
		if err != nil {
			t.Fatal(err)
		}
		p := protocols[o.Protocol]
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r := newRun(ctx, c)
		defer r.cancel()
		s := &session{id: "c1", rejoin: newRejoinBarrier(1)}
		l := &link{p: p}
		l.writer.Init(&writerSettings, l)
		l.session.Store(s)
		c.run, c.session, c.link, c.state = r, s, l, StateConnected
		c.groups = map[string]struct{}{}
		join := &call{ackID: 1, join: "g", rejoin: s.rejoin, done: make(chan outcome, 2)}
		c.pending = map[uint64]*call{1: join}
		c.invocations = map[string]*call{"1": {invocation: "1", done: make(chan outcome, 2)}}
		c.states = map[string]*groupState{"g": {entries: map[string]*stateEntry{}}}
		out := &OutgoingStream{c: c, id: "s", session: s, first: 1, unacked: [][]byte{nil, nil}, changed: make(chan struct{})}
		c.streams = map[string]*OutgoingStream{"s": out}
		c.OnStream(func(_ context.Context, s *IncomingStream) {
			for range s.Messages(ctx) {
			}
		})

		last := uint64(0)
		for _, frame := range [][]byte{first, second, first, second} {
			d, err := p.DecodeDownstream(frame)
			if err != nil {
				continue
			}
			if _, err := r.handle(s, l, d); err != nil {
				t.Fatal(err)
			}
			if s.lastSeq < last || s.queuedSeq.Load() != s.lastSeq {
				t.Fatalf("last message %d after %d, in the queue up to %d", s.lastSeq, last, s.queuedSeq.Load())
			}
			last = s.lastSeq
		}
		if len(join.done) > 1 {
			t.Fatal("a call is answered twice")
		}
		c.mu.Lock()
		for _, stream := range c.streams {
			stream.close(nil)
		}
		c.mu.Unlock()
		// All events are delivered.
		r.queue.close()
		r.delivered = make(chan struct{})
		r.deliver()
	})
}
