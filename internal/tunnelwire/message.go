package tunnelwire

import "net/http"

// Path is the path of the tunnel endpoint, below that of the service.
const Path = "/server/tunnel"

// The types of messages. 3, 4 and 9 are not used by any public client.
const (
	typeRequest   = 1
	typeResponse  = 2
	typeStatus    = 5
	typeReconnect = 6
	typeClose     = 7
	typeRebalance = 8
	typeConnected = 10
)

// Message is one of [*Request], [*Response], [*Status], [*Reconnect], [*Close],
// [*Rebalance], [*Connected] and [*Unknown].
type Message interface{ kind() int }

// Request is an HTTP request: an event for an event handler, or a call of the
// REST API from the client end.
type Request struct {
	// AckID is repeated by the responses. It is unique in one direction of one
	// connection.
	AckID int64
	// Method, URL and Header are those of HTTP. The URL is absolute; only its path
	// and query count. The header may be nil.
	Method string
	URL    string
	Header http.Header
	// LocalRouting and ChannelName are repeated by the responses. Their meaning is
	// the service's.
	LocalRouting bool
	ChannelName  string
	Body         []byte
}

// Response is the response to the request with the same AckID, or a part of it.
type Response struct {
	AckID        int64
	StatusCode   int
	Header       http.Header
	LocalRouting bool
	ChannelName  string
	// NotCompleted is set if another message with more of the body follows.
	NotCompleted bool
	Body         []byte
}

// Status is information of the service for people.
type Status struct{ Message string }

// Reconnect asks the client end to replace this connection by one to another
// place.
type Reconnect struct{ Redirect }

// Rebalance asks the client end to open one more connection.
type Rebalance struct{ Redirect }

// Redirect is where to connect to. An empty Endpoint means the original one.
// Target, if not empty, becomes the parameter target of the URL.
type Redirect struct{ Target, Endpoint, Message string }

// Close asks the client end to close this connection and open no other.
type Close struct{ Message string }

// Connected is the first message of the service on a connection.
type Connected struct {
	ConnectionID string
	// UserID and ReconnectionToken may be nil.
	UserID, ReconnectionToken *string
}

// Unknown is a message of a type that this package does not know. Ignore it.
type Unknown struct{ Type int }

func (*Request) kind() int   { return typeRequest }
func (*Response) kind() int  { return typeResponse }
func (*Status) kind() int    { return typeStatus }
func (*Reconnect) kind() int { return typeReconnect }
func (*Close) kind() int     { return typeClose }
func (*Rebalance) kind() int { return typeRebalance }
func (*Connected) kind() int { return typeConnected }
func (m *Unknown) kind() int { return m.Type }
