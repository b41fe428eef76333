package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/delivery"
	"example.com/webpubsub/service"
)

const hub = "chaos"

// network is the network of a run.
type network struct {
	// web connects to the REST API, clients to the WebSocket endpoint; the address
	// is ignored. REST connections are not interrupted: a publisher could not tell
	// whether its request was processed.
	web, clients func(ctx context.Context, network, addr string) (net.Conn, error)
	// cut resets the client connection that choose selects; data in transit is lost.
	// It reports false if there is none.
	cut func(choose func(n int) int) bool
}

// run is a run: the clients of a service, and the faults that are injected.
type run struct {
	t        *testing.T
	seed     uint64
	steps    int // that each client takes
	net      network
	chat     *service.Client
	web      *http.Transport
	recorder *delivery.Recorder
	people   []*person
	// faults injects faults into the emulator; may be nil.
	faults func(emulator.Fault) *emulator.InjectedFault
	// foreign creates the settled clients; may be nil.
	foreign func(name, url string) peer

	cuts, recoveries atomic.Int64
}

// peer is a client of this module or of another SDK.
type peer interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	JoinGroup(ctx context.Context, group string) error
	LeaveGroup(ctx context.Context, group string) error
	Publish(ctx context.Context, group, text string, noEcho bool) error
	ConnectionID() string
}

// streamer is a peer that can publish several texts as one stream.
type streamer interface {
	Stream(ctx context.Context, group string, texts []string, noEcho bool) error
}

// person is a client that makes calls at random.
type person struct {
	run     *run
	name    string
	rand    *rand.Rand
	peer    peer
	settled bool // it never starts anew
	groups  []string
}

var groups = []string{"red", "green", "blue"}

const crowd = 8 // clients in a run

func newRun(t *testing.T, seed uint64, connectionString string, n network) *run {
	r := &run{t: t, seed: seed, steps: 150, net: n, recorder: delivery.NewRecorder(), web: &http.Transport{DialContext: n.web}}
	var err error
	r.chat, err = service.NewClientFromConnectionString(connectionString, hub, &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: r.web}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// random returns the random numbers of one actor: the decisions of a run depend only on
// its seed, and not on how goroutines are scheduled.
func (r *run) random(actor int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(actor))) }

func (r *run) newPerson(i int) *person {
	p := &person{run: r, name: fmt.Sprintf("p%d", i), rand: r.random(i), settled: i%2 == 0}
	if p.settled && r.foreign != nil {
		p.peer = r.foreign(p.name, r.token(p.name))
	} else {
		p.peer = r.newClient(i, p.name)
	}
	return p
}

func (r *run) token(user string) string {
	token, err := r.chat.GetClientAccessToken(r.t.Context(), &service.GetClientAccessTokenOptions{
		UserID: user, Roles: []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup},
	})
	if err != nil {
		r.t.Error(err)
	}
	return token.URL
}

// goClient is the client of this repository.
type goClient struct{ *client.Client }

func (c goClient) JoinGroup(ctx context.Context, group string) error {
	return c.Client.JoinGroup(ctx, group, nil)
}

func (c goClient) LeaveGroup(ctx context.Context, group string) error {
	return c.Client.LeaveGroup(ctx, group, nil)
}

func (c goClient) Publish(ctx context.Context, group, text string, noEcho bool) error {
	return c.SendToGroup(ctx, group, webpubsub.Text(text), &client.SendToGroupOptions{NoEcho: noEcho})
}

func (c goClient) Stream(ctx context.Context, group string, texts []string, noEcho bool) error {
	out, err := c.OpenStream(ctx, group, &client.OpenStreamOptions{NoEcho: noEcho})
	for errors.Is(err, client.ErrNotConnected) {
		time.Sleep(50 * time.Millisecond)
		out, err = c.OpenStream(ctx, group, &client.OpenStreamOptions{NoEcho: noEcho})
	}
	if err != nil {
		return err
	}
	for _, text := range texts {
		if err := out.Send(ctx, webpubsub.Text(text)); err != nil {
			return err
		}
	}
	return out.End(ctx)
}

func (r *run) newClient(i int, name string) peer {
	o := client.Options{
		DialContext:  r.net.clients,
		MessageRetry: client.RetryOptions{MaxRetries: 1000, MaxRetryDelay: 2 * time.Second}, // no call fails
		// Connections are cut more often than they can prove themselves, each time
		// for less than the service keeps them.
		RecoveryWindow: time.Hour,
	}
	if i%4 > 1 {
		o.Protocol = client.ReliableProtobuf
	}
	c, err := client.New(func(context.Context) (string, error) { return r.token(name), nil }, o)
	if err != nil {
		r.t.Fatal(err)
	}
	slow, pause := i%4 == 3, r.random(1000+i)
	var connectionID string // of the messages that come; callbacks come in order
	c.OnConnected(func(_ context.Context, e client.ConnectedEvent) { connectionID = e.ConnectionID })
	c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) {
		if slow && pause.IntN(4) == 0 {
			time.Sleep(time.Duration(pause.IntN(100)) * time.Millisecond)
		}
		if m.Stream != nil && m.Stream.EndOfStream {
			return // it says that a stream is over, and nothing else
		}
		r.recorder.Received(name, connectionID, m.SequenceID, m.Group, m.Message.String())
	})
	c.OnRecovered(func(context.Context, client.RecoveredEvent) { r.recoveries.Add(1) })
	c.OnDisconnected(func(_ context.Context, d client.DisconnectedEvent) {
		if d.Err != nil {
			r.t.Errorf("%s lost its connection: %v", name, d.Err)
		}
	})
	return goClient{c}
}

// all plays the run and reports the violations.
func (r *run) all() {
	r.play()
	r.settle()
	r.stop()
	for _, violation := range r.recorder.Check() {
		r.t.Error(violation)
	}
	r.t.Logf("seed %d: %v, %d cuts, %d recoveries", r.seed, r.recorder, r.cuts.Load(), r.recoveries.Load())
	if r.t.Failed() {
		r.t.Errorf("the decisions of this run can be replayed: %s=%d go test -run 'TestReliableDeliveryWithFaults$' ./internal/test/delivery", seedEnv, r.seed)
	}
}

// play lets all persons act until each has taken its steps.
func (r *run) play() {
	ctx := r.t.Context()
	for i := range crowd {
		r.people = append(r.people, r.newPerson(i))
	}
	for _, p := range r.people {
		if err := p.peer.Start(ctx); err != nil {
			r.t.Fatal(err)
		}
	}
	var actors, troubles sync.WaitGroup
	over := make(chan struct{})
	for _, p := range r.people {
		actors.Go(func() {
			for range r.steps {
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
	l := p.run.recorder
	switch n := p.rand.IntN(100); {
	case n < 20:
		time.Sleep(time.Duration(p.rand.IntN(500)) * time.Millisecond)
	case n < 35 && !member:
		l.Joining(p.name, group)
		p.must(p.peer.JoinGroup(ctx, group), "join")
		l.Joined(p.name, group)
		p.groups = append(p.groups, group)
	case n < 45 && member:
		l.Leaving(p.name, group)
		p.must(p.peer.LeaveGroup(ctx, group), "leave")
		l.Left(p.name, group)
		p.groups = slices.DeleteFunc(p.groups, func(g string) bool { return g == group })
	case n < 47 && !p.settled:
		p.startAnew(ctx)
	default:
		noEcho := p.rand.IntN(3) == 0
		var except []string
		if noEcho {
			except = []string{p.name}
		}
		if s, ok := p.peer.(streamer); ok && n > 90 {
			p.stream(ctx, s, group, noEcho, except)
			return
		}
		m := l.Send(p.name, group, except...)
		err := p.peer.Publish(ctx, group, m.Text(), noEcho)
		l.Sent(m, err)
		p.must(err, "send")
	}
}

// stream sends some messages as a stream.
func (p *person) stream(ctx context.Context, s streamer, group string, noEcho bool, except []string) {
	var parts []*delivery.Message
	var texts []string
	for range 1 + p.rand.IntN(5) {
		m := p.run.recorder.Send(p.name, group, except...)
		parts, texts = append(parts, m), append(texts, m.Text())
	}
	err := s.Stream(ctx, group, texts, noEcho)
	for _, m := range parts {
		p.run.recorder.Sent(m, err)
	}
	// If the confirmation of the end is lost with the acknowledgements before it, the
	// stream no longer exists, and all its messages may have been delivered.
	if !errors.Is(err, &client.ServiceError{Name: "StreamNotFound"}) {
		p.must(err, "stream")
	}
}

func (p *person) must(err error, what string) {
	if err != nil {
		p.run.t.Errorf("%s could not %s: %v", p.name, what, err)
	}
}

func (p *person) startAnew(ctx context.Context) {
	p.run.recorder.Stopping(p.name)
	p.must(p.peer.Stop(ctx), "stop")
	p.run.recorder.Stopped(p.name)
	p.groups = nil
	for { // a connection that is cut in the handshake is no start
		err := p.peer.Start(ctx)
		if err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// publish sends through REST and excludes a person that does not reconnect, since a new
// connection has another ID.
func (r *run) publish(ctx context.Context) {
	dice := r.random(2000)
	for range r.steps {
		time.Sleep(time.Duration(dice.IntN(300)) * time.Millisecond)
		group := groups[dice.IntN(len(groups))]
		p := r.people[2*dice.IntN(crowd/2)]
		m := r.recorder.Send("rest", group, p.name)
		err := r.chat.SendToGroup(ctx, group, webpubsub.Text(m.Text()), &webpubsub.SendOptions{Excluded: []string{p.peer.ConnectionID()}})
		r.recorder.Sent(m, err)
		if err != nil {
			r.t.Errorf("publish: %v", err)
		}
	}
}

// trouble injects faults, each for less than the recovery window.
func (r *run) trouble(over chan struct{}) {
	dice := r.random(3000)
	var passing sync.WaitGroup
	defer passing.Wait()
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Duration(dice.IntN(250)) * time.Millisecond):
		}
		if r.faults != nil && dice.IntN(4) == 0 {
			passing.Go(r.fault(dice, over))
		} else if r.net.cut(dice.IntN) {
			r.cuts.Add(1)
		}
	}
}

// fault injects a fault of the emulator for one client. It returns a function that
// removes it.
func (r *run) fault(dice *rand.Rand, over chan struct{}) func() {
	f := emulator.Fault{UserID: r.people[dice.IntN(crowd)].name, At: emulator.AtSend, Action: emulator.ResetConnection(), Times: 1}
	lasts := time.Duration(dice.IntN(10)) * time.Second
	switch dice.IntN(6) {
	case 0: // it was done, and the client does not hear of it
		f.Frame = "ack"
	case 1: // the message is lost on its way
		f.Frame = "message"
	case 2: // it was never done
		f.At = emulator.AtReceive
	case 3: // a client that cannot be written to
		f.Action = emulator.Stall()
	case 4: // a slow one
		f.Action, f.Times = emulator.Delay(time.Duration(dice.IntN(200))*time.Millisecond), 20
	case 5: // a service that is not there for a while
		f.At, f.Action, f.Times = emulator.AtRecovery, emulator.RejectHandshake(503), 3
	}
	injected := r.faults(f)
	return func() {
		select {
		case <-over:
		case <-time.After(lasts):
		}
		injected.Remove()
		if f.Action == emulator.ResetConnection() {
			r.cuts.Add(int64(injected.Count()))
		}
	}
}

// settle waits until no message is missing.
func (r *run) settle() {
	for end := time.Now().Add(2 * time.Minute); !r.recorder.Settled() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *run) stop() {
	for _, p := range r.people {
		p.must(p.peer.Stop(r.t.Context()), "stop")
	}
	r.web.CloseIdleConnections()
}
