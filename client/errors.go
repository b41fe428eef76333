package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/wire"
)

// Errors of the client itself. Methods wrap them: compare with errors.Is.
var (
	// ErrAlreadyStarted is returned by Start if the client has been started, or has
	// not stopped completely.
	ErrAlreadyStarted = errors.New("client is already started: call Stop and wait until it returns")
	// ErrNotRunning is returned by calls to a client that has not been started, and
	// by those that are in progress when it is stopped.
	ErrNotRunning = errors.New("client is not running: call Start")
	// ErrNotConnected is returned if there is no connection at the moment.
	ErrNotConnected = errors.New("not connected: retry later or set Options.OutboundQueueSize")
	// ErrConnectionLost is returned if the connection ends before the service has
	// responded.
	ErrConnectionLost = errors.New("connection lost")
	// ErrSubprotocol is returned if the server does not support the subprotocol.
	ErrSubprotocol = errors.New("server did not accept the requested subprotocol")
	// ErrSlowConsumer ends a connection whose messages arrive faster than the
	// callbacks handle them.
	ErrSlowConsumer = errors.New("callbacks cannot keep up with incoming messages: make them return faster or increase Options.EventQueueSize")
	// ErrQueueFull is returned if as many calls wait for a connection as
	// [Options.OutboundQueueSize] allows.
	ErrQueueFull = errors.New("outbound queue is full: retry when the client is connected, or increase Options.OutboundQueueSize")
	// ErrInvalidArgument is returned by a call that breaks a rule of the client
	// protocol, such as an empty group name or a message that is too large. Nothing
	// was sent.
	ErrInvalidArgument = errors.New("invalid argument")
)

// Errors of the service, by name. They match a [*ServiceError] with that name; for
// a name that is not here, use errors.As.
var (
	// ErrForbidden matches "Forbidden": the client does not have the required role.
	ErrForbidden error = errorName("Forbidden")
	// ErrBadRequest matches "BadRequest".
	ErrBadRequest error = errorName("BadRequest")
	// ErrInternalServer matches "InternalServerError", which is also the error of an
	// event whose event handler fails.
	ErrInternalServer error = errorName("InternalServerError")
	// ErrDuplicate matches "Duplicate": the service has processed the request
	// before. Calls that wait for an acknowledgement return nil instead.
	ErrDuplicate error = errorName("Duplicate")
)

type errorName string

func (e errorName) Error() string { return "service error: " + string(e) }

// ServiceError is an error that the service has returned.
type ServiceError struct {
	// Name identifies the error, for example "Forbidden". The service may add
	// names.
	Name string
	// Message describes the error.
	Message string
}

// Error returns the name and the message.
func (e *ServiceError) Error() string {
	name := e.Name
	if name == "" {
		name = "error without a name"
	}
	if e.Message == "" {
		return "service error: " + name
	}
	return "service error: " + name + ": " + e.Message
}

// Is reports whether target is one of the errors of this package with the same
// name, or a ServiceError with the same name and, if target has one, the same
// message.
func (e *ServiceError) Is(target error) bool {
	switch t := target.(type) {
	case errorName:
		return e.Name == string(t)
	case *ServiceError:
		return t.Name == e.Name && (t.Message == "" || t.Message == e.Message)
	}
	return false
}

func serviceError(e *wire.Error) error {
	if e == nil {
		return nil
	}
	return &ServiceError{e.Name, e.Message}
}

// HandshakeError is returned when the server responds to the WebSocket handshake
// with a status other than 101.
type HandshakeError struct {
	// StatusCode is the HTTP status, for example 401 for an invalid access token.
	StatusCode int
	// Header contains the header fields of the response.
	Header http.Header
	// Body contains at most the first 1,024 bytes of the body.
	Body string
}

// Error returns the status and the body.
func (e *HandshakeError) Error() string {
	text := fmt.Sprintf("WebSocket handshake failed: status %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if body := strings.TrimSpace(e.Body); body != "" {
		text += ": " + body
	}
	return text
}

// CloseError describes the close frame with which the service closed a
// connection.
type CloseError struct {
	// Code is the WebSocket close code, for example 1008.
	Code int
	// Reason is the reason in the close frame; often empty.
	Reason string
}

// Error returns the code and the reason.
func (e *CloseError) Error() string {
	text := fmt.Sprintf("connection closed by the service: code %d", e.Code)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// StreamError is returned when a stream ends with an error.
type StreamError struct {
	// Name identifies the error: "UserError" if the publisher ended the stream with
	// an error, "IdleTimeout", "Cancelled" and others.
	Name string
	// Message and UserErrorCode come from the publisher or the service and may be
	// empty.
	Message, UserErrorCode string
}

// Error returns the name and the message.
func (e *StreamError) Error() string {
	text := "stream ended with " + e.Name
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}
