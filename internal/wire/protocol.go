package wire

import "errors"

// Protocol is one of the predefined subprotocols. The zero Protocol is
// none: that of a simple WebSocket client.
type Protocol uint8

// The predefined subprotocols.
const (
	JSON Protocol = iota + 1
	ReliableJSON
	Protobuf
	ReliableProtobuf
)

var protocolNames = [...]string{
	JSON:             "json.webpubsub.azure.v1",
	ReliableJSON:     "json.reliable.webpubsub.azure.v1",
	Protobuf:         "protobuf.webpubsub.azure.v1",
	ReliableProtobuf: "protobuf.reliable.webpubsub.azure.v1",
}

// errProtocol is the error of every codec call on the zero Protocol.
var errProtocol = errors.New("wire: a connection without a predefined subprotocol has no frames: send the payload as it is")

// Lookup returns the predefined subprotocol of that name, in any letter case,
// as a client offers it in Sec-WebSocket-Protocol.
func Lookup(name string) (Protocol, bool) {
	name = lowerASCII(name)
	for p := JSON; p <= ReliableProtobuf; p++ {
		if name == protocolNames[p] {
			return p, true
		}
	}
	return 0, false
}

// Name returns the registered name, for example "json.webpubsub.azure.v1", and
// "" for the zero Protocol.
func (p Protocol) Name() string {
	if p > ReliableProtobuf {
		return ""
	}
	return protocolNames[p]
}

// Reliable reports whether data messages are numbered, so that a dropped
// connection can be recovered.
func (p Protocol) Reliable() bool { return p == ReliableJSON || p == ReliableProtobuf }

// Binary reports whether frames travel as binary WebSocket messages, which is
// so in the protobuf family, and not as text messages.
func (p Protocol) Binary() bool { return p == Protobuf || p == ReliableProtobuf }

// known reports whether p is one of the four.
func (p Protocol) known() bool { return JSON <= p && p <= ReliableProtobuf }
