package handler

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// RejectError is the error by which a callback chooses the answer itself; make
// one with [Reject] or [RejectMQTT], or write it out to add a cause. Any other
// error of a callback is answered with 500 and a body that tells nothing; it is
// logged either way.
type RejectError struct {
	// Status is the HTTP status of the answer, 400 to 599; anything else counts
	// as 500. Zero takes the status that belongs to MQTTCode.
	Status int
	// Reason is the body of the answer. The client of a refused connection may
	// get to see it, so it should hold nothing private.
	Reason string
	// MQTTCode is the code that an MQTT client gets when its connection is
	// refused. Zero takes the code that belongs to Status. WebSocket clients get
	// the status only.
	MQTTCode MQTTCode
	// MQTTUserProperties go to an MQTT 5 client beside that code.
	MQTTUserProperties []MQTTUserProperty
	// Err is the cause. It is logged and never sent.
	Err error
}

// Reject returns an error that refuses a connection or fails a user event with
// an HTTP status and a reason.
//
// On connect the client's handshake is refused with the same status, so 401,
// 403 and 429 say to the client what they say everywhere. On a user event the
// client sees less: one that asked for an acknowledgement gets error name
// InternalServerError, a plain WebSocket client is closed with code 1011, an
// MQTT client gets the status and the reason on the topic …/failed.
//
// The service repeats an event that was answered with 408 or any 5xx up to
// three times (after 1, 3 and 5 seconds) and gives up at once on any other
// status, so use 4xx for what will not get better.
func Reject(status int, reason string) error {
	return &RejectError{Status: status, Reason: reason}
}

// RejectMQTT returns an error that refuses an MQTT connection with a code of
// the client's protocol version; the HTTP status follows from the code. A
// WebSocket client gets that status.
func RejectMQTT(code MQTTCode, reason string, properties ...MQTTUserProperty) error {
	return &RejectError{MQTTCode: code, Reason: reason, MQTTUserProperties: properties}
}

// Error returns status, reason and cause.
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

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Err }

func (e *RejectError) status() int {
	s := e.Status
	if s == 0 && e.MQTTCode != 0 {
		s = e.MQTTCode.Status()
	}
	if s < 400 || s > 599 {
		s = http.StatusInternalServerError
	}
	return s
}

// refusal is the handler's own no to a request, before any callback.
type refusal struct {
	status int
	// rule says what was wrong and remedy what to do; both are logged. The body
	// of the answer is the rule, except for 401, which tells a stranger nothing.
	rule, remedy string
	cause        error
}

func refuse(status int, rule, remedy string) *refusal {
	return &refusal{status: status, rule: rule, remedy: remedy}
}

// panicError is a callback's panic on its way to the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the callback panicked: %v", e.value) }

// recovered turns a panic into *err, so that one bad callback takes nothing
// else down, not even its connection: [http.ErrAbortHandler] counts as any other.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: debug.Stack()}
	}
}
