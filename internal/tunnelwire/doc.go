// Package tunnelwire reads and writes the messages of the tunnel of Azure Web
// PubSub, by which a service calls event handlers that it cannot reach. The
// protocol has no specification; the facts are those of the public client end
// (Azure/azure-webpubsub, sdk/server-proxies), whose tests have frames of the
// service.
//
// A tunnel is a WebSocket connection to /server/tunnel without a subprotocol.
// Each binary message is one frame:
//
//	uint32, little-endian   length of what follows
//	MessagePack array       [type, JSON text, content or nil]
//
// The content is the body of a request or a response. The JSON has all other
// fields.
//
//	frame, err := tunnelwire.Append(nil, &tunnelwire.Request{AckID: 1, Method: "POST", URL: u, Header: h, Body: body})
//	m, err := tunnelwire.Decode(frame)
package tunnelwire
