package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/centrifugal/centrifuge"
	"github.com/gorilla/websocket"
)

// centrifugeRole is the peer of the fan-out: the library's own WebSocket server
// with its default settings, and an HTTP handler that publishes to a channel to
// which every client is subscribed as it connects.
func centrifugeRole([]string) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Subscriptions: map[string]centrifuge.SubscribeOptions{groupName: {}},
		}, nil
	})
	if err := node.Run(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			// The JSON protocol takes JSON only; quotes make the text a string.
			_, err = node.Publish(groupName, fmt.Appendf(nil, "%q", body))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return serve(mux)
}

// centrifugeEndpoint connects with the JSON protocol of Centrifuge, or with its
// protobuf protocol where the row is about protobuf.
func centrifugeEndpoint(addr, protocol string) endpoint {
	e := endpoint{
		url:   "ws://" + addr + "/connection/websocket",
		hello: []byte(`{"id":1,"connect":{}}`), helloType: websocket.TextMessage, welcome: 1,
		publish: func() *http.Request { return post("http://" + addr + "/publish") }, status: http.StatusAccepted,
	}
	if protocol == "protobuf" {
		e.url += "?cf_protocol=protobuf"
		// A length, then Command{id: 1, connect: {}} (Centrifuge client protocol).
		e.hello, e.helloType = []byte{4, 0x08, 1, 0x22, 0}, websocket.BinaryMessage
	}
	return e
}
