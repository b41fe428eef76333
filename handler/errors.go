package handler

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// RejectError is the error by which a callback chooses the response. Create one
// with [Reject] or [RejectMQTT], or as a literal to add a cause. If a callback
// returns any other error, the response is 500 without details. Errors are logged
// in both cases.
type RejectError struct {
	// Status is the HTTP status of the response, 400 to 599; any other value is
	// 500. Default: the status for MQTTCode, or 500.
	Status int
	// Reason is the body of the response. The client of a rejected connection may
	// receive it, so it should not contain anything private.
	Reason string
	// MQTTCode is the code that a rejected MQTT client receives. WebSocket clients
	// receive only the status. Default: the code for Status.
	MQTTCode MQTTCode
	// MQTTUserProperties are sent to a rejected MQTT 5.0 client.
	MQTTUserProperties []MQTTUserProperty
	// Err is the cause. It is logged and not sent.
	Err error
}

// Reject returns an error that rejects a connection, or fails a user event, with
// an HTTP status and a reason.
//
// If a connect callback returns it, the handshake of the client is rejected with
// the same status, for example 401, 403 or 429. If the callback of a user event
// returns it, the client receives less: a client that requested an acknowledgement
// receives one with the error name InternalServerError, the connection of a simple
// WebSocket client is closed with code 1011, and an MQTT client receives the status
// and the reason on the topic of the event followed by /failed.
//
// The service retries an event up to three times, after 1, 3 and 5 seconds, if the
// status is 408 or 5xx. Use a 4xx status if a retry would fail as well.
func Reject(status int, reason string) error {
	return &RejectError{Status: status, Reason: reason}
}

// RejectMQTT returns an error that rejects an MQTT connection with a code of the
// client's protocol version. The HTTP status, which a WebSocket client receives,
// is derived from the code.
func RejectMQTT(code MQTTCode, reason string, properties ...MQTTUserProperty) error {
	return &RejectError{MQTTCode: code, Reason: reason, MQTTUserProperties: properties}
}

// Error returns the status, the reason and the cause.
func (e *RejectError) Error() string {
	s := fmt.Sprintf("rejected with %d", e.status())
	if e.MQTTCode != 0 {
		s += fmt.Sprintf(" (MQTT code %d)", e.MQTTCode)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *RejectError) Unwrap() error { return e.Err }

func (e *RejectError) status() int {
	s := e.Status
	if s == 0 && e.MQTTCode != 0 {
		s = e.MQTTCode.status()
	}
	if s < 400 || s > 599 {
		s = http.StatusInternalServerError
	}
	return s
}

// rejection is the reason why the handler rejects a request before it calls a
// callback.
type rejection struct {
	status int
	// reason is the body of the response, except for 401. hint is the
	// remedy; it must not contain text of the request. Both are logged.
	reason, hint string
	err          error // the cause, which is logged; may be nil
}

func reject(status int, reason, hint string) *rejection {
	return &rejection{status: status, reason: reason, hint: hint}
}

// panicError is the panic of a callback.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the callback panicked: %v", e.value) }

// recoverPanic stores a panic in *err. It recovers [http.ErrAbortHandler] too,
// because a dropped connection makes hosts repeat the request.
func recoverPanic(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: debug.Stack()}
	}
}
