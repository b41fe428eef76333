package webpubsub

import "time"

// SendOptions contains the optional parameters of a send. The zero value, or
// nil, sends to every connection that the call addresses.
type SendOptions struct {
	// Excluded lists the IDs of connections that do not receive the message.
	// Default: none.
	Excluded []string
	// Filter selects the connections that receive the message. Default: every
	// connection that the call addresses.
	Filter Filter
	// TTL is how long the service tries to deliver the message, in whole seconds
	// up to 300. Default: 0, the message does not expire.
	TTL time.Duration
}
