package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

var everyProtocol = []client.Protocol{client.ReliableJSON, client.JSON, client.ReliableProtobuf, client.Protobuf}

// accessTo returns a credential for the emulator's hub "chat".
func accessTo(tb testing.TB, srv *emulator.Server, user string) client.Credential {
	tb.Helper()
	hub, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return func(ctx context.Context) (string, error) {
		token, err := hub.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{
			UserID: user,
			Roles:  []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup},
		})
		return token.URL, err
	}
}

func connect(tb testing.TB, srv *emulator.Server, user string, o client.Options, prepare func(*client.Client)) *client.Client {
	tb.Helper()
	c, err := client.New(accessTo(tb, srv, user), o)
	if err != nil {
		tb.Fatal(err)
	}
	if prepare != nil {
		prepare(c)
	}
	if err := c.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// Every subprotocol transports every type of message, through the emulator.
func TestEmulator(t *testing.T) {
	onEveryNetwork(t, everyProtocol, http.HandlerFunc(echo), func(t *testing.T, srv *site, p client.Protocol) {
		ctx := t.Context()
		group := make(chan client.GroupMessage, 10)
		server := make(chan client.ServerMessage, 10)
		c := srv.connect(t, "alice", client.Options{Protocol: p}, func(c *client.Client) {
			c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { group <- m })
			c.OnServerMessage(func(_ context.Context, m client.ServerMessage) { server <- m })
		})
		if err := c.JoinGroup(ctx, "room", nil); err != nil {
			t.Fatal(err)
		}
		messages := []webpubsub.Message{
			webpubsub.Text("text"),
			webpubsub.MustJSON(map[string]int{"n": 1}),
			webpubsub.Binary([]byte{0, 255}),
			webpubsub.Protobuf([]byte("\x0a\x07example\x12\x03xyz")),
			webpubsub.Text("with metadata").WithMetadata("key", "value"),
		}
		for _, want := range messages {
			if err := c.SendToGroup(ctx, "room", want, nil); err != nil {
				t.Fatal(err)
			}
			got := <-group
			if fmt.Sprint(got.Message) != fmt.Sprint(want) || got.Group != "room" {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if json := p == client.JSON || p == client.ReliableJSON; json && got.FromUserID != "alice" {
				t.Errorf("from %q", got.FromUserID)
			}
		}
		if err := c.SendToGroup(ctx, "room", webpubsub.Text("not for me"), &client.SendToGroupOptions{NoEcho: true}); err != nil {
			t.Fatal(err)
		}
		if err := c.SendEvent(ctx, "say", webpubsub.Text("hi"), nil); err != nil {
			t.Fatal(err)
		}
		if m := <-server; m.Message.String() != "hi" {
			t.Errorf("got %+v", m)
		}
		if m, err := c.Invoke(ctx, "say", webpubsub.MustJSON(1), nil); err != nil || m.String() != "1" {
			t.Errorf("got %+v, %v", m, err)
		}
		if err := c.LeaveGroup(ctx, "room", nil); err != nil {
			t.Fatal(err)
		}
		if err := c.SendToGroup(ctx, "room", webpubsub.Text("after leaving"), nil); err != nil {
			t.Fatal(err)
		}
		if n := len(group); n != 0 {
			t.Errorf("%d messages too many", n)
		}
	})
}

// Messages are delivered exactly once and in order while the connections of the
// publisher and the receiver are interrupted repeatedly.
func TestEmulatorWithCuts(t *testing.T) {
	onEveryNetwork(t, []client.Protocol{client.ReliableJSON, client.ReliableProtobuf}, nil, func(t *testing.T, srv *site, p client.Protocol) {
		const total = 500
		cutters := [2]cutter{{network: srv.dial}, {network: srv.dial}}
		options := func(i int) client.Options {
			return client.Options{Protocol: p, DialContext: cutters[i].dial, RecoveryInterval: time.Millisecond}
		}
		got := make(chan string, 2*total)
		receiver := srv.connect(t, "bob", options(0), func(c *client.Client) {
			c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { got <- m.Message.String() })
			c.OnDisconnected(func(_ context.Context, d client.DisconnectedEvent) {
				if d.Err != nil {
					t.Errorf("not recovered: %v", d.Err)
				}
			})
		})
		if err := receiver.JoinGroup(t.Context(), "room", nil); err != nil {
			t.Fatal(err)
		}
		sender := srv.connect(t, "alice", options(1), nil)
		for i := range total {
			if i%10 == 9 {
				cutters[i/10%2].cut()
			}
			if err := sender.SendToGroup(t.Context(), "room", webpubsub.Text(fmt.Sprint(i)), nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range total {
			if m := <-got; m != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", m, i)
			}
		}
		if len(got) > 0 {
			t.Errorf("%d messages too many, such as %s", len(got), <-got)
		}
	})
}

// The same for a stream.
func TestEmulatorStreamWithCuts(t *testing.T) {
	onEveryNetwork(t, []client.Protocol{client.ReliableJSON, client.ReliableProtobuf}, nil, func(t *testing.T, srv *site, p client.Protocol) {
		const total = 500
		cutters := [2]cutter{{network: srv.dial}, {network: srv.dial}}
		options := func(i int) client.Options {
			return client.Options{Protocol: p, DialContext: cutters[i].dial, RecoveryInterval: time.Millisecond}
		}
		streams := make(chan []string, 10)
		receiver := srv.connect(t, "bob", options(0), func(c *client.Client) {
			c.OnStream(func(_ context.Context, s *client.IncomingStream) {
				var all []string
				for m, err := range s.Messages(context.Background()) {
					if err != nil {
						t.Error(err)
					}
					all = append(all, m.String())
				}
				streams <- all
			})
		})
		if err := receiver.JoinGroup(t.Context(), "room", nil); err != nil {
			t.Fatal(err)
		}
		sender := srv.connect(t, "alice", options(1), nil)
		out, err := sender.OpenStream(t.Context(), "room", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range total {
			if i%50 == 49 {
				cutters[i/50%2].cut()
			}
			if err := out.Send(t.Context(), webpubsub.Text(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := <-streams
		if len(got) != total {
			t.Fatalf("got %d messages", len(got))
		}
		for i, m := range got {
			if m != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, m)
			}
		}
	})
}

func TestEmulatorGroupState(t *testing.T) {
	onEveryNetwork(t, everyProtocol, nil, func(t *testing.T, srv *site, p client.Protocol) {
		ctx, o := t.Context(), client.Options{Protocol: p}
		changed := make(chan string, 10)
		bob := srv.connect(t, "bob", o, func(c *client.Client) {
			c.OnGroupStateChanged(func(_ context.Context, g client.GroupStateChangedEvent) {
				entries, err := c.GroupState(g.Group)
				text := fmt.Sprint(err)
				for _, e := range entries {
					text += fmt.Sprintf(" %s %v", e.UserID, e.State)
				}
				changed <- text
			})
		})
		alice := srv.connect(t, "alice", o, nil)
		if err := errors.Join(alice.JoinGroup(ctx, "room", nil), bob.JoinGroup(ctx, "room", nil)); err != nil {
			t.Fatal(err)
		}
		if err := alice.SetGroupState(ctx, "room", map[string]string{"typing": "yes"}, nil); err != nil {
			t.Fatal(err)
		}
		if err := bob.SubscribeGroupState(ctx, "room", nil); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != "<nil> alice map[typing:yes]" {
			t.Errorf("got %s", got)
		}
		if err := alice.ClearGroupState(ctx, "room", nil); err != nil {
			t.Fatal(err)
		}
		if got := <-changed; got != "<nil>" {
			t.Errorf("got %s", got)
		}
	})
}

// cutter closes the network connection of a client.
type cutter struct {
	network func(ctx context.Context, network, addr string) (net.Conn, error)

	mu   sync.Mutex
	last io.Closer
}

func (k *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := k.network(ctx, network, addr)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = conn
	return conn, err
}

func (k *cutter) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.last.Close()
}

func TestTLS(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {AllowAnonymous: true}}})
	front := httptest.NewTLSServer(srv)
	t.Cleanup(front.Close)
	config := front.Client().Transport.(*http.Transport).TLSClientConfig
	c, err := client.New(client.URL("wss"+strings.TrimPrefix(front.URL, "https")+"/client/hubs/chat"), client.Options{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.JoinGroup(t.Context(), "g", nil); !errors.Is(err, client.ErrForbidden) {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
