package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// endpoint says how to subscribe to a server and how to publish to it.
type endpoint struct {
	url         string
	subprotocol string
	// hello is sent after the handshake; welcome is how many frames come before
	// the connection is subscribed.
	hello       []byte
	helloType   int
	welcome     int
	acknowledge bool // sequence ids, as the reliable JSON subprotocol has them
	// publish returns the request that publishes the placeholder's payload.
	publish func() *http.Request
	status  int
}

// audience is many subscribers in this process.
type audience struct {
	received atomic.Int64
	conns    []*websocket.Conn
	all      []*inspector
	wg       sync.WaitGroup
	fail     context.CancelCauseFunc
	leaving  atomic.Bool
}

// gather connects n subscribers. The context that it returns ends with the first
// that loses its connection or gets a wrong message.
func gather(ctx context.Context, e endpoint, n int) (*audience, context.Context, error) {
	a := new(audience)
	ctx, err := a.gather(ctx, e, n)
	if err != nil {
		a.leave()
		return nil, nil, err
	}
	return a, ctx, nil
}

// gather adds n subscribers.
func (a *audience) gather(ctx context.Context, e endpoint, n int) (context.Context, error) {
	if a.fail == nil {
		ctx, a.fail = context.WithCancelCause(ctx)
	}
	for range n {
		ws, err := e.dial(ctx)
		if err != nil {
			return ctx, fmt.Errorf("subscriber %d: %w", len(a.conns), err)
		}
		i, in := len(a.conns), newInspector(&a.received)
		a.conns, a.all = append(a.conns, ws), append(a.all, in)
		a.wg.Go(func() {
			if err := a.listen(ws, in, e.acknowledge); !a.leaving.Load() {
				a.fail(fmt.Errorf("subscriber %d: %w", i, err))
			}
		})
	}
	return ctx, nil
}

func (e endpoint) dial(ctx context.Context) (*websocket.Conn, error) {
	d := websocket.Dialer{HandshakeTimeout: 20 * time.Second, ReadBufferSize: 4 << 10, WriteBufferSize: 512}
	if e.subprotocol != "" {
		d.Subprotocols = []string{e.subprotocol}
	}
	ws, resp, err := d.DialContext(ctx, e.url, nil)
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: %s", err, resp.Status)
		}
		return nil, err
	}
	if e.hello != nil {
		if err := ws.WriteMessage(e.helloType, e.hello); err != nil {
			return nil, err
		}
	}
	for range e.welcome {
		if _, _, err := ws.ReadMessage(); err != nil {
			return nil, err
		}
	}
	return ws, nil
}

// listen reads messages until the connection ends, and says why it did.
func (a *audience) listen(ws *websocket.Conn, in *inspector, acknowledge bool) error {
	buf := make([]byte, 0, 4<<10)
	unacked, total := 0, 0
	for {
		_, r, err := ws.NextReader()
		if err != nil {
			return err
		}
		buf = buf[:0]
		for {
			if len(buf) == cap(buf) {
				buf = append(buf, 0)[:len(buf)]
			}
			n, err := r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
		n, err := in.frame(buf, time.Now())
		if err != nil {
			return err
		}
		total += n
		if unacked += n; acknowledge && unacked >= 100 {
			unacked = 0
			if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"sequenceAck","sequenceId":%d}`, total)); err != nil {
				return err
			}
		}
	}
}

func (a *audience) leave() {
	a.leaving.Store(true)
	for _, ws := range a.conns {
		_ = ws.Close()
	}
	a.wg.Wait()
	if a.fail != nil {
		a.fail(nil)
	}
}

// settled waits until every subscriber has n messages, and fails when one gets
// more, or they stop coming.
func (a *audience) settled(ctx context.Context, n int64) error {
	for deadline := time.Now().Add(20 * time.Second); a.received.Load() < n; wait(ctx, time.Millisecond) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d messages arrived: the rest is lost", a.received.Load(), n)
		}
	}
	wait(ctx, 20*time.Millisecond) // for one too many
	if got := a.received.Load(); got != n {
		return fmt.Errorf("%d messages arrived, %d were sent", got, n)
	}
	return nil
}

// took returns how long the messages took, of all subscribers.
func (a *audience) took() []time.Duration {
	var all []time.Duration
	for _, in := range a.all {
		all = append(all, in.took...)
	}
	return all
}
