// Package upstream delivers events to event handlers, the way the service
// does: abuse protection first, then a signed CloudEvents request in binary
// mode, with the service's timeouts and retries.
//
//	d := upstream.New(upstream.Options{Origin: "localhost", Keys: []string{key}})
//	defer d.Close()
//
//	handlers := []upstream.Handler{{URL: "http://localhost:7071/api/events", UserEvents: "*"}}
//	res, err := d.Deliver(ctx, handlers, upstream.Event{
//		Kind: upstream.User, Name: "message", ID: 2, Hub: "chat", ConnectionID: "c1",
//		ContentType: "text/plain", Body: []byte("hello"),
//	})
//	if err == nil {
//		reply, err := res.Message()
//		…
//	}
//
// The rules are those of "CloudEvents extension for Azure Web PubSub event
// handler" (Azure Web PubSub reference) and of "HTTP 1.1 Web Hooks for Event
// Delivery" (CloudEvents). They do not specify retries, timeouts and
// limits, for which the package follows Microsoft's preview emulator.
package upstream
