package handler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// exampleHandler returns a handler that does not log.
func exampleHandler() *handler.Handler {
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		panic(err)
	}
	return h
}

func ExampleNew() {
	h, err := handler.New(handler.Options{
		// In a program: os.Getenv("WebPubSubConnectionString").
		ConnectionStrings: []string{"Endpoint=https://name.webpubsub.azure.com;AccessKey=secret;Version=1.0;"},
		Hubs:              []string{"chat"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text("you said " + e.Message.String())}, nil
	})
	http.Handle("/eventhandler", h)

	// What the service would send:
	res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("hi"), &handlertest.Options{
		AccessKeys: []string{"secret"}, Origin: "name.webpubsub.azure.com",
	}))
	fmt.Println(res.Status, res.Message())
	// Output: 200 you said hi
}

// New returns an error if no verification is configured.
func ExampleNew_unverified() {
	_, err := handler.New(handler.Options{AllowedOrigins: []string{"name.webpubsub.azure.com"}})
	fmt.Println(err)
	// Output: handler: no event verification configured: set Options.ConnectionStrings, Options.AccessKeys or Options.Entra (or, for development only, Options.DangerouslySkipVerification)
}

// A resource without access keys sends tokens of its managed identity.
func ExampleEntraOptions() {
	_, err := handler.New(handler.Options{
		AllowedOrigins: []string{"name.webpubsub.azure.com"},
		Entra: &handler.EntraOptions{
			TenantID:   "11111111-2222-3333-4444-555555555555",
			Audiences:  []string{"api://my-app"},
			Principals: []string{"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"}, // object id of the identity
		},
	})
	fmt.Println(err)
	// Output: <nil>
}

// The abuse protection request of the service.
func ExampleHandler_ServeHTTP_preflight() {
	h := exampleHandler()
	for _, origin := range []string{"localhost", "evil.example"} {
		res := handlertest.Do(h, handlertest.ValidationRequest(origin))
		fmt.Printf("%d %q\n", res.Status, res.Header.Get("WebHook-Allowed-Origin"))
	}
	// Output:
	// 200 "localhost"
	// 400 ""
}

func ExampleHandler_OnConnect() {
	h := exampleHandler()
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if r.UserID == "" {
			return nil, handler.Reject(http.StatusUnauthorized, "sign in first")
		}
		return &handler.ConnectResponse{
			Groups: []string{"lobby"},
			Roles:  []string{webpubsub.RoleSendToGroup("lobby")},
		}, nil
	})

	res := handlertest.Do(h, handlertest.Connect("chat", "conn1", &handlertest.Options{UserID: "alice"}))
	fmt.Println(res.Status, string(res.Body))
	res = handlertest.Do(h, handlertest.Connect("chat", "conn2", nil))
	fmt.Println(res.Status, string(res.Body))
	// Output:
	// 200 {"groups":["lobby"],"roles":["webpubsub.sendToGroup.lobby"]}
	// 401 sign in first
}

// Selecting one of the subprotocols that a client offers.
func ExampleConnectResponse() {
	h := exampleHandler()
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		const mine = "chat.v2"
		if !slices.Contains(r.Subprotocols, mine) {
			return nil, handler.Reject(http.StatusBadRequest, "the client must support "+mine)
		}
		return &handler.ConnectResponse{Subprotocol: mine}, nil
	})
	res := handlertest.Do(h, handlertest.Connect("chat", "conn1", &handlertest.Options{Subprotocols: []string{"chat.v1", "chat.v2"}}))
	fmt.Println(*res.Accepted().Subprotocol)
	// Output: chat.v2
}

func ExampleHandler_OnEvent() {
	h := exampleHandler()
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		if len(e.Message.Data) > 5 {
			return nil, handler.Reject(http.StatusBadRequest, "too long")
		}
		return &handler.EventResponse{Message: webpubsub.Text("ok")}, nil
	})
	for _, text := range []string{"hi", "hello, world"} {
		res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text(text), nil))
		fmt.Println(res.Status, string(res.Body))
	}
	// Output:
	// 200 ok
	// 400 too long
}

func ExampleJSONEvent() {
	type order struct {
		Item  string `json:"item"`
		Count int    `json:"count"`
	}
	h := exampleHandler()
	h.OnEvent("order", handler.JSONEvent(func(_ context.Context, e *handler.UserEvent, o order) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.MustJSON(map[string]any{"ordered": o.Count, "of": o.Item})}, nil
	}))
	res := handlertest.Do(h, handlertest.UserEvent("shop", "conn1", "order", webpubsub.MustJSON(order{"tea", 2}), nil))
	fmt.Println(res.Message())
	res = handlertest.Do(h, handlertest.UserEvent("shop", "conn1", "order", webpubsub.Text("tea!"), nil))
	fmt.Println(res.Status)
	// Output:
	// {"of":"tea","ordered":2}
	// 400
}

// Counting the messages of each connection without a database.
func ExampleStateValue() {
	h := exampleHandler()
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		n, err := handler.StateValue[int](e.State(), "n")
		if err != nil {
			return nil, err
		}
		return &handler.EventResponse{
			Message: webpubsub.Text(fmt.Sprint("message ", n+1)),
			State:   map[string]any{"n": n + 1},
		}, nil
	})
	state := map[string]any{}
	for range 3 {
		res := handlertest.Do(h, handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), &handlertest.Options{State: state}))
		fmt.Println(res.Message())
		if next, ok := res.State(); ok { // the service sends it with the next event
			state["n"] = next["n"]
		}
	}
	// Output:
	// message 1
	// message 2
	// message 3
}

// One handler for two hubs.
func ExampleHandler_Hub() {
	h := exampleHandler()
	h.OnEvent("message", replyText("hello from any hub"))
	h.Hub("news").OnEvent("message", replyText("hello from news"))
	for _, hub := range []string{"chat", "news"} {
		fmt.Println(handlertest.Do(h, handlertest.UserEvent(hub, "conn1", "message", webpubsub.Text("x"), nil)).Message())
	}
	// Output:
	// hello from any hub
	// hello from news
}

// Sending to the other members of a group with the service client.
func ExampleEvent_SendToGroup() {
	sender := &fakeSender{name: "service"} // in a program: a *service.Client
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{handlertest.ConnectionString},
		Sender:            sender,
		Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.OnConnected(func(ctx context.Context, e *handler.ConnectedEvent) error {
		return e.SendToGroup(ctx, "lobby", webpubsub.Text(e.UserID+" is here"),
			&webpubsub.SendOptions{Excluded: []string{e.ConnectionID}})
	})
	handlertest.Do(h, handlertest.Connected("chat", "conn1", &handlertest.Options{UserID: "alice"}))
	fmt.Println(sender.sent[0])
	// Output: service group lobby alice is here true
}

// Converting an event for another CloudEvents system.
func ExampleEvent_CloudEvent() {
	h := exampleHandler()
	h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
		ce, err := e.CloudEvent()
		if err != nil {
			return err
		}
		b, err := json.MarshalIndent(ce, "", "  ")
		fmt.Println(string(b))
		return err
	})
	handlertest.Do(h, handlertest.Disconnected("chat", "conn1", "bye", nil))
	// Output:
	// {
	//   "specversion": "1.0",
	//   "id": "1",
	//   "source": "/hubs/chat/client/conn1",
	//   "type": "azure.webpubsub.sys.disconnected",
	//   "datacontenttype": "application/json; charset=utf-8",
	//   "time": "2026-01-02T03:04:05Z",
	//   "data": {
	//     "reason": "bye"
	//   },
	//   "awpsversion": "1.0",
	//   "connectionid": "conn1",
	//   "eventname": "disconnected",
	//   "hub": "chat"
	// }
}

func ExampleRejectMQTT() {
	h := exampleHandler()
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if r.MQTT != nil && r.MQTT.Username != "sensor" {
			return nil, handler.RejectMQTT(handler.MQTT5BadUserNameOrPassword, "unknown user")
		}
		return nil, nil
	})
	res := handlertest.Do(h, handlertest.Connect("iot", "client1", &handlertest.Options{
		PhysicalConnectionID: "p1",
		MQTTConnect:          &handler.MQTTConnect{ProtocolVersion: 5, Username: "x"},
	}))
	fmt.Println(res.Status, string(res.Body))
	// Output: 401 {"mqtt":{"code":134,"reason":"unknown user"}}
}
