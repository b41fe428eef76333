package client_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

// The frames of every call. Ack IDs start at 1.
func TestFrames(t *testing.T) {
	noEcho := &client.SendToGroupOptions{NoEcho: true, TTL: 5 * time.Second}
	tests := []struct {
		call func(context.Context, *client.Client) error
		want string
	}{
		{func(ctx context.Context, c *client.Client) error { return c.JoinGroup(ctx, "g", nil) }, `{"type":"joinGroup","group":"g","ackId":1}`},
		{func(ctx context.Context, c *client.Client) error { return c.LeaveGroup(ctx, "g", nil) }, `{"type":"leaveGroup","group":"g","ackId":2}`},
		{func(ctx context.Context, c *client.Client) error {
			return c.SendToGroup(ctx, "g", webpubsub.Text("x"), nil)
		}, `{"type":"sendToGroup","group":"g","ackId":3,"noEcho":false,"dataType":"text","data":"x"}`},
		{func(ctx context.Context, c *client.Client) error {
			return c.SendToGroup(ctx, "g", webpubsub.MustJSON(map[string]int{"n": 1}).WithMetadata("k", "v"), noEcho)
		}, `{"type":"sendToGroup","group":"g","ackId":4,"noEcho":true,"ttlSeconds":5,"dataType":"json","data":{"n":1},"metadata":{"k":"v"}}`},
		{func(ctx context.Context, c *client.Client) error {
			return c.SendEvent(ctx, "e", webpubsub.Binary([]byte("xyz")), nil)
		}, `{"type":"event","event":"e","ackId":5,"dataType":"binary","data":"eHl6"}`},
		{func(ctx context.Context, c *client.Client) error {
			return c.SendEvent(ctx, "e", webpubsub.Protobuf(nil), nil)
		}, `{"type":"event","event":"e","ackId":6,"dataType":"protobuf","data":""}`},
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		for i, tt := range tests {
			done := background(func() error { return tt.call(t.Context(), c) })
			p.expect(tt.want)
			p.ack(uint64(i + 1))
			must(t, done)
		}
		// Fire-and-forget messages have no ack ID and wait for nothing.
		if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), &client.SendToGroupOptions{FireAndForget: true}); err != nil {
			t.Error(err)
		}
		p.expect(`{"type":"sendToGroup","group":"g","noEcho":false,"dataType":"text","data":"x"}`)
		if err := c.SendEvent(t.Context(), "e", webpubsub.Text("x"), &client.SendEventOptions{FireAndForget: true}); err != nil {
			t.Error(err)
		}
		p.expect(`{"type":"event","event":"e","dataType":"text","data":"x"}`)
		go p.serve()
	})
}

// Calls that break a rule of the protocol are rejected.
func TestInvalidCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		go p.serve()
		ctx := t.Context()
		for i, err := range []error{
			c.JoinGroup(ctx, "", nil),
			c.LeaveGroup(ctx, " ", nil),
			c.SendToGroup(ctx, "g", webpubsub.Message{}, nil),
			c.SendToGroup(ctx, "g", webpubsub.Text("x"), &client.SendToGroupOptions{TTL: time.Millisecond}),
			c.SendToGroup(ctx, "g", webpubsub.Text("x"), &client.SendToGroupOptions{TTL: 301 * time.Second}),
			c.SendToGroup(ctx, "g", webpubsub.Text("x"), &client.SendToGroupOptions{TTL: -time.Second}),
			c.SendEvent(ctx, "1", webpubsub.Text("x"), nil),
			c.SendEvent(ctx, "e", webpubsub.MustJSON(nil), &client.SendEventOptions{FireAndForget: true}),
		} {
			if !errors.Is(err, client.ErrInvalidArgument) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if _, err := c.Invoke(ctx, "", webpubsub.Text("x"), nil); !errors.Is(err, client.ErrInvalidArgument) {
			t.Error(err)
		}
	})
}

func TestMessagesArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, e := start(t, s, client.Options{})
		var got []client.GroupMessage
		c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { got = append(got, m) })
		p.send(`{"sequenceId":1,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"json","data":{"a":1},"metadata":{"k":"v"}}`)
		p.send(`{"sequenceId":2,"type":"message","from":"group","group":"g","fromUserId":"bob","dataType":"binary","data":"eHl6"}`)
		p.send(`{"sequenceId":3,"type":"message","from":"server","dataType":"text","data":"hi"}`)
		p.send(`{"type":"tomorrow"}`)
		p.send(`{"type":"ack","ackId":99,"success":true}`)
		p.send(`not JSON`)
		e.expect(t, "connected c1 alice", "server: hi 3")
		if len(got) != 2 || got[0].FromUserID != "" || got[0].Message.Metadata["k"] != "v" || string(got[1].Message.Data) != "xyz" || got[1].FromUserID != "bob" {
			t.Errorf("got %+v", got)
		}
		go p.serve()
	})
}

func TestRejectedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		for _, name := range []string{"Forbidden", "BadRequest"} {
			done := background(func() error { return c.JoinGroup(t.Context(), "g", nil) })
			p.refuse(*p.read("joinGroup").AckID, name)
			err := <-done
			var refusal *client.ServiceError
			if !errors.Is(err, &client.ServiceError{Name: name}) || !errors.As(err, &refusal) || refusal.Message != "because" {
				t.Errorf("%s: %v", name, err)
			}
			if errors.Is(err, client.ErrForbidden) != (name == "Forbidden") || errors.Is(err, client.ErrInternalServer) {
				t.Errorf("%v matches another error", err)
			}
		}
		// A duplicate was processed before.
		done := background(func() error { return c.JoinGroup(t.Context(), "g", nil) })
		p.refuse(*p.read("joinGroup").AckID, "Duplicate")
		must(t, done)
		go p.serve()
	})
}

// Other errors are retried with the same ack ID: three times, or as configured.
func TestRetries(t *testing.T) {
	for _, tt := range []struct{ max, want int }{{0, 4}, {5, 6}, {-1, 1}} {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			c, p, _ := start(t, s, client.Options{MessageRetry: client.RetryOptions{MaxRetries: tt.max}})
			began := time.Now()
			done := background(func() error { return c.SendEvent(t.Context(), "e", webpubsub.Text("x"), nil) })
			for range tt.want {
				f := p.read("event")
				if *f.AckID != 1 {
					t.Errorf("ack id %d", *f.AckID)
				}
				p.refuse(*f.AckID, "InternalServerError")
			}
			if err := <-done; !errors.Is(err, client.ErrInternalServer) {
				t.Error(err)
			}
			if tt.want == 4 {
				if d := time.Since(began); d < 3500*time.Millisecond || d > 7*time.Second {
					t.Errorf("took %v", d) // 1, 2 and 4 s, each less up to a half
				}
			}
			go p.serve()
		})
	}
}

// The retries of one call can be limited. Its error contains the number of attempts.
func TestRetriesOfOneCall(t *testing.T) {
	retry := &client.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond}
	for name, call := range map[string]func(context.Context, *client.Client) error{
		"event": func(ctx context.Context, c *client.Client) error {
			return c.SendEvent(ctx, "e", webpubsub.Text("x"), &client.SendEventOptions{Retry: retry})
		},
		"send": func(ctx context.Context, c *client.Client) error {
			return c.SendToGroup(ctx, "room", webpubsub.Text("x"), &client.SendToGroupOptions{Retry: retry})
		},
		"join": func(ctx context.Context, c *client.Client) error {
			return c.JoinGroup(ctx, "other", &client.JoinGroupOptions{Retry: retry})
		},
		"leave": func(ctx context.Context, c *client.Client) error {
			return c.LeaveGroup(ctx, "room", &client.LeaveGroupOptions{Retry: retry})
		},
		"set state": func(ctx context.Context, c *client.Client) error {
			return c.SetGroupState(ctx, "room", nil, &client.SetGroupStateOptions{Retry: retry})
		},
		"clear state": func(ctx context.Context, c *client.Client) error {
			return c.ClearGroupState(ctx, "room", &client.ClearGroupStateOptions{Retry: retry})
		},
		"subscribe": func(ctx context.Context, c *client.Client) error {
			return c.SubscribeGroupState(ctx, "room", &client.SubscribeGroupStateOptions{Retry: retry})
		},
		"unsubscribe": func(ctx context.Context, c *client.Client) error {
			return c.UnsubscribeGroupState(ctx, "room", &client.UnsubscribeGroupStateOptions{Retry: retry})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				c, p, _ := start(t, s, client.Options{MessageRetry: client.RetryOptions{MaxRetries: -1}})
				p.join(c, "room")
				done := background(func() error { return call(t.Context(), c) })
				for range 3 {
					data, err := p.next()
					if err != nil {
						t.Fatal(err)
					}
					if !strings.Contains(data, `"ackId":2`) {
						t.Errorf("sent %s", data)
					}
					p.refuse(2, "InternalServerError")
				}
				err := <-done
				if !errors.Is(err, client.ErrInternalServer) || !strings.Contains(err.Error(), "(after 3 attempts)") {
					t.Error(err)
				}
				go p.serve()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		go p.serve()
		err := c.JoinGroup(t.Context(), "room", &client.JoinGroupOptions{Retry: &client.RetryOptions{RetryDelay: -1}})
		if !errors.Is(err, client.ErrInvalidArgument) || !strings.Contains(err.Error(), "Retry.RetryDelay") {
			t.Error(err)
		}
	})
}

// Regression test: ErrForbidden and the other errors of the service were pointers to
// values that any program could modify.
func TestServiceErrors(t *testing.T) {
	forbidden := &client.ServiceError{Name: "Forbidden", Message: "no role"}
	for _, tt := range []struct {
		err, target error
		want        bool
	}{
		{forbidden, client.ErrForbidden, true},
		{forbidden, client.ErrBadRequest, false},
		{fmt.Errorf("wrapped: %w", forbidden), client.ErrForbidden, true},
		{forbidden, &client.ServiceError{Name: "Forbidden"}, true},
		{forbidden, &client.ServiceError{Name: "Forbidden", Message: "other"}, false},
		{&client.ServiceError{Name: "NotFound"}, &client.ServiceError{Name: "NotFound"}, true},
		{client.ErrForbidden, client.ErrForbidden, true},
	} {
		if got := errors.Is(tt.err, tt.target); got != tt.want {
			t.Errorf("%v is %v: %v", tt.err, tt.target, got)
		}
	}
	for _, err := range []error{client.ErrForbidden, client.ErrBadRequest, client.ErrInternalServer, client.ErrDuplicate} {
		if reflect.TypeOf(err).Kind() == reflect.Pointer {
			t.Errorf("%v can be modified", err)
		}
	}
}

func TestContextEndsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := background(func() error { return c.JoinGroup(ctx, "g", nil) })
		f := p.read("joinGroup")
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.ack(*f.AckID) // is ignored
		go p.serve()
		if err := c.JoinGroup(ctx, "g", nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestInvoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		type answer struct {
			m   webpubsub.Message
			err error
		}
		invoke := func(ctx context.Context) <-chan answer {
			done := make(chan answer, 1)
			go func() {
				m, err := c.Invoke(ctx, "sum", webpubsub.MustJSON([]int{1, 2}), nil)
				done <- answer{m, err}
			}()
			return done
		}
		done := invoke(t.Context())
		p.expect(`{"type":"invoke","invocationId":"1","target":"event","event":"sum","dataType":"json","data":[1,2]}`)
		p.send(`{"type":"invokeResponse","invocationId":"1","success":true,"dataType":"json","data":3}`)
		if a := <-done; a.err != nil || a.m.String() != "3" {
			t.Errorf("got %+v", a)
		}

		// An error is not retried.
		done = invoke(t.Context())
		p.read("invoke")
		p.send(`{"type":"invokeResponse","invocationId":"2","success":false,"error":{"name":"BadRequest","message":"no"}}`)
		if a := <-done; !errors.Is(a.err, client.ErrBadRequest) {
			t.Errorf("got %+v", a)
		}

		// If the context ends, the invocation is canceled and its response ignored.
		ctx, cancel := context.WithCancel(t.Context())
		done = invoke(ctx)
		p.read("invoke")
		cancel()
		if a := <-done; !errors.Is(a.err, context.Canceled) {
			t.Errorf("got %+v", a)
		}
		p.expect(`{"type":"cancelInvocation","invocationId":"3"}`)
		p.send(`{"type":"invokeResponse","invocationId":"3","success":true}`)

		// An interruption ends the invocation: the service does not repeat the response.
		done = invoke(t.Context())
		p.read("invoke")
		p.cut()
		if a := <-done; !errors.Is(a.err, client.ErrConnectionLost) {
			t.Errorf("got %+v", a)
		}
		go s.next().serve()
	})
}

// Without an outbound queue, a call waits for the connection as long as its retries
// last. With a queue, calls are sent in order.
func TestCallsWhileNotConnected(t *testing.T) {
	forget := &client.SendToGroupOptions{FireAndForget: true}
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{})
		s.setDown(true)
		p.cut()
		synctest.Wait()
		if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), forget); !errors.Is(err, client.ErrNotConnected) {
			t.Error(err)
		}
		if _, err := c.Invoke(t.Context(), "e", webpubsub.Text("x"), nil); !errors.Is(err, client.ErrNotConnected) {
			t.Error(err)
		}
		began := time.Now()
		if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil); !errors.Is(err, client.ErrNotConnected) || time.Since(began) < time.Second {
			t.Error(err)
		}
		done := background(func() error { return c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil) })
		synctest.Wait()
		s.setDown(false)
		p = s.next()
		p.grant("sendToGroup")
		must(t, done)
		go p.serve()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{OutboundQueueSize: 4})
		s.setDown(true)
		p.cut()
		synctest.Wait()
		send := func(ctx context.Context, text string) <-chan error {
			done := background(func() error { return c.SendToGroup(ctx, "g", webpubsub.Text(text), nil) })
			synctest.Wait()
			return done
		}
		first := send(t.Context(), "first")
		if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("forget"), forget); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := send(ctx, "given up")
		last := send(t.Context(), "last")
		if err := c.SendToGroup(t.Context(), "g", webpubsub.Text("too many"), nil); !errors.Is(err, client.ErrQueueFull) {
			t.Error(err)
		}
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.setDown(false)
		p = s.next()
		for _, want := range []string{`"first"`, `"forget"`, `"last"`} {
			f := p.read("sendToGroup")
			if string(f.Data) != want {
				t.Errorf("got %s, want %s", f.Data, want)
			}
			if f.AckID != nil {
				p.ack(*f.AckID)
			}
		}
		must(t, first)
		must(t, last)

		// Stop ends the queued calls.
		s.setDown(true)
		p.cut()
		synctest.Wait()
		stuck := send(t.Context(), "stuck")
		must(t, background(func() error { return c.Stop(t.Context()) }))
		if err := <-stuck; !errors.Is(err, client.ErrNotRunning) {
			t.Error(err)
		}
	})
}
