package emulator_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
)

func ExampleReadHubs() {
	hubs, err := emulator.ReadHubs(strings.NewReader(`{
	  "hubs": {
	    "chat": {
	      "eventHandlers": [
	        {"urlTemplate": "http://localhost:7071/api/{event}", "userEventPattern": "*"}
	      ]
	    }
	  }
	}`))
	fmt.Println(hubs["chat"].EventHandlers[0].URL, err)
	_, err = emulator.ReadHubs(strings.NewReader(`{
	  "hubs": {"chat": {"eventHandler": []}}
	}`))
	fmt.Println(err)
	// Output:
	// http://localhost:7071/api/{event} <nil>
	// line 2: hubs.chat.eventHandler: there is no such setting
}

// A handler that has no access key and trusts the emulator's managed identity,
// as it would the service's.
func ExampleServer_AuthorityHost() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	h, err := handler.New(handler.Options{
		AllowedOrigins: []string{srv.URL()},
		Entra: &handler.EntraOptions{
			AuthorityHost: srv.AuthorityHost(),
			TenantID:      emulator.TenantID,
			Principals:    []string{emulator.PrincipalID},
			Audiences:     []string{"api://my-app"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h.OnEvent("message", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: webpubsub.Text("you said " + e.Message.String())}, nil
	})
	web := httptest.NewServer(h)
	defer web.Close()
	for _, audience := range []string{"api://my-app", "api://other"} {
		err := srv.SetHub("chat", emulator.HubSettings{AllowAnonymous: true, EventHandlers: []emulator.EventHandler{{
			URL: web.URL, UserEvents: "*", SystemEvents: []string{"connect"}, Audience: audience,
		}}})
		if err != nil {
			fmt.Println(err)
			return
		}
		ws, res, err := websocket.DefaultDialer.Dial(srv.ClientURL("chat"), nil)
		if err != nil {
			fmt.Println(audience, res.Status)
			continue
		}
		_ = ws.WriteMessage(websocket.TextMessage, []byte("hello"))
		_, reply, err := ws.ReadMessage()
		fmt.Println(audience, string(reply), err)
		ws.Close()
	}
	// Output:
	// api://my-app you said hello <nil>
	// api://other 401 Unauthorized
}
