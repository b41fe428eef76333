// Package webpubsub defines the types that the packages for Azure Web PubSub
// share: [Message] with its constructors [Text], [JSON], [Binary] and [Protobuf],
// [SendOptions], [Filter], and the names of roles.
//
// The functionality is in these packages:
//
//   - handler: an http.Handler for the event handler webhooks of the service
//   - service: a client for the REST API, which also generates client access tokens
//   - client: a WebSocket client that recovers its connection
//   - emulator: a local emulator of the service, in process or as a command
//   - hosting: runs an http.Handler on Azure Functions, AWS Lambda or as a server
//   - webapp: an application from environment variables: event handler, negotiate, page
//   - tunnel: receives the events of a hub without a public URL
//
// To send a message to all connected clients:
//
//	chat, err := service.NewClientFromConnectionString(connectionString, "chat", nil)
//	if err != nil {
//		return err
//	}
//	err = chat.SendToAll(ctx, webpubsub.Text("hello"), nil)
//
// # Clients
//
// A simple WebSocket client uses no subprotocol of the service: its messages are
// user events named "message" or messages to a group, and it receives the bare
// payload. Other clients use a JSON or protobuf subprotocol of the service, in its
// standard or reliable version, or MQTT.
package webpubsub
