package delivery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/delivery"
	"example.com/webpubsub/service"
)

const hub = "chaos"

// seedEnv replays one run, cutsEnv asks for more cuts than a test needs.
const (
	seedEnv = "WEBPUBSUB_DELIVERY_SEED"
	cutsEnv = "WEBPUBSUB_DELIVERY_CUTS"
)

// TestNothingIsLost lets clients join, leave, publish and start anew while their
// connections are cut, stalled and slowed down, in virtual time, until there
// were ten thousand cuts.
func TestNothingIsLost(t *testing.T) {
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		virtualRun(t, seed)
		return
	}
	want := 10_000
	if testing.Short() {
		want = 500
	}
	if n, err := strconv.Atoi(os.Getenv(cutsEnv)); err == nil {
		want = n
	}
	cuts := 0
	for seed := rand.Uint64N(1 << 32); cuts < want; seed++ {
		cuts += virtualRun(t, seed)
		if t.Failed() {
			t.Fatalf("replay with %s=%d go test -run TestNothingIsLost ./internal/delivery", seedEnv, seed)
		}
	}
	t.Logf("%d cuts", cuts)
}

func virtualRun(t *testing.T, seed uint64) (cuts int) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(t, seed)
		r.play()
		r.settle()
		r.stop()
		for _, broken := range r.ledger.Check() {
			t.Error(broken)
		}
		cuts = int(r.cuts.Load())
		t.Logf("seed %d: %v, %d cuts, %d recoveries", seed, r.ledger, cuts, r.recoveries.Load())
	})
	return cuts
}

// run is one run: an emulator, its clients, and what goes wrong.
type run struct {
	t       *testing.T
	seed    uint64
	srv     *emulator.Server
	chat    *service.Client
	network *emulator.MemoryListener
	web     *http.Transport
	ledger  *delivery.Ledger
	people  []*person

	cuts, recoveries atomic.Int64
}

// person is a client that acts.
type person struct {
	run     *run
	name    string
	rand    *rand.Rand
	client  *client.Client
	slow    bool // its callbacks take their time
	settled bool // it never starts anew
	groups  []string

	mu   sync.Mutex
	conn net.Conn
}

var groups = []string{"red", "green", "blue"}

const (
	crowd = 8   // clients in a run
	steps = 150 // that each of them takes
)

func newRun(t *testing.T, seed uint64) *run {
	r := &run{t: t, seed: seed, network: emulator.ListenMemory(), ledger: delivery.NewLedger()}
	r.srv = emulator.Start(t, emulator.Options{Listener: r.network})
	r.web = &http.Transport{DialContext: r.network.DialContext}
	var err error
	r.chat, err = service.NewClientFromConnectionString(r.srv.ConnectionString(), hub, &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: r.web}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range crowd {
		r.people = append(r.people, r.newPerson(i))
	}
	return r
}

// random returns the dice of one actor: the decisions of a run depend on its
// seed alone, however the goroutines take turns.
func (r *run) random(actor int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(actor))) }

func (r *run) newPerson(i int) *person {
	p := &person{run: r, name: fmt.Sprintf("p%d", i), rand: r.random(i), slow: i%4 == 3, settled: i%2 == 0}
	o := client.Options{Dialer: &websocket.Dialer{NetDialContext: p.dial}}
	if i%2 == 1 {
		o.Protocol = client.ReliableProtobuf
	}
	c, err := client.New(func(ctx context.Context) (string, error) {
		token, err := r.chat.GetClientAccessToken(ctx, &service.ClientAccessTokenOptions{
			UserID: p.name, Roles: []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup},
		})
		return token.URL, err
	}, o)
	if err != nil {
		r.t.Fatal(err)
	}
	pause := r.random(1000 + i)
	var connectionID string // of the messages that come; callbacks come in order
	c.OnConnected(func(e client.Connected) { connectionID = e.ConnectionID })
	c.OnGroupMessage(func(m client.GroupMessage) {
		if p.slow && pause.IntN(4) == 0 {
			time.Sleep(time.Duration(pause.IntN(100)) * time.Millisecond)
		}
		r.ledger.Received(p.name, connectionID, m.SequenceID, m.Group, m.Message.String())
	})
	c.OnRecovered(func(client.Recovered) { r.recoveries.Add(1) })
	c.OnDisconnected(func(d client.Disconnected) {
		if d.Err != nil {
			r.t.Errorf("%s lost its connection for good: %v", p.name, d.Err)
		}
	})
	p.client = c
	return p
}

func (p *person) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := p.run.network.DialContext(ctx, network, addr)
	if err == nil {
		p.mu.Lock()
		p.conn = conn
		p.mu.Unlock()
	}
	return conn, err
}

// cut resets the connection as a lost network does: what travels is lost.
func (p *person) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return
	}
	if l, ok := p.conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = p.conn.Close()
	p.conn = nil
	p.run.cuts.Add(1)
}

// play lets everybody act until each has taken its steps.
func (r *run) play() {
	ctx := r.t.Context()
	for _, p := range r.people {
		if err := p.client.Start(ctx); err != nil {
			r.t.Fatal(err)
		}
	}
	var actors, troubles sync.WaitGroup
	over := make(chan struct{})
	for _, p := range r.people {
		actors.Go(func() {
			for range steps {
				p.act(ctx)
			}
		})
	}
	actors.Go(func() { r.publish(ctx) })
	troubles.Go(func() { r.trouble(over) })
	actors.Wait()
	close(over)
	troubles.Wait()
}

func (p *person) act(ctx context.Context) {
	group := groups[p.rand.IntN(len(groups))]
	member := slices.Contains(p.groups, group)
	l := p.run.ledger
	switch n := p.rand.IntN(100); {
	case n < 20:
		time.Sleep(time.Duration(p.rand.IntN(500)) * time.Millisecond)
	case n < 35 && !member:
		l.Joining(p.name, group)
		p.must(p.client.JoinGroup(ctx, group), "join")
		l.Joined(p.name, group)
		p.groups = append(p.groups, group)
	case n < 45 && member:
		l.Leaving(p.name, group)
		p.must(p.client.LeaveGroup(ctx, group), "leave")
		l.Left(p.name, group)
		p.groups = slices.DeleteFunc(p.groups, func(g string) bool { return g == group })
	case n < 47 && !p.settled:
		p.startAnew(ctx)
	default:
		o := &client.SendOptions{NoEcho: p.rand.IntN(3) == 0}
		var except []string
		if o.NoEcho {
			except = []string{p.name}
		}
		m := l.Send(p.name, group, except...)
		err := p.client.SendToGroup(ctx, group, webpubsub.Text(m.Text()), o)
		l.Sent(m, err)
		p.must(err, "send")
	}
}

func (p *person) must(err error, what string) {
	if err != nil {
		p.run.t.Errorf("%s could not %s: %v", p.name, what, err)
	}
}

func (p *person) startAnew(ctx context.Context) {
	for _, g := range p.groups {
		p.run.ledger.Leaving(p.name, g)
	}
	p.must(p.client.Stop(ctx), "stop")
	for _, g := range p.groups {
		p.run.ledger.Left(p.name, g)
	}
	p.groups = nil
	for { // a connection that is cut in the handshake is no start
		err := p.client.Start(ctx)
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// publish sends over REST, past somebody who does not start anew, since a new
// connection has another id.
func (r *run) publish(ctx context.Context) {
	dice := r.random(2000)
	for range steps {
		time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
		group := groups[dice.IntN(len(groups))]
		p := r.people[2*dice.IntN(crowd/2)]
		m := r.ledger.Send("rest", group, p.name)
		err := r.chat.SendToGroup(ctx, group, webpubsub.Text(m.Text()), &webpubsub.SendOptions{Excluded: []string{p.client.ConnectionID()}})
		r.ledger.Sent(m, err)
		if err != nil {
			r.t.Errorf("publish: %v", err)
		}
	}
}

// trouble is what goes wrong, all of it for less than the recovery window.
func (r *run) trouble(over chan struct{}) {
	dice := r.random(3000)
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(dice.IntN(250)) * time.Millisecond):
		}
		r.people[dice.IntN(crowd)].cut()
	}
}

// settle waits until everything has arrived that must.
func (r *run) settle() {
	for range 120 {
		if synctest.Wait(); r.ledger.Settled() {
			break
		}
		time.Sleep(time.Second)
	}
	time.Sleep(time.Minute) // for what should not come
}

func (r *run) stop() {
	for _, p := range r.people {
		for _, g := range p.groups {
			r.ledger.Leaving(p.name, g)
		}
	}
	for _, p := range r.people {
		p.must(p.client.Stop(r.t.Context()), "stop")
	}
	r.web.CloseIdleConnections()
}
