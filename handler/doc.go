// Package handler implements an [http.Handler] for the event handler (upstream)
// webhooks of Azure Web PubSub. The service calls it when a client connects,
// sends an event, joins or leaves a group, or disconnects. It uses plain HTTP, so
// it runs on serverless hosts as well as in a server.
//
//	h, err := handler.New(handler.Options{ConnectionStrings: []string{connectionString}})
//	if err != nil {
//		return err
//	}
//	h.OnConnect(func(ctx context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
//		if r.UserID == "" {
//			return nil, handler.Reject(http.StatusUnauthorized, "sign in first")
//		}
//		return &handler.ConnectResponse{Groups: []string{"lobby"}}, nil
//	})
//	h.OnEvent("message", func(ctx context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
//		return &handler.EventResponse{Message: webpubsub.Text("you said " + e.Message.String())}, nil
//	})
//	http.Handle("/eventhandler", h)
//
// # Events
//
// The connect event and user events are blocking: the service waits for the
// response. All other events are notifications; errors returned for them do not
// affect the client.
//
//	OnConnect           a client wants to connect: accept, change or reject it
//	OnEvent, JSONEvent  a client sent an event: reply or fail
//	OnConnected         a client has connected
//	OnDisconnected      a client has disconnected
//	OnGroupJoined       a connection has joined a group
//	OnGroupLeft         a connection has left a group
//
// The user events of one connection are delivered one after another. The service
// does not wait for the response to a notification before it sends the next
// event, so a later event can overtake a notification: the callback for the first
// user event may be called before, or while, the callback for connected runs. Set
// up what other callbacks need in OnConnect.
//
// A callback that panics fails only its own event. Its context is canceled after
// Options.Timeout, and when the service closes the request.
//
// # Replies
//
// What a client receives depends on how it connects. A client with a JSON or
// protobuf subprotocol receives a message from "server" with the data type of the
// [webpubsub.Message], a simple WebSocket client receives the bare payload, and an
// MQTT client receives a message on the topic of the event followed by
// /succeeded. The reply is sent before the acknowledgement of the event.
//
// To send more messages, or to other clients, set Options.Sender to a service
// client and call [Event.SendToSender], [Event.SendToGroup], [Event.SendToUser] or
// [Event.SendToAll].
//
// # Connection state
//
// Each connection has a state of up to [MaxStateSize] bytes, which the service
// stores and sends with every event: [Event.State] reads it. The responses to
// connect and user events can change it: [ConnectResponse].State and
// [EventResponse].State. Notifications have no response, so they cannot.
//
// # Request verification
//
// The URL is public, so every event is verified before its body is read and
// before a callback is called: WebHook-Request-Origin must be an allowed origin;
// ce-signature must match one of the access keys, if any are configured; and the
// request must carry a token of the service's managed identity, if [EntraOptions]
// are configured. [New] returns an error if nothing is configured. SECURITY.md
// describes what each of them proves.
//
// Before it sends events, the service sends an abuse protection request (webhook
// validation, OPTIONS). It is granted for the same allowed origins.
//
// The responses to requests that are not handled are:
//
//	400  an attribute or the body is missing or invalid; the origin of an abuse protection request is not allowed
//	401  the origin, signature or token of an event is invalid
//	404  the hub is not served, or no callback is registered for the user event
//	405  the method is not POST or OPTIONS
//	413  the body exceeds Options.MaxBodyBytes
//	415  the content type is not one that the service sends
//	500  the callback failed or panicked
//	503  the signing keys of Entra cannot be fetched, or the first delivery of a retried event takes too long
//
// Each rejection is logged with its reason and a hint, without signatures, tokens
// or keys. Of similar records only ten in ten seconds are logged; the number of
// the others is logged at the end of that interval.
//
// # Retries and deduplication
//
// The service retries an event up to three times, with the same event ID, if the
// response was 408 or 5xx or was lost. With [DedupOptions] the handler responds to
// a retry with the cached response.
//
// Neither the order of event IDs nor the age of ce-time is checked. Events can
// overtake each other, a retry is up to nine seconds late, and with several
// instances each one sees only some events. Since ce-signature covers neither,
// such a check would not stop an attacker who has captured a signature.
//
// # Testing
//
// Package handlertest provides signed requests for each event, to test callbacks
// without the service.
package handler
