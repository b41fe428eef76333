// Package client provides a WebSocket client for Azure Web PubSub.
//
// A [Client] joins groups, publishes messages, sends user events and receives
// messages. It recovers interrupted connections and, if recovery fails,
// reconnects and rejoins its groups.
//
//	c, err := client.New(client.URL(accessURL), client.Options{})
//	...
//	c.OnGroupMessage(func(ctx context.Context, m client.GroupMessage) {
//		fmt.Println(m.Group, m.Message)
//	})
//	if err := c.Start(ctx); err != nil { ... }
//	defer c.Stop(context.Background())
//	err = c.JoinGroup(ctx, "room", nil)
//	err = c.SendToGroup(ctx, "room", webpubsub.Text("hello"), nil)
//
// # Delivery guarantees
//
// With a reliable subprotocol (the default), every message is delivered exactly
// once across any number of interruptions, as long as each interruption is
// shorter than the recovery window of the service (30 seconds). A received
// message is acknowledged when it has been added to the event queue; queued
// messages are lost if the process exits. A request keeps its ack ID when it is
// sent again after a recovery, so the service processes it only once.
//
// If a connection cannot be recovered within [Options.RecoveryWindow], the client
// calls the [Client.OnDisconnected] callback, opens a new connection and rejoins
// its groups. Messages published in the meantime are not delivered. A request that
// was waiting for an acknowledgement is retried on the new connection, where ack
// IDs start over: it is processed at least once.
//
// A recovered connection that ends again before it has lasted for a second and
// received something new does not start a new recovery window. Otherwise a
// service or a proxy that accepts each connection and closes it again would be
// dialed forever. New connections count as attempts of [Options.ReconnectRetry]
// until they have lasted for ten seconds.
//
// # Callbacks
//
// All callbacks are called on one goroutine, one at a time, in the order of the
// events, except that of [Client.OnStream]. They may call every method of the
// client. A panic is logged and does not end the client.
//
// The context of a callback has the values of the context that was passed to
// Start. It is canceled when Stop is called or the client gives up; events that are
// queued then are delivered with a canceled context. To finish work in spite of
// that, use [context.WithoutCancel]. Start and Stop can be called with the context
// of a callback, canceled or not, and Stop then does not wait for callbacks. With
// any other context, a call of Stop in a callback waits for itself.
//
// Callbacks may block. The client continues to read, responds to pings, receives
// acknowledgements and recovers its connection, while messages wait in the event
// queue ([Options.EventQueueSize]). If the queue is full, further messages of a
// reliable subprotocol are not acknowledged, and the service closes the connection
// of a client that does not acknowledge 1,000 messages or 16 MiB; messages that
// have been received by then are delivered. With the standard subprotocols, further
// messages are dropped, and a warning is logged.
//
// # Limits
//
// The service accepts messages of at most 1 MiB, as they are encoded: binary data
// grows by a third in JSON. A larger message is not sent, and the call returns an
// error that matches [ErrInvalidArgument]. If the service closes the connection
// because of a message (codes 1003, 1007 and 1009), the calls in progress return
// an error that contains the [*CloseError] and are not retried.
//
// # Errors
//
// Errors of the service are [*ServiceError] values, which errors.Is compares by
// name, as in errors.Is(err, [ErrForbidden]). A rejected handshake is a
// [*HandshakeError] with the HTTP status and the body.
//
// # Implementation notes
//
// One goroutine makes connections and reads from them, one sends pings and
// acknowledgements, one calls the callbacks, and each incoming stream has one for
// its reader. Frames are written by a goroutine of package wsconn, which runs while
// there is something to write.
//
// Lock order: Client.mu, then the mutex of a rejoinBarrier, then that of the event
// queue, a link or its writer. Do not block while holding one of them.
package client
