package emulator_test

import (
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/wire"
)

// sendFrame and recvFrame speak a protobuf protocol.
func (c *client) sendFrame(p wire.Protocol, u wire.Upstream) {
	c.t.Helper()
	data, err := p.AppendUpstream(nil, u)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, data); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) recvFrame(p wire.Protocol) wire.Downstream {
	c.t.Helper()
	kind, data, err := c.next()
	if err != nil || kind != websocket.BinaryMessage {
		c.t.Fatalf("got frame type %d, %v", kind, err)
	}
	d, err := p.DecodeDownstream([]byte(data))
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func (c *client) expectAck(p wire.Protocol, id uint64, name string) {
	c.t.Helper()
	ack, ok := c.recvFrame(p).(wire.Ack)
	got := ""
	if ack.Error != nil {
		got = ack.Error.Name
	}
	if !ok || ack.AckID != id || got != name {
		c.t.Fatalf("got %+v, want ack %d %q", ack, id, name)
	}
}

func TestProtobufClients(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	const p = wire.Protobuf
	c := dial(t, srv, dialOptions{user: "alice", roles: anything, subprotocol: p.Name()})
	if hello, ok := c.recvFrame(p).(wire.Connected); !ok || *hello.UserID != "alice" || hello.ReconnectionToken != "" {
		t.Fatalf("got %+v", hello)
	}
	id := uint64(0)
	c.sendFrame(p, wire.JoinGroup{Group: "g", AckID: &id})
	c.expectAck(p, 0, "")

	// What one protocol sends every other understands.
	other, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	c.sendFrame(p, wire.SendToGroup{Group: "g", NoEcho: true, Message: webpubsub.MustJSON(map[string]int{"n": 1})})
	other.expect(`{"type":"message","from":"group","fromUserId":"alice","group":"g","dataType":"json","data":{"n":1}}`)
	c.sendFrame(p, wire.SendToGroup{Group: "g", NoEcho: true, Message: webpubsub.Binary([]byte{1, 2, 3})})
	other.expect(`{"type":"message","from":"group","fromUserId":"alice","group":"g","dataType":"binary","data":"AQID"}`)
	other.send(`{"type":"sendToGroup","group":"g","noEcho":true,"dataType":"text","data":"hi"}`)
	if d, ok := c.recvFrame(p).(wire.Data); !ok || d.Group != "g" || d.Message.String() != "hi" || d.Message.Type != webpubsub.DataTypeText {
		t.Errorf("got %+v", d)
	}

	if err := c.ws.WriteMessage(websocket.TextMessage, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	c.expectClose(websocket.CloseUnsupportedData, "The protobuf subprotocol requires binary messages.")
}

func TestBrokenProtobufFrame(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := dial(t, srv, dialOptions{subprotocol: wire.Protobuf.Name()})
	c.recvFrame(wire.Protobuf)
	if err := c.ws.WriteMessage(websocket.BinaryMessage, []byte{0xff}); err != nil {
		t.Fatal(err)
	}
	c.expectClose(websocket.CloseInvalidFramePayloadData, "The client message is not a valid protobuf protocol message.")
}

func TestReliableProtobufRecovery(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	const p = wire.ReliableProtobuf
	c := dial(t, srv, dialOptions{roles: anything, groups: []string{"g"}, subprotocol: p.Name()})
	hello := c.recvFrame(p).(wire.Connected)
	largest := ^uint64(0)
	c.sendFrame(p, wire.SendToGroup{Group: "g", AckID: &largest, Message: webpubsub.Text("one")})
	if d := c.recvFrame(p).(wire.Data); d.SequenceID != 1 {
		t.Fatalf("sequence id %d, want 1", d.SequenceID)
	}
	c.expectAck(p, largest, "")
	_ = c.ws.NetConn().Close()
	waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)

	// The original protocol is kept, whatever is offered.
	o := recovery(connected{ConnectionID: hello.ConnectionID, ReconnectionToken: hello.ReconnectionToken})
	back := dial(t, srv, o)
	if d, ok := back.recvFrame(p).(wire.Data); !ok || d.SequenceID != 1 || d.Message.String() != "one" {
		t.Fatalf("got %+v, want the message again", d)
	}
	back.sendFrame(p, wire.SendToGroup{Group: "g", AckID: &largest, Message: webpubsub.Text("one")})
	back.expectAck(p, largest, "Duplicate")
}
