package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/wire"
)

// Errors of calls. Those that come from the service are [*ServiceError] values.
var (
	// ErrStarted is the error of Start where the client is started, or has not
	// quite stopped.
	ErrStarted = errors.New("client: already started: stop it first, and wait for Stop to return")
	// ErrStopped is the error of calls to a client that is not started, and of
	// those that were waiting when it was stopped.
	ErrStopped = errors.New("not started, or stopped meanwhile: call Start")
	// ErrNotConnected says that there was no connection to send on.
	ErrNotConnected = errors.New("not connected at the moment: try again, or give the client an OutboundQueue")
	// ErrConnectionLost says that the connection ended before the answer came.
	ErrConnectionLost = errors.New("the connection was lost before the answer came")
	// ErrSubprotocol says that the other end does not speak the subprotocol.
	ErrSubprotocol = errors.New("the service did not select the subprotocol")
	// ErrSlow ends a connection whose messages the callbacks do not take.
	ErrSlow = errors.New("the callbacks are too slow for what arrives: let them return sooner, or raise EventQueue")
	// ErrQueueFull says that as many calls wait for a connection as
	// [Options.OutboundQueue] allows.
	ErrQueueFull = errors.New("the outbound queue is full: wait for the connection to come back")
)

// ServiceError is a refusal of the service. Names are an open set.
type ServiceError struct {
	// Name is what went wrong, for example "Forbidden".
	Name string
	// Message explains it, for people.
	Message string
}

// Refusals by name, for errors.Is. Other names compare with a ServiceError of
// one's own: errors.Is(err, &client.ServiceError{Name: "NotFound"}).
var (
	ErrForbidden      = &ServiceError{Name: "Forbidden"}
	ErrBadRequest     = &ServiceError{Name: "BadRequest"}
	ErrInternalServer = &ServiceError{Name: "InternalServerError"}
	ErrDuplicate      = &ServiceError{Name: "Duplicate"}
)

func (e *ServiceError) Error() string {
	name := e.Name
	if name == "" {
		name = "an error without a name"
	}
	if e.Message == "" {
		return "the service answered " + name
	}
	return "the service answered " + name + ": " + e.Message
}

// Is reports whether target is a ServiceError of the same name, and of the same
// message where target has one.
func (e *ServiceError) Is(target error) bool {
	t, ok := target.(*ServiceError)
	return ok && t.Name == e.Name && (t.Message == "" || t.Message == e.Message)
}

func serviceError(e *wire.Error) error {
	if e == nil {
		return nil
	}
	return &ServiceError{e.Name, e.Message}
}

// HandshakeError is a handshake that the service, or something before it,
// answered with another status than 101.
type HandshakeError struct {
	// StatusCode is the HTTP status, for example 401 for a bad access token.
	StatusCode int
	// Header is the header of the answer.
	Header http.Header
	// Body is the answer's body, of at most 1,024 bytes.
	Body string
}

func (e *HandshakeError) Error() string {
	text := fmt.Sprintf("the handshake was refused with %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if body := strings.TrimSpace(e.Body); body != "" {
		text += ": " + body
	}
	return text
}

// CloseError says how a connection ended, where the service closed it.
type CloseError struct {
	// Code is the WebSocket close code, for example 1008.
	Code int
	// Reason is the text of the close frame.
	Reason string
}

func (e *CloseError) Error() string {
	text := fmt.Sprintf("the service closed the connection with %d", e.Code)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// ErrInvalid is the error of a call that breaks a rule of the client protocol,
// such as an empty group name. It was not sent.
var ErrInvalid = errors.New("invalid")

// StreamError says why a stream ended before its time.
type StreamError struct {
	// Name is what went wrong: "UserError" where the publisher gave the error,
	// "IdleTimeout", "Cancelled" and others.
	Name string
	// Message and UserErrorCode are what the publisher or the service say, and
	// may be empty.
	Message, UserErrorCode string
}

func (e *StreamError) Error() string {
	text := "the stream ended with " + e.Name
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}
