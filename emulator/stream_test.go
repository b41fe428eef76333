package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/wire"
)

const (
	openStream = `{"type":"sendToGroup","group":"g","stream":{"streamId":"s"}}`
	streamOpen = `{"type":"streamAck","streamId":"s","expectedSequenceId":1}`
)

func piece(n int) string {
	return fmt.Sprintf(`{"type":"streamData","streamId":"s","streamSequenceId":%d,"dataType":"text","data":"p%d"}`, n, n)
}

func streamAck(n int) string {
	return fmt.Sprintf(`{"type":"streamAck","streamId":"s","expectedSequenceId":%d}`, n)
}

// streamMessage is what members of the group get.
func streamMessage(user, data string, n int, end string) string {
	return fmt.Sprintf(`{"type":"message","from":"group","fromUserId":%s,"group":"g","dataType":"text","data":%q,"stream":{"streamId":"s","streamSequenceId":%d%s}}`, user, data, n, end)
}

func streamError(name, text string) string {
	return fmt.Sprintf(`,"endOfStream":true,"error":{"name":%q,"message":%q}`, name, text)
}

func TestStream(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	from, _ := dialJSON(t, srv, dialOptions{user: "ann", roles: anything, groups: []string{"g"}})
	to, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	simple := dial(t, srv, dialOptions{groups: []string{"g"}})

	for range 2 { // an id is free again when its stream has ended
		from.send(`{"type":"sendToGroup","group":"g","noEcho":true,"stream":{"streamId":"s","idleTimeoutMs":60000}}`)
		from.expect(streamOpen)
		from.send(piece(1))
		from.expect(streamAck(2))
		from.send(piece(1)) // has come before: acknowledged, not published
		from.expect(streamAck(2))
		from.send(piece(3)) // ahead of its turn: neither
		from.expect(`{"type":"streamNack","streamId":"s","expectedSequenceId":2,"name":"InvalidSequenceId","message":"The message 2 of the stream is expected, not 3."}`)
		from.send(`{"type":"streamData","streamId":"s"}`) // a keepalive
		from.expectNothingElse()
		from.send(piece(2))
		from.expect(streamAck(3))
		from.send(`{"type":"streamEnd","streamId":"s"}`)
		from.expect(`{"type":"streamClosed","streamId":"s"}`)

		// The last frame has a data type: without one the JavaScript client would
		// not see the end.
		to.expect(
			streamMessage(`"ann"`, "p1", 1, ""),
			streamMessage(`"ann"`, "p2", 2, ""),
			streamMessage(`"ann"`, "", 3, `,"endOfStream":true`),
		)
		simple.expect("p1", "p2")
	}

	// The sender hears itself where it did not say noEcho, and before the ack.
	from.send(openStream)
	from.expect(streamOpen)
	from.send(piece(1))
	from.expect(streamMessage(`"ann"`, "p1", 1, ""), streamAck(2))
	from.send(`{"type":"streamEnd","streamId":"s","error":{"message":"broke","userErrorCode":"E7"}}`)
	from.expect(
		streamMessage(`"ann"`, "", 2, `,"endOfStream":true,"error":{"name":"UserError","message":"broke","userErrorCode":"E7"}`),
		`{"type":"streamClosed","streamId":"s"}`,
	)
}

func TestStreamIsRefused(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: []string{"webpubsub.sendToGroups.g*"}})
	c.send(openStream)
	c.expect(streamOpen)
	closed := func(id, name, text string) string {
		return fmt.Sprintf(`{"type":"streamClosed","streamId":%q,"error":{"name":%q,"message":%q}}`, id, name, text)
	}
	const notFound = "There is no open stream with this streamId."
	for name, tt := range map[string]struct{ send, want string }{
		"no permission":     {`{"type":"sendToGroup","group":"x","stream":{"streamId":"t"}}`, closed("t", "Forbidden", "The client does not have permission to send to group 'x'.")},
		"no id":             {`{"type":"sendToGroup","group":"g","stream":{"streamId":""}}`, closed("", "BadRequest", "The streamId must have 1 to 1024 bytes.")},
		"open already":      {openStream, closed("s", "BadRequest", "A stream with this streamId is open on the connection.")},
		"no idle time":      {`{"type":"sendToGroup","group":"g","stream":{"streamId":"t","idleTimeoutMs":0}}`, closed("t", "BadRequest", "The idleTimeoutMs of a stream must be greater than 0.")},
		"with data":         {`{"type":"sendToGroup","group":"g","data":1,"stream":{"streamId":"t"}}`, closed("t", "BadRequest", "The frame that opens a stream carries no data.")},
		"piece of none":     {strings.ReplaceAll(piece(1), `"s"`, `"t"`), closed("t", "StreamNotFound", notFound)},
		"keepalive of none": {`{"type":"streamData","streamId":"t"}`, closed("t", "StreamNotFound", notFound)},
		"end of none":       {`{"type":"streamEnd","streamId":"t"}`, closed("t", "StreamNotFound", notFound)},
	} {
		t.Run(name, func(t *testing.T) {
			c.send(tt.send)
			c.expect(tt.want)
			c.expectNothingElse()
		})
	}
	t.Run("too many", func(t *testing.T) {
		for i := range 99 {
			c.send(fmt.Sprintf(`{"type":"sendToGroup","group":"g","stream":{"streamId":"n%d"}}`, i))
			c.expect(fmt.Sprintf(`{"type":"streamAck","streamId":"n%d","expectedSequenceId":1}`, i))
		}
		c.send(`{"type":"sendToGroup","group":"g","stream":{"streamId":"t"}}`)
		c.expect(closed("t", "BadRequest", "A connection can have at most 100 streams open."))
	})
}

func TestStreamIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {KeepAlive: 120 * time.Second}}})
		from, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, roles: anything})
		to, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		from.send(`{"type":"sendToGroup","group":"g","stream":{"streamId":"s","idleTimeoutMs":10000}}`)
		from.expect(streamOpen)
		for range 3 {
			advance(9 * time.Second)
			from.send(`{"type":"streamData","streamId":"s"}`)
			from.expectNothingElse()
		}
		// A client that is away cannot keep its stream alive, and need not.
		_ = from.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		advance(25 * time.Second)
		from = dial(t, srv, recovery(hello))
		from.recv() // connected
		advance(9 * time.Second)
		from.send(piece(1))
		from.expect(streamAck(2))
		to.expect(streamMessage("null", "p1", 1, ""))

		advance(10 * time.Second)
		const text = "The stream was idle for 10s."
		from.expect(`{"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"` + text + `"}}`)
		to.expect(streamMessage("null", "", 2, streamError("IdleTimeout", text)))

		// Without a time of its own a stream may be silent for five minutes.
		from.send(openStream)
		from.expect(streamOpen)
		advance(150 * time.Second)
		from.expectNothingElse()
		to.expectNothingElse()
		advance(149 * time.Second)
		from.expectNothingElse()
		advance(time.Second)
		from.expect(`{"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"The stream was idle for 5m0s."}}`)
	})
}

func TestStreamSurvivesConnectionLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		from, hello := dialJSON(t, srv, dialOptions{user: "ann", subprotocol: reliableProtocol, roles: anything})
		to, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		from.send(openStream)
		from.expect(streamOpen)
		from.send(piece(1))
		from.expect(streamAck(2))
		_ = from.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)

		// The JavaScript client goes on with its streams on a connected frame only.
		from = dial(t, srv, recovery(hello))
		if got := from.recv(); !strings.Contains(got, `"event":"connected"`) || !strings.Contains(got, hello.ConnectionID) || !strings.Contains(got, `"reconnectionToken":"`) {
			t.Errorf("the first frame after the recovery is %s", got)
		}
		from.send(piece(1)) // it does not know that this one has arrived
		from.expect(streamAck(2))
		from.send(piece(2))
		from.expect(streamAck(3))
		to.expect(streamMessage(`"ann"`, "p1", 1, ""), streamMessage(`"ann"`, "p2", 2, ""))

		_ = from.ws.NetConn().Close()
		waitForNth(t, srv, emulator.EntryInterrupted, hello.ConnectionID, 2)
		advance(31 * time.Second)
		to.expect(streamMessage(`"ann"`, "", 3, streamError("Cancelled", "The connection of the publisher has ended.")))
	})
}

func TestStreamEndsWithItsRights(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	from, hello := dialJSON(t, srv, dialOptions{roles: []string{"webpubsub.sendToGroup.g"}})
	to, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
	from.send(openStream)
	from.expect(streamOpen)
	if a := rest(t, srv, request{method: "DELETE", path: "permissions/sendToGroup/connections/" + hello.ConnectionID + "?targetName=g"}); a.status != 204 {
		t.Fatalf("revoke: %d %s", a.status, a.body)
	}
	from.send(piece(1))
	const text = "The client does not have permission to send to group 'g'."
	from.expect(`{"type":"streamClosed","streamId":"s","error":{"name":"Forbidden","message":"` + text + `"}}`)
	to.expect(streamMessage("null", "", 1, streamError("Forbidden", text)))

	other, _ := dialJSON(t, srv, dialOptions{roles: anything})
	other.send(openStream)
	other.expect(streamOpen)
	_ = other.ws.NetConn().Close() // not a reliable protocol: gone at once
	to.expect(streamMessage("null", "", 1, streamError("Cancelled", "The connection of the publisher has ended.")))
}

func TestStreamInProtobuf(t *testing.T) {
	const p = wire.ReliableProtobuf
	srv := emulator.StartT(t, emulator.Options{})
	from := dial(t, srv, dialOptions{subprotocol: p.Name(), roles: anything, groups: []string{"g"}})
	from.recvFrame(p)
	send := func(u wire.Upstream, want ...wire.Downstream) {
		t.Helper()
		from.sendFrame(p, u)
		for _, w := range want {
			if got := from.recvFrame(p); fmt.Sprintf("%+v", deref(got)) != fmt.Sprintf("%+v", deref(w)) {
				t.Fatalf("got  %+v\nwant %+v", deref(got), deref(w))
			}
		}
	}
	message := func(seq, n uint64, text string, end bool) wire.Data {
		return wire.Data{
			From: wire.FromGroup, Group: "g", SequenceID: seq, Message: webpubsub.Text(text),
			Stream: &wire.StreamInfo{StreamID: "s", SequenceID: n, EndOfStream: end},
		}
	}
	one, five := uint64(1), uint64(5)
	send(wire.SendToGroup{Group: "g", Stream: &wire.StreamStart{StreamID: "s"}}, wire.StreamAck{StreamID: "s", ExpectedSequenceID: 1})
	send(wire.StreamData{StreamID: "s", SequenceID: &one, Message: webpubsub.Text("x")},
		message(1, 1, "x", false), wire.StreamAck{StreamID: "s", ExpectedSequenceID: 2})
	send(wire.StreamData{StreamID: "s", SequenceID: &five, Message: webpubsub.Text("y")}, wire.StreamNack{
		StreamID: "s", ExpectedSequenceID: 2, Name: "InvalidSequenceId", Message: "The message 2 of the stream is expected, not 5.",
	})
	send(wire.StreamEnd{StreamID: "s"}, message(2, 2, "", true), wire.StreamClosed{StreamID: "s"})
}

// deref makes a frame printable to the end.
func deref(d wire.Downstream) any {
	if m, ok := d.(wire.Data); ok && m.Stream != nil {
		s := *m.Stream
		m.Stream = nil
		return fmt.Sprintf("%+v %+v", m, s)
	}
	return d
}
