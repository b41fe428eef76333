package upstream

import (
	"errors"
	"fmt"
	"net/url"
)

// ErrNoHandler is the error of an event that no configured handler wants.
var ErrNoHandler = errors.New("no event handler is configured for this event: add one, or add the event to its system events or user events")

// ErrClosed is the error of a delivery after [Dispatcher.Close].
var ErrClosed = errors.New("the event dispatcher is closed")

// FieldError is the error of a [Handler] with a setting that breaks a rule.
type FieldError struct {
	// Field is the name of the field of Handler.
	Field string
	Err   error
}

// Error returns the text of Err, which names the setting in words.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// StatusError is the error of a handler that gave a final answer other than 2xx.
type StatusError struct {
	// Status is the HTTP status of the last attempt.
	Status int
	// Event is the CloudEvents type of the event.
	Event string
	// URL is the address that answered, without the query.
	URL string
	// Attempts is how many requests were made.
	Attempts int
	// Location is the target of a redirect, without the query. It is empty if there
	// is none.
	Location string
}

// Error names the answer and what to look at.
func (e *StatusError) Error() string {
	attempts := ""
	if e.Attempts > 1 {
		attempts = fmt.Sprintf(" after %d attempts", e.Attempts)
	}
	target := ""
	if e.Location != "" {
		target = " with a redirect to " + e.Location
	}
	return fmt.Sprintf("event handler %s responded with %d to %s%s%s: %s", e.URL, e.Status, e.Event, attempts, target, statusRemedy(e.Status))
}

// location returns the target of a redirect as an error may show it.
func location(res Response, u *url.URL) string {
	if res.Status/100 != 3 || res.Header.Get("Location") == "" {
		return ""
	}
	target, err := u.Parse(res.Header.Get("Location"))
	if err != nil {
		return "an unreadable address"
	}
	return clip(shown(target))
}

// statusRemedy says what an answer to an event usually means.
func statusRemedy(status int) string {
	switch {
	case status >= 300 && status < 400:
		return "redirects are not followed; put the final address into the URL template (https, trailing slash)"
	case status == 401 || status == 403:
		return "either the handler refused the client, or it did not trust the request: compare its access keys and allowed origins with the service's"
	case status == 404 || status == 405:
		return "no route takes a POST at this address; compare the path of the URL template with the handler's"
	case status == 413:
		return "the handler takes no body of this size; raise its limit"
	case status == 415 || status == 400:
		return "the handler did not understand the event; see its log"
	case status == 429:
		return "the handler is busy; 429 is not tried again"
	case status == 408 || status >= 500:
		return "the handler failed; see its log"
	}
	return "only 2xx accepts an event"
}

// ValidationError is the error of a handler that failed abuse protection, which
// goes before any event (CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery",
// section 4).
type ValidationError struct {
	// URL is the address that was asked, without the query.
	URL string
	// Reason names the rule and the remedy.
	Reason string
	// Status is the status of the answer, 0 if there was none.
	Status int
	// Err is why there was no answer, or nil.
	Err error
}

// Error returns the address and the reason.
func (e *ValidationError) Error() string {
	return fmt.Sprintf("event handler %s did not pass validation: %s", e.URL, e.Reason)
}

// Unwrap returns Err.
func (e *ValidationError) Unwrap() error { return e.Err }
