package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
)

const maxFrame = 1 << 20

// tooLarge contains messages that exceed 1 MiB when they are encoded.
var tooLarge = map[client.Protocol][]webpubsub.Message{
	client.ReliableJSON: {
		webpubsub.Text(strings.Repeat("x", maxFrame)),
		webpubsub.Binary(make([]byte, 900<<10)),                                          // base64
		webpubsub.Text(strings.Repeat("\x01", 300<<10)),                                  // escapes
		webpubsub.MustJSON(strings.Repeat("x", maxFrame-2)),                              // with its quotes
		webpubsub.Text(strings.Repeat("x", maxFrame-40)),                                 // with what is around it
		webpubsub.Protobuf(append([]byte("\x12\x80\xa0\x38"), make([]byte, 900<<10)...)), // an Any, in base64
	},
	client.ReliableProtobuf: {
		webpubsub.Text(strings.Repeat("x", maxFrame)),
		webpubsub.Binary(make([]byte, maxFrame-10)),
	},
}

// encodedSize returns the size in an error, or 0 if the error does not contain it and
// the limit.
func encodedSize(err error) int {
	var n, limit int
	_, after, _ := strings.Cut(fmt.Sprint(err), "the encoded message has ")
	if _, err := fmt.Sscanf(after, "%d bytes, and the service accepts %d:", &n, &limit); err != nil || limit != maxFrame {
		return 0
	}
	return n
}

// Regression test: a message larger than the service accepts was sent, the service
// closed the connection with code 1009, which interrupted all other calls, and the
// message was sent again. It is rejected before it is sent, on every path.
func TestMessageTooLarge(t *testing.T) {
	for protocol, messages := range tooLarge {
		t.Run(protocol.String(), func(t *testing.T) {
			srv := emulator.StartT(t, emulator.Options{})
			c := connect(t, srv, "alice", client.Options{Protocol: protocol}, func(c *client.Client) {
				c.OnRecovering(func(context.Context, client.RecoveringEvent) { t.Error("the connection was interrupted") })
				c.OnDisconnected(func(_ context.Context, d client.DisconnectedEvent) {
					if d.Err != nil {
						t.Errorf("the connection was lost: %v", d.Err)
					}
				})
			})
			ctx := t.Context()
			if err := c.JoinGroup(ctx, "g", nil); err != nil {
				t.Fatal(err)
			}
			out, err := c.OpenStream(ctx, "g", nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range messages {
				_, invoked := c.Invoke(ctx, "e", m, nil)
				for path, err := range map[string]error{
					"group":                  c.SendToGroup(ctx, "g", m, nil),
					"group, fire and forget": c.SendToGroup(ctx, "g", m, &client.SendToGroupOptions{FireAndForget: true}),
					"event":                  c.SendEvent(ctx, "e", m, nil),
					"event, fire and forget": c.SendEvent(ctx, "e", m, &client.SendEventOptions{FireAndForget: true}),
					"invoke":                 invoked,
					"stream":                 out.Send(ctx, m),
				} {
					if n := encodedSize(err); !errors.Is(err, client.ErrInvalidArgument) || n <= maxFrame {
						t.Errorf("message %d, %s: %v", i, path, err)
					}
				}
			}
			if n, err := out.Write(make([]byte, 2<<20)); n != 0 || !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("Write: %d, %v", n, err)
			}
			if err := c.SetGroupState(ctx, "g", map[string]string{"k": strings.Repeat("x", maxFrame)}, nil); !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("group state: %v", err)
			}
			if err := out.CloseWithError(ctx, strings.Repeat("x", maxFrame), "E"); !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("end of a stream: %v", err)
			}
			// The largest that fits passes.
			around := encodedSize(out.Send(ctx, webpubsub.Text(strings.Repeat("x", maxFrame)))) - maxFrame
			for extra := range 2 {
				err := out.Send(ctx, webpubsub.Text(strings.Repeat("x", maxFrame-around+extra)))
				if (err == nil) != (extra == 0) {
					t.Errorf("%d bytes too many: %v", extra, err)
				}
			}
			if err := out.End(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// Requests in progress are not sent again if the service closes the connection with a
// code that is about a frame, neither on the same connection nor on the next.
func TestRejectedFramesAreNotRepeated(t *testing.T) {
	for _, code := range []int{1003, 1007, 1009} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			c, p, e := start(t, s, client.Options{OutboundQueueSize: 10})
			p.join(c, "room")
			out := openStream(t, c, p)
			ctx := t.Context()
			sent := background(func() error { return c.SendToGroup(ctx, "g", webpubsub.Text("x"), nil) })
			p.read("sendToGroup")
			joined := background(func() error { return c.JoinGroup(ctx, "other", nil) })
			p.read("joinGroup")
			invoked := background(func() error { _, err := c.Invoke(ctx, "e", webpubsub.Text("x"), nil); return err })
			p.read("invoke")
			if err := out.Send(ctx, webpubsub.Text("x")); err != nil {
				t.Error(err)
			}
			p.read("streamData")
			ended := background(out.Close)
			p.close(code, "this frame is bad")
			for i, done := range []<-chan error{sent, joined, invoked, ended} {
				var closed *client.CloseError
				if err := <-done; !errors.Is(err, client.ErrConnectionLost) || !errors.As(err, &closed) || closed.Code != code {
					t.Errorf("call %d: %v", i, err)
				}
			}
			p = s.next()
			if p.request.URL.Query().Has("awps_connection_id") {
				t.Error("the client tries to recover a connection that has ended")
			}
			p.hello("c2")
			if f := p.grant("joinGroup"); f.Group != "room" {
				t.Errorf("joined %s", f.Group)
			}
			e.expect(t, "connected c1 alice", fmt.Sprintf(`disconnected c1 %d "this frame is bad" tried=false`, code), "connected c2 alice")
			must(t, background(func() error { go p.serve(); return c.SendEvent(ctx, "e", webpubsub.Text("next"), nil) }))
		})
	}
}

// The largest message is accepted and delivered by the emulator.
func TestLargestMessage(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	got := make(chan client.GroupMessage, 1)
	c := connect(t, srv, "alice", client.Options{Protocol: client.ReliableProtobuf}, func(c *client.Client) {
		c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { got <- m })
	})
	ctx := context.Background()
	if err := c.JoinGroup(ctx, "g", nil); err != nil {
		t.Fatal(err)
	}
	around := encodedSize(c.SendToGroup(ctx, "g", webpubsub.Binary(make([]byte, maxFrame)), nil)) - maxFrame
	data := bytes.Repeat([]byte{7}, maxFrame-around)
	if err := c.SendToGroup(ctx, "g", webpubsub.Binary(data), nil); err != nil {
		t.Fatal(err)
	}
	if m := <-got; !bytes.Equal(m.Message.Data, data) {
		t.Errorf("%d bytes arrived of %d", len(m.Message.Data), len(data))
	}
}
