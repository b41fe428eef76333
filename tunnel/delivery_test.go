package tunnel_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/tunnelwire"
)

// Two thousand events cross tunnels that are moved, doubled and cut all the
// time, from a sender that repeats what failed, as the service does. Each
// arrives. One arrives twice only if the connection was cut while it was open.
func TestNoEventIsLost(t *testing.T) {
	const events, senders = 2000, 50 // a test of the emulator has ten thousand
	bubble(t, func(t *testing.T, s *service) {
		var mu sync.Mutex
		served := make(map[string]int)
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Duration(rand.N(400)) * time.Millisecond)
			mu.Lock()
			served[r.URL.Path]++
			mu.Unlock()
			echo(w, r)
		}), nil)

		// The troublemaker. Moving and doubling lose nothing; cuts may.
		cuts, quit, quitted := 0, make(chan struct{}), make(chan struct{})
		go func() {
			defer close(quitted)
			random := rand.New(rand.NewPCG(1, 2))
			for {
				select {
				case <-quit:
					return
				case <-time.After(time.Duration(random.IntN(500)) * time.Millisecond):
				}
				open := s.Tunnels()
				if len(open) == 0 {
					continue
				}
				id := open[random.IntN(len(open))].ConnectionID
				to := tunnelwire.Redirect{Target: fmt.Sprint(random.Int())}
				switch random.IntN(4) {
				case 0, 1:
					_ = s.Send(id, &tunnelwire.Reconnect{Redirect: to})
				case 2:
					if len(open) < 5 {
						_ = s.Send(id, &tunnelwire.Rebalance{Redirect: to})
					}
				case 3:
					if s.Drop(id) == nil {
						cuts++
					}
				}
			}
		}()

		var work sync.WaitGroup
		failed := make([]int, senders) // attempts that got no response
		for n := range senders {
			work.Go(func() {
				for i := range events / senders {
					path := fmt.Sprintf("/%d/%d", n, i)
					for r := s.post(path); r.err != nil || r.status >= 500; r = s.post(path) {
						failed[n]++
						time.Sleep(time.Second)
					}
				}
			})
		}
		work.Wait()
		close(quit)
		<-quitted
		if err := stop(); err != nil {
			t.Error(err)
		}
		twice, lost, attempts := 0, 0, 0
		for n := range senders {
			attempts += failed[n]
			for i := range events / senders {
				switch c := served[fmt.Sprintf("/%d/%d", n, i)]; {
				case c == 0:
					lost++
				case c > 1:
					twice += c - 1
				}
			}
		}
		t.Logf("%d cuts, %d attempts without a response, %d events served again", cuts, attempts, twice)
		if lost > 0 || twice > attempts || cuts == 0 || attempts == 0 {
			t.Errorf("%d events are lost, %d served again after %d attempts without a response, %d cuts", lost, twice, attempts, cuts)
		}
	})
}

// A large response on a slow network takes longer than any single write may. It
// used to be that a deadline for the whole message ended such connections.
func TestSlowNetwork(t *testing.T) {
	const size, part = 8 << 20, 64 << 10
	bubble(t, func(t *testing.T, s *service) {
		got := make(chan int, 1)
		s.accept = func(w http.ResponseWriter, r *http.Request) {
			ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer ws.Close()
			for _, m := range []tunnelwire.Message{
				&tunnelwire.Connected{ConnectionID: "c"},
				&tunnelwire.Request{AckID: 1, Method: "POST", URL: "http://x/"},
			} {
				b, _ := tunnelwire.Append(nil, m)
				_ = ws.WriteMessage(websocket.BinaryMessage, b)
			}
			_, body, err := ws.NextReader()
			n, buf := 0, make([]byte, part)
			for err == nil {
				var k int
				k, err = io.ReadFull(body, buf)
				n += k
				time.Sleep(time.Second)
			}
			got <- n
			_, _, _ = ws.NextReader()
		}
		stop := s.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) }), nil)
		if n := <-got; n < size || len(s.dialed) != 1 {
			t.Errorf("%d bytes came over %d connections", n, len(s.dialed))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
