package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

// dials returns the number of handshakes since the last call.
func (s *script) dials() int {
	n := 0
	for {
		select {
		case <-s.requests:
			n++
		default:
			return n
		}
	}
}

// answerAll calls f for every connection that the client makes until the test ends.
func (s *script) answerAll(f func(p *peer)) {
	go func() {
		for {
			select {
			case p := <-s.peers:
				go f(p)
			case <-s.closed:
				return
			}
		}
	}()
}

// hangUp reads until the client has ended the connection.
func (p *peer) hangUp() {
	for {
		if _, _, err := p.ws.ReadMessage(); err != nil {
			_ = p.ws.Close()
			return
		}
	}
}

// Regression test: a service that accepts each attempt to recover and fails afterwards
// was dialed up to 7,000 times a second, without a limit. Each accepted handshake
// started the recovery window again, and each frame, even a repeated one, restored
// all budgets. Such a connection ends with the recovery window, and the client
// reconnects.
func TestRecoveryIsBounded(t *testing.T) {
	isRecovery := func(p *peer) bool { return p.request.URL.Query().Has("awps_connection_id") }
	for name, tt := range map[string]struct {
		recovered func(p *peer)
		dials     int // at most, within the window
	}{
		"closes immediately": {func(p *peer) { p.cut() }, 62},
		"closes with a code": {func(p *peer) { p.close(1001, "restarting") }, 62},
		"sends nothing":      {(*peer).hangUp, 4},
		"resets on a message that it repeats": {func(p *peer) {
			p.message(1, "repeated")
			p.cut()
		}, 62},
		"answers the ping and resets": {func(p *peer) {
			p.send(`{"type":"pong"}`)
			p.cut()
		}, 62},
		"resets on a frame of the client": {func(p *peer) {
			_, _ = p.next() // answers the ping
			p.cut()
		}, 62},
		"sends what cannot be decoded": {func(p *peer) {
			p.send(`not JSON`)
			p.cut()
		}, 62},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				c, p, e := start(t, s, client.Options{})
				sent := background(func() error {
					return c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil)
				})
				p.message(1, "repeated")
				synctest.Wait()
				s.dials()
				s.answerAll(func(p *peer) {
					if isRecovery(p) {
						tt.recovered(p)
						return
					}
					p.hello("c2")
					p.serve()
				})
				began := time.Now()
				p.cut()
				must(t, sent) // on the new connection
				window := 30*time.Second + time.Second
				if d := time.Since(began); d < 29*time.Second || d > window+15*time.Second {
					t.Errorf("a new connection after %v", d)
				}
				if n := s.dials(); n > tt.dials {
					t.Errorf("%d attempts, want %d at most", n, tt.dials)
				}
				got := e.take()
				if !strings.HasSuffix(got, "disconnected c1 1006 \"\" tried=true\nconnected c2 alice") &&
					!strings.HasSuffix(got, "disconnected c1 1001 \"restarting\" tried=true\nconnected c2 alice") {
					t.Errorf("events: %s", got)
				}
			})
		})
	}
}

// A connection survives any number of interruptions if it works in between: each
// link that has lasted and made progress starts a new recovery window.
func TestRecoveryOfManyInterruptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, e := start(t, s, client.Options{})
		e.expect(t, "connected c1 alice")
		for i := range 100 {
			p.cut()
			p = s.next()
			p.message(i+1, "new")
			time.Sleep(time.Second)
			e.expect(t, "recovering c1", "recovered c1", fmt.Sprintf("room bob: new %d", i+1))
		}
		// On an idle connection, pongs are progress.
		for range 100 {
			p.cut()
			p = s.next()
			go p.serve()
			time.Sleep(time.Second)
			e.expect(t, "recovering c1", "recovered c1")
		}
	})
}

// Regression test: ReconnectRetry.MaxRetries did not count connections that were
// closed immediately, so that a gateway that accepts and drops connections was dialed
// without a limit.
func TestReconnectIsBounded(t *testing.T) {
	for name, drop := range map[string]func(p *peer){
		"drops immediately":        func(p *peer) { p.cut() },
		"sends nothing":            (*peer).hangUp,
		"drops after the greeting": func(p *peer) { p.hello("c"); p.close(1008, "go away") },
		"drops before it has lasted": func(p *peer) {
			p.hello("c")
			time.Sleep(9 * time.Second)
			p.close(1008, "go away")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t)
				c, p, _ := start(t, s, client.Options{ReconnectRetry: client.RetryOptions{MaxRetries: 5}})
				stopped := make(chan client.StoppedEvent, 1)
				c.OnStopped(func(_ context.Context, v client.StoppedEvent) { stopped <- v })
				s.dials()
				s.answerAll(drop)
				p.close(1008, "")
				if v := <-stopped; v.Err == nil || !strings.Contains(v.Err.Error(), "giving up after 5 attempts to reconnect") {
					t.Errorf("stopped with %v", v.Err)
				}
				if n := s.dials(); n != 5 {
					t.Errorf("%d attempts", n)
				}
			})
		})
	}
	// Without a limit, the delays grow, and a connection that lasts restores the
	// budget.
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		_, p, _ := start(t, s, client.Options{})
		s.dials()
		works := make(chan struct{})
		s.answerAll(func(p *peer) {
			p.hello("c")
			select {
			case <-works:
				p.serve()
			default:
				p.close(1008, "go away")
			}
		})
		p.close(1008, "")
		time.Sleep(10 * time.Minute)
		if n := s.dials(); n < 20 || n > 60 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		close(works)
		time.Sleep(time.Minute)
		if n := s.dials(); n != 1 {
			t.Errorf("%d attempts for a connection that works", n)
		}
	})
}

// If an event handler allows one connection for each user, two clients of a user close
// each other's connection when they connect. Their delays grow, or one of them gives
// up.
func TestTwoClientsThatReplaceEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		o := client.Options{ReconnectRetry: client.RetryOptions{MaxRetries: 8}}
		a, first, _ := start(t, s, o)
		stopped := make(chan string, 2)
		a.OnStopped(func(context.Context, client.StoppedEvent) { stopped <- "a" })
		s.dials()
		current := first
		replaced := make(chan *peer)
		s.answerAll(func(p *peer) { replaced <- p })
		go func() {
			for {
				select {
				case p := <-replaced:
					p.hello("c")
					current.sendClose(1008, "another connection of this user")
					current = p
					go p.serve()
				case <-s.closed:
					return
				}
			}
		}()
		b, _ := prepare(t, s, o)
		b.OnStopped(func(context.Context, client.StoppedEvent) { stopped <- "b" })
		go first.serve()
		must(t, background(func() error { return b.Start(t.Context()) }))
		loser := <-stopped
		if n := s.dials(); n > 40 {
			t.Errorf("%d connections until %s gave up", n, loser)
		}
		time.Sleep(time.Hour)
		if n := s.dials(); n > 1 || len(stopped) > 0 {
			t.Errorf("%d connections of the one that is left, stopped: %d", n, len(stopped))
		}
	})
}

// A frame that makes a proxy fail is not sent again without a limit, even if the
// connection works otherwise.
func TestCallThatBreaksEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		c, p, _ := start(t, s, client.Options{MessageRetry: client.RetryOptions{MaxRetries: -1}})
		sends := 0
		serve := func(p *peer) {
			for {
				data, err := p.next()
				if err != nil {
					return
				}
				if strings.Contains(data, "sendToGroup") {
					sends++
					time.Sleep(2 * time.Second) // long enough to restore the budget
					p.cut()
				}
			}
		}
		go serve(p)
		s.answerAll(serve)
		err := c.SendToGroup(t.Context(), "g", webpubsub.Text("x"), nil)
		if !errors.Is(err, client.ErrConnectionLost) || sends != 101 {
			t.Errorf("%v after %d sends", err, sends)
		}
	})
}

// An attempt to recover does not time out while data is received: the first frame may
// be large and the network slow.
func TestRecoveryOverASlowNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t)
		slow := false
		_, p, e := start(t, s, client.Options{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := s.dial(ctx, network, addr)
			if slow && err == nil {
				conn = &slowConn{Conn: conn, rate: 50_000}
			}
			return conn, err
		}})
		e.take()
		slow = true
		p.cut()
		p = s.next()
		go p.serve()
		began := time.Now()
		p.message(1, strings.Repeat("x", 1<<20))
		synctest.Wait()
		time.Sleep(time.Minute)
		if got := e.take(); !strings.HasPrefix(got, "recovering c1\nrecovered c1\nroom bob: xxx") {
			t.Errorf("after %v: %.100s", time.Since(began), got)
		}
	})
}
