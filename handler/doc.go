// Package handler answers the events that Azure Web PubSub sends to a program:
// a client wants to connect, is connected, sent a message, joined a group, is
// gone. The service calls a URL with plain HTTP, so the handler is an
// [http.Handler] and runs wherever one runs, serverless hosts included.
//
//	h, err := handler.New(handler.Options{ConnectionStrings: []string{cs}})
//	if err != nil {
//		return err
//	}
//	h.OnConnect(func(ctx context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
//		if r.UserID == "" {
//			return nil, handler.Reject(http.StatusUnauthorized, "sign in first")
//		}
//		return &handler.ConnectResponse{Groups: []string{"lobby"}}, nil
//	})
//	h.OnEvent("message", func(ctx context.Context, e *handler.UserEvent) (webpubsub.Message, error) {
//		return webpubsub.Text("you said " + e.Message.String()), nil
//	})
//	http.Handle("/eventhandler", h)
//
// # Events
//
// connect and user events wait for their callback's answer; the other events
// only tell, and their callback's error changes nothing for the client.
//
//	OnConnect        may this client connect? accept, change or refuse
//	OnEvent, JSON    a client sent something: reply or fail
//	OnConnected      a client is connected
//	OnDisconnected   a client is gone
//	OnGroupJoined    a connection joined a group
//	OnGroupLeft      a connection left a group
//
// What a client gets of a reply, with the data type of the [webpubsub.Message]:
// one of a JSON subprotocol gets a message from "server", a plain WebSocket
// client the bare payload in a frame, an MQTT client a message on the topic of
// the event followed by /succeeded. The reply comes before the acknowledgement.
// More messages, to anybody, go through the service client in Options.Sender:
// see [Event.SendToSender], [Event.SendToGroup], [Event.SendToUser] and
// [Event.SendToAll].
//
// A callback that panics fails its own event only. Its context ends after
// Options.Timeout, and when the service gives up.
//
// What belongs to a connection, such as the room that it is in, can be kept in
// its state, which the service sends along with each event: see [State].
//
// # What is verified
//
// Anybody can call a public URL, so before the body is read and before any
// callback runs, an event must come with a WebHook-Request-Origin that is
// allowed, with a ce-signature that fits one of the access keys where keys are
// configured, and with a token of the service's managed identity where
// [EntraOptions] are. [New] refuses a configuration that verifies nothing.
//
// Before the first event the service asks by OPTIONS whether it may send any
// (abuse protection); the handler answers for the same allowed origins.
//
// Answers to what is not handled:
//
//	400  an attribute or the body is missing or damaged; the preflight's origin is not allowed
//	401  origin, signature or token of an event is not good
//	404  the hub is not served, or no callback takes the user event
//	405  the method is not POST or OPTIONS
//	413  the body exceeds Options.MaxBodyBytes
//	415  the content type is none of the service's
//	500  the callback failed or panicked
//	503  Entra's keys could not be fetched, or a repeated event waited too long for the first
//
// Each is logged with the rule that was broken and its remedy, and without
// signatures, tokens or keys.
//
// # Repeated events
//
// The service repeats an event whose answer was 408 or 5xx, or did not arrive,
// up to three times, with the same connection and event id. [DedupOptions]
// answers such repetitions from memory.
//
// Neither the order of ce-id nor the age of ce-time is checked. Events of one
// connection may overtake each other: connected is not awaited before the first
// user event, a retry comes up to nine seconds late, and each instance of the
// program sees some of the events only. And since ce-signature covers neither,
// such a check would stop nobody who has captured a signature.
//
// # Tests
//
// Package handlertest makes signed requests of every event for the tests of
// your own callbacks.
package handler
