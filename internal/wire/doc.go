// Package wire implements the codecs of the four predefined subprotocols of Azure
// Web PubSub, for both ends: JSON and protobuf, each plain and reliable.
//
// The service side decodes what a client sends and encodes each data message
// once for all the connections that speak the same subprotocol:
//
//	p, ok := wire.Lookup("json.reliable.webpubsub.azure.v1")
//	up, err := p.DecodeUpstream(frame)
//	switch up := up.(type) {
//	case wire.SendToGroup:
//		enc, err := p.EncodeData(wire.Data{From: wire.FromGroup, Group: up.Group, Message: up.Message})
//		for _, c := range subscribers {
//			c.write(enc.Append(c.buf[:0], c.nextSequenceID()))
//		}
//	}
//
// The client side is the mirror: [Protocol.AppendUpstream] and
// [Protocol.DecodeDownstream].
//
// A WebSocket message contains exactly one frame: a text message in the JSON
// family, a binary message in the protobuf family ([Protocol.Binary]). What the
// service reads is checked strictly, because a frame that breaks a rule closes
// the connection and the developer has to learn which rule it was. What the
// client reads is checked loosely, because the service may grow: see [Unknown].
//
// Frames are those of the Azure Web PubSub client protocol specification
// (https://github.com/Azure/azure-webpubsub, protocols/client) and of the
// subprotocol references on Microsoft Learn.
package wire
