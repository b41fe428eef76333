package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

func (p *peer) streamAck(expected int) {
	p.t.Helper()
	p.send(`{"type":"streamAck","streamId":"s","expectedSequenceId":%d}`, expected)
}

// openStream opens a stream and acknowledges it.
func openStream(t *testing.T, c *client.Client, p *peer) *client.OutgoingStream {
	t.Helper()
	var s *client.OutgoingStream
	opened := background(func() (err error) {
		s, err = c.OpenStream(t.Context(), "g", &client.OpenStreamOptions{ID: "s"})
		return err
	})
	p.expect(`{"type":"sendToGroup","group":"g","noEcho":false,"stream":{"streamId":"s"}}`)
	p.streamAck(1)
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	return s
}

func part(n int, text string) string {
	return fmt.Sprintf(`{"type":"streamData","streamId":"s","streamSequenceId":%d,"dataType":"text","data":%q}`, n, text)
}

func TestOutgoingStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		for range 2 { // the ID can be used again when the stream has ended
			out := openStream(t, c, p)
			if _, err := c.OpenStream(t.Context(), "g", &client.OpenStreamOptions{ID: "s"}); !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("the same id twice: %v", err)
			}
			if err := out.Send(t.Context(), webpubsub.Text("one")); err != nil {
				t.Error(err)
			}
			p.expect(part(1, "one"))
			if n, err := io.WriteString(out, "xyz"); n != 3 || err != nil {
				t.Error(n, err)
			}
			p.expect(`{"type":"streamData","streamId":"s","streamSequenceId":2,"dataType":"binary","data":"eHl6"}`)
			if err := out.KeepAlive(t.Context()); err != nil {
				t.Error(err)
			}
			p.expect(`{"type":"streamData","streamId":"s"}`)
			ended := background(out.Close)
			p.expect(`{"type":"streamEnd","streamId":"s"}`)
			p.streamAck(3)
			p.send(`{"type":"streamClosed","streamId":"s"}`)
			must(t, ended)
			must(t, background(out.Close))
			if err := out.Send(t.Context(), webpubsub.Text("after the end")); !errors.Is(err, client.ErrStreamEnded) {
				t.Error(err)
			}
		}
		// An end with an error, and all options.
		opened := make(chan *client.OutgoingStream)
		go func() {
			out, err := c.OpenStream(t.Context(), "g", &client.OpenStreamOptions{ID: "s", NoEcho: true, IdleTimeout: time.Minute})
			if err != nil {
				t.Error(err)
			}
			opened <- out
		}()
		p.expect(`{"type":"sendToGroup","group":"g","noEcho":true,"stream":{"streamId":"s","idleTimeoutMs":60000}}`)
		p.streamAck(1)
		out := <-opened
		ended := background(func() error { return out.CloseWithError(t.Context(), "broke", "E7") })
		p.expect(`{"type":"streamEnd","streamId":"s","error":{"message":"broke","userErrorCode":"E7"}}`)
		p.send(`{"type":"streamClosed","streamId":"s"}`)
		must(t, ended)
		go p.serve()
	})
}

func TestOutgoingStreamRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		opened := background(func() error {
			_, err := c.OpenStream(t.Context(), "g", &client.OpenStreamOptions{ID: "s"})
			return err
		})
		p.read("sendToGroup")
		p.send(`{"type":"streamClosed","streamId":"s","error":{"name":"Forbidden","message":"no"}}`)
		if err := <-opened; !errors.Is(err, client.ErrForbidden) {
			t.Error(err)
		}
		// If the context ends, the stream is ended.
		ctx, cancel := context.WithCancel(t.Context())
		opened = background(func() error { _, err := c.OpenStream(ctx, "g", &client.OpenStreamOptions{ID: "s"}); return err })
		p.read("sendToGroup")
		cancel()
		if err := <-opened; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.expect(`{"type":"streamEnd","streamId":"s"}`)
		// The service may end one at any time.
		out := openStream(t, c, p)
		p.send(`{"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"asleep"}}`)
		synctest.Wait()
		for _, err := range []error{out.Send(t.Context(), webpubsub.Text("x")), out.KeepAlive(t.Context()), out.Close()} {
			if !errors.Is(err, &client.ServiceError{Name: "IdleTimeout"}) {
				t.Error(err)
			}
		}
		for _, o := range []client.OpenStreamOptions{{IdleTimeout: time.Microsecond}, {IdleTimeout: -1}} {
			if _, err := c.OpenStream(t.Context(), "g", &o); !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		go p.serve()
	})
}

// Messages that are not acknowledged are sent again after a recovery.
func TestOutgoingStreamRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{PingInterval: -1})
		out := openStream(t, c, p)
		send := func(text string) {
			t.Helper()
			if err := out.Send(t.Context(), webpubsub.Text(text)); err != nil {
				t.Error(err)
			}
		}
		for i := 1; i <= 3; i++ {
			send(fmt.Sprint(i))
			p.read("streamData")
		}
		p.streamAck(2)
		synctest.Wait()
		s.setDown(true)
		p.cut()
		synctest.Wait()
		send("4") // is sent with the others
		ended := background(out.Close)
		s.setDown(false)
		p = s.next()
		for i := 2; i <= 4; i++ {
			p.expect(part(i, fmt.Sprint(i)))
			p.streamAck(i + 1)
		}
		p.expect(`{"type":"streamEnd","streamId":"s"}`)
		// The response is lost, and the stream no longer exists.
		p.cut()
		p = s.next()
		p.expect(`{"type":"streamEnd","streamId":"s"}`)
		p.send(`{"type":"streamClosed","streamId":"s","error":{"name":"StreamNotFound","message":"no"}}`)
		must(t, ended)

		// A stream is opened again if the connection was interrupted before the
		// acknowledgement.
		opened := background(func() error {
			_, err := c.OpenStream(t.Context(), "g", &client.OpenStreamOptions{ID: "s"})
			return err
		})
		p.read("sendToGroup")
		p.cut()
		p = s.next()
		p.expect(`{"type":"streamEnd","streamId":"s"}`)
		p.send(`{"type":"streamClosed","streamId":"s","error":{"name":"StreamNotFound","message":"no"}}`)
		p.expect(`{"type":"sendToGroup","group":"g","noEcho":false,"stream":{"streamId":"s"}}`)
		p.streamAck(1)
		must(t, opened)
		go p.serve()
	})
}

func TestOutgoingStreamConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		out := openStream(t, c, p)
		p.close(1008, "")
		synctest.Wait()
		if err := out.Send(t.Context(), webpubsub.Text("x")); !errors.Is(err, client.ErrConnectionLost) {
			t.Error(err)
		}
		go s.hello("c2").serve()
		synctest.Wait()
	})
}

func TestOutgoingStreamNack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{PingInterval: -1})
		out := openStream(t, c, p)
		for i := 1; i <= 3; i++ {
			if err := out.Send(t.Context(), webpubsub.Text("x")); err != nil {
				t.Fatal(err)
			}
			p.read("streamData")
		}
		nack := func(expected int, name string) {
			p.send(`{"type":"streamNack","streamId":"s","expectedSequenceId":%d,"name":%q,"message":"no"}`, expected, name)
		}
		// Messages are sent again once, from the missing one on, although each of those
		// that followed it is rejected.
		nack(2, "InvalidSequenceId")
		nack(2, "InvalidSequenceId")
		p.expect(part(2, "x"))
		p.expect(part(3, "x"))
		p.streamAck(3)
		// After a temporary error, they are sent again with a delay, and the end waits.
		nack(3, "TransientError")
		synctest.Wait()
		began := time.Now()
		ended := background(out.Close)
		p.expect(part(3, "x"))
		nack(3, "TransientError")
		p.expect(part(3, "x"))
		// After up to 10 and 20 ms, each less up to half.
		if d := time.Since(began); d < 15*time.Millisecond || d > 30*time.Millisecond {
			t.Errorf("sent again after %v", d)
		}
		p.streamAck(4)
		p.expect(`{"type":"streamEnd","streamId":"s"}`)
		p.send(`{"type":"streamClosed","streamId":"s"}`)
		must(t, ended)

		// An acknowledgement out of range ends the stream.
		out = openStream(t, c, p)
		p.streamAck(999)
		p.expect(`{"type":"streamEnd","streamId":"s","error":{"message":"Invalid sequence id 999 for ack. Expected range [1, 1].","userErrorCode":"ProtocolViolation"}}`)
		var violation *client.StreamError
		if err := out.Send(t.Context(), webpubsub.Text("x")); !errors.As(err, &violation) || violation.Name != "ProtocolViolation" {
			t.Error(err)
		}
		go p.serve()
	})
}

// Regression test: a message that the service temporarily could not accept is lost if
// the end of the stream was sent before it is sent again. End did not report that.
func TestOutgoingStreamEndWithLostMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{PingInterval: -1})
		out := openStream(t, c, p)
		if err := out.Send(t.Context(), webpubsub.Text("x")); err != nil {
			t.Fatal(err)
		}
		p.read("streamData")
		ended := background(out.Close)
		p.read("streamEnd")
		p.send(`{"type":"streamNack","streamId":"s","expectedSequenceId":1,"name":"TransientError","message":"no"}`)
		p.send(`{"type":"streamClosed","streamId":"s"}`)
		if err := <-ended; !errors.Is(err, client.ErrStreamEnded) {
			t.Errorf("End returned %v, want an error about the missing message", err)
		}
		go p.serve()
	})
}

// Send blocks if too many messages are not acknowledged.
func TestOutgoingStreamBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		out := openStream(t, c, p)
		sent := background(func() error {
			for range 300 {
				if err := out.Send(t.Context(), webpubsub.Text("x")); err != nil {
					return err
				}
			}
			return nil
		})
		for range 256 {
			p.read("streamData")
		}
		synctest.Wait()
		select {
		case err := <-sent:
			t.Errorf("all was sent (%v)", err)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := out.Send(ctx, webpubsub.Text("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		p.streamAck(257)
		for range 44 {
			p.read("streamData")
		}
		must(t, sent)
		go p.serve()
	})
}

// piece sends a message of a stream to the client.
func (p *peer) piece(seq int, id string, n int, data, end string) {
	p.t.Helper()
	p.send(`{"sequenceId":%d,"type":"message","from":"group","group":"g","fromUserId":"bob","dataType":"text","data":%q,"stream":{"streamId":%q,"streamSequenceId":%d%s}}`, seq, data, id, n, end)
}

func TestIncomingStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		p.piece(1, "s", 1, "a message without OnStream", "")
		e.expect(t, "connected c1 alice", "g bob: a message without OnStream 1")
		c.OnStream(func(_ context.Context, in *client.IncomingStream) {
			var all []string
			var last error
			for m, err := range in.Messages(t.Context()) {
				if last = err; err != nil {
					break
				}
				all = append(all, m.String())
			}
			e.add("%s of %s, late %v: %s, %v", in.ID, in.FromUserID, in.Partial, strings.Join(all, "+"), last)
		})
		end := `,"endOfStream":true`
		// Two streams at the same time.
		p.piece(2, "a", 1, "a1", "")
		p.piece(3, "b", 1, "b1", "")
		p.piece(4, "a", 2, "a2", "")
		p.piece(5, "a", 3, "", end)
		e.expect(t, "a of bob, late false: a1+a2, <nil>")
		p.piece(6, "b", 2, "b2", end+`,"error":{"name":"UserError","message":"broke","userErrorCode":"E7"}`)
		e.expect(t, `b of bob, late false: b1+b2, client: stream "b" of group "g": stream ended with UserError: broke`)

		// An ID can be used again; a stream can be empty; the end alone is not a stream.
		p.piece(7, "a", 1, "", end)
		e.expect(t, "a of bob, late false: , <nil>")
		p.piece(8, "a", 5, "", end)
		e.expect(t)
		p.piece(9, "a", 5, "a5", "")
		p.piece(10, "a", 6, "", end)
		e.expect(t, "a of bob, late true: a5, <nil>")
		p.piece(11, "a", 1, "old", "")
		p.piece(12, "a", 1, "new", "")
		p.piece(13, "a", 2, "", end)
		got := e.take()
		if !strings.Contains(got, "old, client: stream \"a\" of group \"g\": stream ended with Cancelled") || !strings.Contains(got, "a of bob, late false: new, <nil>") {
			t.Errorf("got %s", got)
		}

		// A stream survives an interruption. It ends with the idle timeout, and with the
		// connection.
		p.piece(14, "a", 1, "before", "")
		synctest.Wait()
		p.cut()
		p = s.next()
		p.piece(15, "a", 2, "after", "")
		go p.serve()
		e.expect(t, "recovering c1", "recovered c1")
		time.Sleep(5 * time.Minute)
		e.expect(t, `a of bob, late false: before+after, client: stream "a" of group "g": stream idle timeout exceeded`)
		p.piece(16, "b", 1, "b1", "")
		p.piece(17, "a", 3, "ignored", "")
		synctest.Wait()
		_ = p.ws.WriteControl(8, []byte("\x03\xf0"), time.Now().Add(time.Second))
		p = s.hello("c2")
		if got := e.take(); !strings.Contains(got, "b of bob, late false: b1, client: stream \"b\" of group \"g\": connection lost") {
			t.Errorf("got %s", got)
		}

		// It ends with Stop, which waits for the callback.
		p.piece(1, "c", 1, "c1", "")
		synctest.Wait()
		go p.serve()
		must(t, background(func() error { return c.Stop(t.Context()) }))
		if got := e.take(); !strings.Contains(got, "c of bob, late false: c1, client: stream \"c\" of group \"g\": client is not running") {
			t.Errorf("got %s", got)
		}
	})
}

// Messages of a stream can be missing with a standard subprotocol, or if the client was
// not in the group for a time. The stream ends with an error.
func TestIncomingStreamMissingMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		c.OnStream(func(_ context.Context, in *client.IncomingStream) {
			text := ""
			for m, err := range in.Messages(t.Context()) {
				if err != nil {
					text += "!"
					var broken *client.StreamError
					if !errors.As(err, &broken) || broken.Name != "Incomplete" {
						t.Error(err)
					}
					break
				}
				text += m.String()
			}
			e.add("%s, late %v: %s", in.FromUserID, in.Partial, text)
		})
		p.piece(1, "a", 1, "1", "")
		p.piece(2, "a", 2, "2", "")
		synctest.Wait()
		p.piece(3, "a", 4, "4", "")
		e.expect(t, "connected c1 alice", "bob, late false: 12!")
		p.piece(4, "a", 6, "", `,"endOfStream":true`)
		e.expect(t, "bob, late true: 4!")
		go p.serve()
	})
}

// The streams of a group end when the client leaves the group: their ends will not be
// received.
func TestIncomingStreamLeaveGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		c.OnStream(func(_ context.Context, in *client.IncomingStream) {
			for _, err := range in.Messages(t.Context()) {
				if err != nil {
					e.add("%s: not joined %v", in.ID, errors.Is(err, client.ErrNotJoined))
				}
			}
		})
		p.piece(1, "a", 1, "1", "")
		p.send(`{"sequenceId":2,"type":"message","from":"group","group":"other","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"b","streamSequenceId":1}}`)
		left := background(func() error { return c.LeaveGroup(t.Context(), "g", nil) })
		p.grant("leaveGroup")
		must(t, left)
		e.expect(t, "connected c1 alice", "a: not joined true")
		go p.serve()
	})
}

// The callback may return early, panic, or stop the client.
func TestIncomingStreamReaderReturnsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		c.OnStream(func(ctx context.Context, in *client.IncomingStream) {
			switch in.ID {
			case "panics":
				panic("oops")
			case "stops":
				if err := c.Stop(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		seq := 0
		for _, id := range []string{"leaves", "panics"} {
			for n := 1; n <= 200; n++ {
				seq++
				p.piece(seq, id, n, "x", "")
			}
		}
		p.message(seq+1, "goes on")
		e.expect(t, "connected c1 alice", fmt.Sprintf("room bob: goes on %d", seq+1))
		p.piece(seq+2, "stops", 1, "x", "")
		if code := p.closeCode(); code != 1000 {
			t.Errorf("closed with %d", code)
		}
		e.expect(t, `disconnected c1 1000 "" tried=false`, "stopped <nil>")
	})
}
