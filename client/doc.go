// Package client is a WebSocket client of Azure Web PubSub: it joins groups,
// publishes to them, raises events, and receives messages, over a connection
// that it keeps alive, recovers and, where that fails, makes anew.
//
//	c, err := client.New(client.URL(accessURL), client.Options{})
//	...
//	c.OnGroupMessage(func(m client.GroupMessage) {
//		fmt.Println(m.Group, m.Message)
//	})
//	if err := c.Start(ctx); err != nil { ... }
//	defer c.Stop(context.Background())
//	err = c.JoinGroup(ctx, "room")
//	err = c.SendToGroup(ctx, "room", webpubsub.Text("hello"), nil)
//
// # What is promised
//
// With a reliable protocol, which is the default, no message is lost and none
// comes twice through any number of interruptions, each shorter than the
// recovery window of the service (30 s): what arrives is numbered, and is
// acknowledged only when it is in the queue of the callbacks; what is sent keeps
// its ack id through all repetitions, so that the service takes it once.
//
// When a connection cannot be recovered, [Client.OnDisconnected] says why. A
// new connection is made, and the groups are joined again. Messages that were
// published in between are not delivered. A call that was waiting for its ack
// is repeated on the new connection, where the service no longer knows its ack
// id: it happens at least once.
//
// # Callbacks
//
// All callbacks run on one goroutine, one at a time, in the order in which
// things happened. They may call every method of the client, Stop and Start
// too. A panic is logged and ends only the callback.
//
// A callback may take its time. Meanwhile the client goes on reading, answers
// pings, gets acks and recovers, and what arrives waits in a queue
// ([Options.EventQueue]). When that is full, a reliable protocol leaves further
// messages unacknowledged, and the service ends the connection of a client that
// leaves 1,000 messages or 16 MiB so; nothing that had arrived is lost. In a
// plain protocol, further messages are dropped, with a warning in the log.
//
// # Inside
//
// One goroutine makes connections and reads, one writes what is queued in as few
// writes as it can, one runs the callbacks, and each incoming stream has one for
// its reader. Locks are taken in this order and never the other way: Client.mu,
// then that of a gate, then that of the queue or of a link. Nothing waits under a
// lock. A message counts as received, and is acknowledged, when it is in the
// queue: that outlives the connection, though not the process.
//
// # Errors
//
// A refusal of the service is a [*ServiceError], which errors.Is compares by
// name, as in errors.Is(err, [ErrForbidden]). A refused handshake is a
// [*HandshakeError] with the HTTP status and body.
package client
