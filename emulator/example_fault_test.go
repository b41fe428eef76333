package emulator_test

import (
	"context"
	"fmt"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// A client has a hard time: it is refused at first, and cut off when it waits
// for an answer.
func ExampleServer_Inject() {
	srv, err := emulator.Start(emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {AllowAnonymous: true}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	srv.Inject(emulator.Fault{At: emulator.AtHandshake, Hub: "chat", Action: emulator.RejectHandshake(503), Times: 1})
	cut := srv.Inject(emulator.Fault{At: emulator.AtSend, Frame: "pong", Action: emulator.ResetConnection()})

	dialer := websocket.Dialer{Subprotocols: []string{"json.webpubsub.azure.v1"}}
	_, resp, _ := dialer.Dial(srv.ClientURL("chat"), nil)
	fmt.Println("first try:", resp.Status)

	ws, _, err := dialer.Dial(srv.ClientURL("chat"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ws.Close()
	_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	fmt.Println("reset:", cut.Count() == 1)

	// Nothing more happens now, so the journal is complete.
	_ = srv.WaitIdle(context.Background())
	for _, e := range srv.Journal() {
		if e.Kind == emulator.EntryFault {
			fmt.Println(e.Kind, e.Name)
		}
	}
	// Output:
	// first try: 503 Service Unavailable
	// reset: true
	// fault reject with 503 at handshake
	// fault reset connection at send of pong
}
