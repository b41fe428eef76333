// Package webpubsub is Azure Web PubSub in Go: real-time messaging over
// WebSocket for serverless programs, and a local Web PubSub to develop and
// test against without a cloud account.
//
// This package holds the words that the others share: [Message] and the
// constructors [Text], [JSON], [Binary] and [Protobuf], the [SendOptions] of
// every send, and the names of roles. The work is done by its neighbours:
//
//   - handler answers the events that the service sends to your program
//   - service calls the service's REST API and makes client access tokens
//   - client is a WebSocket client that recovers its connection
//   - emulator is a local Web PubSub, in process or as a command
//   - hosting runs an http.Handler on Azure Functions, on AWS Lambda or alone
//   - app is the sample application, a group chat, that a fork replaces
//
// A server that says hello to whoever connects takes a few lines:
//
//	chat, err := service.NewClientFromConnectionString(cs, "chat", nil)
//	...
//	err = chat.SendToAll(ctx, webpubsub.Text("hello"), nil)
package webpubsub
