package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

// restless is a client whose connection is lost every now and then, often while
// something is under way, and that comes back to its session at once.
type restless struct {
	t    *testing.T
	srv  *emulator.Server
	id   string
	dice *rand.Rand
	link *mqttClient
	cuts int
}

func (r *restless) connect() {
	r.t.Helper()
	p := mqtt.Connect{ClientID: r.id}
	p.Properties.AddInt(mqtt.SessionExpiry, 30)
	r.link, _ = dialMQTT(r.t, r.srv, dialOptions{roles: anything}, &p)
}

// exchange sends a packet and waits for one of that kind. Where the connection is
// lost it connects anew and returns nil.
func (r *restless) exchange(p mqtt.Packet, want func(mqtt.Packet) bool) mqtt.Packet {
	r.t.Helper()
	if p != nil {
		_ = r.link.ws.WriteMessage(websocket.BinaryMessage, r.link.version.Append(nil, p))
	}
	for {
		if r.dice.IntN(5) == 0 {
			r.cuts++
			if r.dice.IntN(2) == 0 { // else the session is taken over from a connection that stands
				_ = r.link.ws.NetConn().Close()
			}
			r.connect()
			return nil
		}
		got, err := r.link.next()
		if err != nil {
			r.t.Errorf("%s: %v", r.id, err)
			return nil
		}
		if want(got) {
			return got
		}
	}
}

// acknowledged repeats what makes does until an acknowledgement of the kind comes.
func (r *restless) acknowledged(kind mqtt.Type, id uint16, makes func(again bool) mqtt.Packet) {
	for again := false; !r.t.Failed(); again = true {
		got := r.exchange(makes(again), func(p mqtt.Packet) bool {
			a, ok := p.(*mqtt.Ack)
			return ok && a.Kind == kind && a.PacketID == id
		})
		if got != nil {
			return
		}
	}
}

// A message of QoS 2 arrives once, and in order, through any number of losses of
// either connection.
func TestMQTTExactlyOnceThroughCuts(t *testing.T) {
	const messages = 200
	srv := emulator.StartT(t, emulator.Options{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	to := &restless{t: t, srv: srv, id: "to", dice: rand.New(rand.NewPCG(seed, 1))}
	to.connect()
	to.link.subscribe("t", 2)
	from := &restless{t: t, srv: srv, id: "from", dice: rand.New(rand.NewPCG(seed, 2))}
	from.connect()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for n := range messages {
			id := uint16(n + 1)
			from.acknowledged(mqtt.TypePubrec, id, func(again bool) mqtt.Packet {
				p := withQoS(2, id, message("t", "", fmt.Sprint(n)))
				p.Dup = again
				return p
			})
			from.acknowledged(mqtt.TypePubcomp, id, func(bool) mqtt.Packet { return step(mqtt.TypePubrel, id) })
		}
	}()
	held := make(map[uint16]bool)
	end := time.Now().Add(patience)
	var answer mqtt.Packet
	for due := 0; due < messages && !t.Failed() && time.Now().Before(end); {
		got := to.exchange(answer, func(mqtt.Packet) bool { return true })
		answer = nil
		switch p := got.(type) {
		case *mqtt.Publish:
			if !held[p.PacketID] {
				if string(p.Payload) != fmt.Sprint(due) {
					t.Errorf("got message %s, want %d", p.Payload, due)
				}
				held[p.PacketID] = true
				due++
			}
			answer = step(mqtt.TypePubrec, p.PacketID)
		case *mqtt.Ack:
			delete(held, p.PacketID)
			answer = step(mqtt.TypePubcomp, p.PacketID)
		}
	}
	<-sent
	t.Logf("%d cuts", to.cuts+from.cuts)
}
