// Package emulator is a local Azure Web PubSub: the REST API, the client
// endpoint and the delivery of events to event handlers, in process. Programs
// written against the service, in any language, work against it unchanged.
//
// In a test:
//
//	func TestChat(t *testing.T) {
//		srv := emulator.StartT(t, emulator.Options{})
//		chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
//		...
//	}
//
// With an event handler, and outside a test:
//
//	srv, err := emulator.Start(emulator.Options{
//		Addr: "localhost:8080",
//		Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
//			URL: "http://localhost:7071/api/events", UserEvents: "*",
//			SystemEvents: []string{"connect", "connected", "disconnected"},
//		}}}},
//	})
//	defer srv.Close()
//
// In virtual time, where a recovery window of half a minute takes none, in a
// bubble of testing/synctest. Clients get the network's DialContext:
//
//	synctest.Test(t, func(t *testing.T) {
//		network := emulator.NewMemoryListener()
//		srv := emulator.StartT(t, emulator.Options{Listener: network})
//		dialer := websocket.Dialer{NetDialContext: network.DialContext}
//		...
//	})
//
// [Server.Inject] and [Server.Strike] make things go wrong for a client,
// [Server.WaitIdle] waits until nothing more comes, and [Server.Journal] tells
// what happened.
//
// Hubs need no declaration: any valid hub name works. Event handlers can also
// stand in a file that is read again when it changes ([ReadHubs]), be replaced
// at run time ([Server.SetHub]), and be sent the tokens of a managed identity
// ([Server.AuthorityHost]). The default access key is the one of Microsoft's own
// emulator, so connection strings can be exchanged.
//
// # MQTT
//
// [Server.MQTTURL] is the address of a hub for MQTT 3.1.1 and 5.0. A session is a
// connection with the client id as its id, and a topic is a group: clients of
// every protocol and the REST API reach each other. An event is a message to the
// topic $webpubsub/server/events/{name}. Like the service, the emulator refuses
// wildcards, retained messages, topic aliases and shared subscriptions. Where the
// documentation leaves something open, a comment in the code says what was chosen.
//
// # TLS and identities
//
// With [Options].TLS the endpoint is https and the client URLs are wss, and with
// AllowUnverifiedEntra a token credential is let in, so that the code that runs
// in Azure with a managed identity runs here unchanged:
//
//	srv := emulator.StartT(t, emulator.Options{TLS: true, AllowUnverifiedEntra: true})
//	chat, err := service.NewClient(srv.URL(), "chat", cred, &service.ClientOptions{
//		ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
//	})
//
// # Inside
//
// A connection is a logical client; its link is the WebSocket that it has at
// the moment, and a reliable connection lives on for a while without one. Messages
// are queued, and a goroutine that exists only while there is something to write
// drains the queue in batches; the same holds for events and their handlers. The
// order of the locks, and what holds at all times, stands in hub.go.
package emulator
