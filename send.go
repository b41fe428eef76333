package webpubsub

import "time"

// SendOptions narrows a send. The zero value, or nil, sends to everybody that
// the call names and never expires.
type SendOptions struct {
	// Excluded lists connection ids that do not get the message.
	Excluded []string
	// Filter is an OData expression; only connections for which it is true get
	// the message, for example "userId ne 'alice'" or "'news' in groups".
	// See https://learn.microsoft.com/azure/azure-web-pubsub/reference-odata-filter.
	Filter string
	// TTL is how long the service tries to deliver: whole seconds, at most 300.
	// Zero means that the message does not expire.
	TTL time.Duration
}
