// Package emulator is a local Azure Web PubSub for development and tests: the REST
// API, the client endpoints and the delivery of events to event handlers, in
// process. Programs written against the service, in any language, work against it
// unchanged.
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
// In virtual time, where a recovery window of 30 seconds passes immediately, in a
// bubble of testing/synctest. Clients use the network's DialContext:
//
//	synctest.Test(t, func(t *testing.T) {
//		network := emulator.NewMemoryListener()
//		srv := emulator.StartT(t, emulator.Options{Listener: network})
//		dialer := websocket.Dialer{NetDialContext: network.DialContext}
//		...
//	})
//
// [Server.Inject] and [Server.InjectNow] inject faults, [Server.SetNetworkConditions]
// makes the network slow, [Options].Tier and [HubSettings].ApplicationFirewall set the
// limits of the service, which are off by default. [Server.WaitIdle] waits
// until no work is in progress, and [Server.Journal] returns the in-memory log of
// the last 1,000 entries.
//
// Hubs need no declaration: any valid hub name works. Event handlers can also be
// defined in a file that is read again when it changes ([ReadHubs]), be replaced
// at run time ([Server.SetHub]), and be sent the tokens of a managed identity
// ([Server.AuthorityHost]). Event listeners get copies of events ([EventListener]).
// The default access key is that of Microsoft's own
// emulator, so connection strings are interchangeable.
//
// # Order and delivery
//
// The frames of a client are carried out one after another, a user event with its
// response included. Reading continues in the meantime: pongs, close frames, sequenceAck,
// cancelInvocation and the acknowledgements of MQTT, except PUBREL, take effect when
// they are read. When [Options].MaxPendingMessages frames or MaxPendingBytes bytes of a
// client wait, reading stops until some are carried out.
//
// The connected, disconnected and group presence events are notifications: they are
// sent in order, but their responses are not awaited, so that an event handler can
// receive a later event before it has responded to one of them.
//
// # MQTT
//
// [Server.MQTTURL] is the address of a hub for MQTT 3.1.1 and 5.0. A session is a
// connection with the client id as its id, and a topic is a group: clients of
// every protocol and the REST API reach each other. An event is a message to the
// topic $webpubsub/server/events/{name}. Like the service, the emulator rejects
// wildcards, retained messages, topic aliases and shared subscriptions. Where the
// documentation leaves something open, a comment in the code describes the choice.
//
// # Tunnels
//
// An event handler with the URL tunnel:///path receives its events through a tunnel
// that it has opened to /server/tunnel, by package tunnel, webpubsub tunnel or a
// client of Microsoft. Without a tunnel it cannot be reached, and events are retried
// as for any other such handler. REST calls that a client sends through its tunnel
// are executed; what is not part of the REST API gets 501. [ReconnectTunnel] and the
// other actions on tunnels are for tests of clients.
//
// # TLS and managed identity
//
// With [Options].TLS the endpoint is https and the client URLs are wss, and with
// AllowUnverifiedEntra a token credential is accepted, so that the code that runs
// in Azure with a managed identity runs here unchanged:
//
//	srv := emulator.StartT(t, emulator.Options{TLS: true, AllowUnverifiedEntra: true})
//	chat, err := service.NewClient(srv.URL(), cred, "chat", &service.ClientOptions{
//		ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
//	})
//
// # Control API
//
// With [Options].Control programs in any language can do what tests in Go do, over
// HTTP: observe, inject faults, wait until idle, and reset everything, so that tests
// share one process. [Server.ControlURL] is the base address; docs/control-api.md and
// {ControlURL}/openapi.json describe it. The dashboard uses it.
//
// # Implementation notes
//
// This package is the public face: it wires the packages below internal/emulator
// together. From the lowest: broker has hubs, groups, users and connections;
// transport the WebSockets; events what is delivered to event handlers; session
// the clients of each protocol; endpoint, rest and control the HTTP side. A
// message goes from transport to the sender's session, to the broker, to the
// sessions of the receivers, and to their transport.
package emulator
