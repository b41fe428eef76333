// Package tunnel serves the events of a hub of Azure Web PubSub on an
// [http.Handler] that the service cannot reach: on a developer's machine, in a
// test, or in a network without an inbound route. The program connects to the
// service, and the service sends its requests over that connection.
//
//	t, err := tunnel.NewFromConnectionString(connectionString, "chat", nil)
//	if err != nil {
//		return err
//	}
//	return t.Serve(ctx, eventHandler)
//
// The event handler in the settings of the hub must have a URL with the scheme
// tunnel, such as tunnel:///api/events. The service sends the events that it is
// configured for, and the abuse protection requests, to one of the tunnels that
// are open for the hub. The handler gets them with that path, and the query if
// there is one.
//
// # Credentials
//
// [NewFromConnectionString] and [NewWithKeyCredential] authenticate with an access key of
// the resource, [New] with Microsoft Entra, for example
// azidentity.NewDefaultAzureCredential. The identity needs the role "Web PubSub
// Service Owner" on the resource. A program with an open tunnel receives events of
// the hub, with the data of its users.
//
// # Requests
//
// Each request is served in its own goroutine by an [http.Server], so a
// handler behaves as it does on a port. A response is sent when it is complete.
// If the handler panics, or its response has more than 16 MiB, the response is
// 500, and if it takes longer than [Options].RequestTimeout, 504. Requests
// beyond [Options].MaxConcurrent wait, and if 10,000 requests or 64 MiB wait,
// further ones get 503. The service retries events with a status of 500 or more.
//
// # Connections
//
// A connection that is lost is replaced, with a delay that grows to 30 seconds;
// the delay is reset when a connection has lasted for 10 seconds. Requests that
// were open on it are lost; the service retries them. The service can ask for
// more connections, at most 16, and for a connection to be replaced by one to
// another place: then the new one is opened before the old one is closed, which
// happens when the responses to its open requests have been sent.
//
// The protocol has no specification. This package follows the public client end
// of Microsoft (https://github.com/Azure/azure-webpubsub, sdk/server-proxies).
package tunnel
