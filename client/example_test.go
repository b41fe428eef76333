package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// local starts an emulator whose event handler replies to every event, and returns a
// credential for the user alice. A real program gets the URL from its negotiate
// endpoint.
func local() (client.Credential, func()) {
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprintf(w, "%s!", body)
		}
	}))
	srv, err := emulator.Start(emulator.Options{Hubs: map[string]emulator.HubSettings{
		"chat": {EventHandlers: []emulator.EventHandler{{URL: events.URL, UserEvents: "*"}}},
	}})
	if err != nil {
		panic(err)
	}
	hub, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		panic(err)
	}
	credential := func(ctx context.Context) (string, error) {
		token, err := hub.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{
			UserID: "alice",
			Roles:  []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToGroup("room")},
		})
		return token.URL, err
	}
	return credential, func() { _ = srv.Close(); events.Close() }
}

// started returns a client that is connected to an emulator.
func started() (*client.Client, func()) {
	credential, end := local()
	c, err := client.New(credential, client.Options{})
	if err != nil {
		panic(err)
	}
	if err := c.Start(context.Background()); err != nil {
		panic(err)
	}
	return c, func() { _ = c.Stop(context.Background()); end() }
}

func Example() {
	credential, end := local()
	defer end()
	ctx := context.Background()

	c, err := client.New(credential, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	arrived := make(chan bool)
	c.OnConnected(func(_ context.Context, e client.ConnectedEvent) { fmt.Println("connected as", e.UserID) })
	c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) {
		fmt.Printf("%s in %s: %s\n", m.FromUserID, m.Group, m.Message)
		close(arrived)
	})
	c.OnDisconnected(func(context.Context, client.DisconnectedEvent) { fmt.Println("disconnected") })
	if err := c.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if err := c.JoinGroup(ctx, "room", nil); err != nil {
		fmt.Println(err)
	}
	if err := c.SendToGroup(ctx, "room", webpubsub.Text("hello"), nil); err != nil {
		fmt.Println(err)
	}
	<-arrived
	if err := c.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// connected as alice
	// alice in room: hello
	// disconnected
}

func ExampleNew() {
	// The negotiate endpoint of the application is called for each new connection.
	negotiate := func(ctx context.Context) (string, error) {
		return "", errors.New("connection refused")
	}
	c, err := client.New(negotiate, client.Options{Protocol: client.ReliableProtobuf})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Start(context.Background()))
	// Output: client: start: credential: connection refused
}

func ExampleClient_JoinGroup() {
	c, stop := started()
	defer stop()
	fmt.Println(c.JoinGroup(context.Background(), "room", nil))
	fmt.Println(c.LeaveGroup(context.Background(), "room", nil))
	// Output:
	// <nil>
	// <nil>
}

func ExampleClient_SendToGroup() {
	c, stop := started()
	defer stop()
	ctx := context.Background()
	o := &client.SendToGroupOptions{NoEcho: true}
	fmt.Println(c.SendToGroup(ctx, "room", webpubsub.MustJSON(map[string]string{"text": "hello"}), o))

	err := c.SendToGroup(ctx, "elsewhere", webpubsub.Text("hello"), o)
	fmt.Println(errors.Is(err, client.ErrForbidden), err)
	// Output:
	// <nil>
	// true client: send to group "elsewhere": service error: Forbidden: The client does not have permission to send to group 'elsewhere'.
}

func ExampleClient_SendEvent() {
	c, stop := started()
	defer stop()
	reply := make(chan webpubsub.Message)
	c.OnServerMessage(func(_ context.Context, m client.ServerMessage) { reply <- m.Message })
	if err := c.SendEvent(context.Background(), "greet", webpubsub.Text("hello"), nil); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-reply)
	// Output: hello!
}

func ExampleClient_Invoke() {
	c, stop := started()
	defer stop()
	fmt.Println(c.Invoke(context.Background(), "greet", webpubsub.Text("hello"), nil))
	// Output: hello! <nil>
}

func ExampleClient_OpenStream() {
	c, stop := started()
	defer stop()
	ctx := context.Background()
	done := make(chan bool)
	c.OnStream(func(_ context.Context, s *client.IncomingStream) {
		defer close(done)
		for m, err := range s.Messages(ctx) {
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%s ", m.Data)
		}
		fmt.Println("end")
	})
	if err := c.JoinGroup(ctx, "room", nil); err != nil {
		fmt.Println(err)
	}
	out, err := c.OpenStream(ctx, "room", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, word := range []string{"one", "two", "three"} {
		fmt.Fprint(out, word) // or Send, for other kinds of messages
	}
	if err := out.End(ctx); err != nil {
		fmt.Println(err)
	}
	<-done
	// Output: one two three end
}

func ExampleClient_SubscribeGroupState() {
	c, stop := started()
	defer stop()
	ctx := context.Background()
	changed := make(chan bool, 10)
	c.OnGroupStateChanged(func(context.Context, client.GroupStateChangedEvent) { changed <- true })
	if err := c.JoinGroup(ctx, "room", nil); err != nil {
		fmt.Println(err)
	}
	if err := c.SetGroupState(ctx, "room", map[string]string{"activity": "typing"}, nil); err != nil {
		fmt.Println(err)
	}
	if err := c.SubscribeGroupState(ctx, "room", nil); err != nil {
		fmt.Println(err)
	}
	<-changed
	entries, err := c.GroupState("room")
	for _, e := range entries {
		fmt.Println(e.UserID, e.State, err)
	}
	// Output: alice map[activity:typing] <nil>
}
