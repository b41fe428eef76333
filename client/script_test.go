package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/client"
)

const accessURL = "ws://test/client/hubs/chat?access_token=secret"

// script is a service whose frames are sent and checked by a test, over connections in
// memory. It is used in a synctest bubble.
type script struct {
	t        *testing.T
	http     *http.Server
	accept   chan net.Conn
	peers    chan *peer
	requests chan *http.Request
	closed   chan struct{}

	mu     sync.Mutex
	refuse func(*http.Request) (status int, body string)
	down   bool
}

// peer is the service's end of a connection.
type peer struct {
	t       *testing.T
	ws      *websocket.Conn
	request *http.Request
	writing chan struct{} // a mutex that counts as blocking in a bubble
}

func newScript(t *testing.T) *script {
	s := &script{
		t: t, accept: make(chan net.Conn), peers: make(chan *peer, 100),
		requests: make(chan *http.Request, 10000), closed: make(chan struct{}),
	}
	s.http = &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { _ = s.http.Serve(s); close(done) }()
	// Because of the pings, a test that blocks is no deadlock, and would never end.
	tooLong := time.AfterFunc(30*24*time.Hour, func() { panic("the test does not end") })
	t.Cleanup(func() {
		tooLong.Stop()
		close(s.closed)
		_ = s.http.Close()
		<-done
	})
	return s
}

// Accept, Close and Addr make the script a net.Listener.
func (s *script) Accept() (net.Conn, error) {
	select {
	case c := <-s.accept:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}
func (s *script) Close() error   { return nil }
func (s *script) Addr() net.Addr { return &net.TCPAddr{} }

func (s *script) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, errors.New("the network is down")
	}
	near, far := net.Pipe()
	select {
	case s.accept <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *script) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *script) setRejection(f func(*http.Request) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

var upgrader = websocket.Upgrader{Subprotocols: []string{
	"json.webpubsub.azure.v1", "json.reliable.webpubsub.azure.v1",
	"protobuf.webpubsub.azure.v1", "protobuf.reliable.webpubsub.azure.v1",
}}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests <- r
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if refuse != nil {
		if status, body := refuse(r); status > 0 {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	s.peers <- &peer{t: s.t, ws: ws, request: r, writing: make(chan struct{}, 1)}
}

// next is the next connection that the client makes.
func (s *script) next() *peer {
	s.t.Helper()
	select {
	case p := <-s.peers:
		s.t.Cleanup(func() { _ = p.ws.Close() })
		return p
	case <-time.After(time.Hour):
		s.t.Fatal("the client did not connect")
		return nil
	}
}

// hello is next, and sends the connected frame of a reliable connection.
func (s *script) hello(id string) *peer {
	s.t.Helper()
	p := s.next()
	p.hello(id)
	return p
}

func (p *peer) hello(id string) {
	p.t.Helper()
	p.send(`{"type":"system","event":"connected","userId":"alice","connectionId":%q,"reconnectionToken":"token-of-%s"}`, id, id)
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if err := p.write(fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Errorf("the service cannot send: %v", err)
	}
}

func (p *peer) write(b []byte) error {
	p.writing <- struct{}{}
	defer func() { <-p.writing }()
	return p.ws.WriteMessage(websocket.TextMessage, b)
}

// next returns the next frame of the client that is not a ping.
func (p *peer) next() (string, error) {
	for {
		_, data, err := p.ws.ReadMessage()
		if err != nil || string(data) != `{"type":"ping"}` {
			return string(data), err
		}
		// The client may have ended the connection.
		_ = p.write([]byte(`{"type":"pong"}`))
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got, err := p.next(); err != nil || got != want {
		p.t.Fatalf("the client sent %s (%v)\nwant %s", got, err, want)
	}
}

// frame contains the members of most frames of a client.
type frame struct {
	Type, Group, Event, StreamID, InvocationID string
	AckID, SequenceID, StreamSequenceID        *uint64
	NoEcho                                     bool
	DataType                                   string
	Data                                       json.RawMessage
}

func (p *peer) read(kind string) frame {
	p.t.Helper()
	data, err := p.next()
	if err != nil {
		p.t.Fatalf("the service cannot read: %v, want a frame of type %s", err, kind)
	}
	var f frame
	if err := json.Unmarshal([]byte(data), &f); err != nil || f.Type != kind {
		p.t.Fatalf("the client sent %s (%v), want type %s", data, err, kind)
	}
	return f
}

// grant acknowledges the next frame and returns it.
func (p *peer) grant(kind string) frame {
	p.t.Helper()
	f := p.read(kind)
	p.ack(*f.AckID)
	return f
}

// join makes the client join a group.
func (p *peer) join(c *client.Client, group string) {
	p.t.Helper()
	joined := background(func() error { return c.JoinGroup(p.t.Context(), group, nil) })
	p.grant("joinGroup")
	must(p.t, joined)
}

func (p *peer) ack(id uint64) {
	p.t.Helper()
	p.send(`{"type":"ack","ackId":%d,"success":true}`, id)
}

func (p *peer) refuse(id uint64, name string) {
	p.t.Helper()
	p.send(`{"type":"ack","ackId":%d,"success":false,"error":{"name":%q,"message":"because"}}`, id, name)
}

const messageFormat = `{"sequenceId":%d,"type":"message","from":"group","group":"room","fromUserId":"bob","dataType":"text","data":%q}`

func (p *peer) message(seq int, text string) {
	p.t.Helper()
	p.send(messageFormat, seq, text)
}

// close sends a close frame and waits for that of the client.
func (p *peer) close(code int, reason string) {
	p.t.Helper()
	p.sendClose(code, reason)
	for {
		if _, _, err := p.ws.ReadMessage(); err != nil {
			break
		}
	}
	_ = p.ws.Close()
}

// sendClose sends a close frame. It can be called while serve reads.
func (p *peer) sendClose(code int, reason string) {
	_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}

// cut closes the network connection without a close frame.
func (p *peer) cut() { _ = p.ws.NetConn().Close() }

// closeCode reads to the end and returns the close code of the client.
func (p *peer) closeCode() int {
	for {
		_, _, err := p.ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			_ = p.ws.Close()
			return closed.Code
		case err != nil:
			return 1006
		}
	}
}

// serve answers pings and acknowledges requests until the link ends.
func (p *peer) serve() {
	for {
		data, err := p.next()
		if err != nil {
			_ = p.ws.Close()
			return
		}
		var f frame
		if json.Unmarshal([]byte(data), &f) == nil && f.AckID != nil {
			p.ack(*f.AckID)
		}
	}
}

// events records the calls of the callbacks.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

// take returns the calls since the last one, when all goroutines are blocked.
func (e *events) take() string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	out := strings.Join(e.list, "\n")
	e.list = nil
	return out
}

func (e *events) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := e.take(); got != strings.Join(want, "\n") {
		t.Errorf("events:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func watch(c *client.Client) *events {
	e := &events{}
	c.OnConnected(func(_ context.Context, v client.ConnectedEvent) { e.add("connected %s %s", v.ConnectionID, v.UserID) })
	c.OnRecovering(func(_ context.Context, v client.RecoveringEvent) { e.add("recovering %s", v.ConnectionID) })
	c.OnRecovered(func(_ context.Context, v client.RecoveredEvent) { e.add("recovered %s", v.ConnectionID) })
	c.OnDisconnected(func(_ context.Context, v client.DisconnectedEvent) {
		e.add("disconnected %s %d %q tried=%v", v.ConnectionID, v.Code, v.Reason, v.RecoveryAttempted)
	})
	c.OnStopped(func(_ context.Context, v client.StoppedEvent) { e.add("stopped %v", v.Err) })
	c.OnGroupMessage(func(_ context.Context, v client.GroupMessage) {
		e.add("%s %s: %s %d", v.Group, v.FromUserID, v.Message, v.SequenceID)
	})
	c.OnServerMessage(func(_ context.Context, v client.ServerMessage) { e.add("server: %s %d", v.Message, v.SequenceID) })
	c.OnRejoinFailed(func(_ context.Context, v client.RejoinFailedEvent) { e.add("rejoin failed %s: %v", v.Group, v.Err) })
	c.OnGroupStateChanged(func(_ context.Context, v client.GroupStateChangedEvent) { e.add("state of %s", v.Group) })
	return e
}

// start returns a client that is connected to the script as "c1".
func start(t *testing.T, s *script, o client.Options) (*client.Client, *peer, *events) {
	t.Helper()
	c, e := prepare(t, s, o)
	return c, begin(t, s, c), e
}

func prepare(t *testing.T, s *script, o client.Options) (*client.Client, *events) {
	t.Helper()
	if o.DialContext == nil {
		o.DialContext = s.dial
	}
	c, err := client.New(client.URL(accessURL), o)
	if err != nil {
		t.Fatal(err)
	}
	e := watch(c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Stop(ctx)
	})
	return c, e
}

func begin(t *testing.T, s *script, c *client.Client) *peer {
	t.Helper()
	started := background(func() error { return c.Start(t.Context()) })
	p := s.hello("c1")
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return p
}

// background runs a call that waits for the service.
func background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func must(t *testing.T, done <-chan error) {
	t.Helper()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
