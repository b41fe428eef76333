package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"example.com/webpubsub/internal/clip"
)

// ErrNoHandler is the error of an event for which no handler is configured.
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

// StatusError is the error of a handler whose last response was not 2xx.
type StatusError struct {
	// Status is the HTTP status of the last attempt.
	Status int
	// Event is the CloudEvents type of the event.
	Event string
	// URL is the address that responded, without the query.
	URL string
	// Attempts is the number of requests.
	Attempts int
	// Text is the beginning of the body, in which a handler gives its reason. It is empty
	// if the body is not text, or a page of HTML.
	Text string
	// Location is the target of a redirect, without the query. It is empty if there
	// is none.
	Location string
}

// Error names the status, the reason of the handler, and the remedy. The text of the
// handler is quoted, so that a terminal does not execute it.
func (e *StatusError) Error() string {
	text := ""
	if e.Text != "" {
		text = fmt.Sprintf(" (%q)", e.Text)
	}
	attempts := ""
	if e.Attempts > 1 {
		attempts = fmt.Sprintf(" after %d attempts", e.Attempts)
	}
	target := ""
	if e.Location != "" {
		target = " with a redirect to " + e.Location
	}
	return fmt.Sprintf("event handler %s responded with %d%s to %s%s%s: %s", e.URL, e.Status, text, e.Event, attempts, target, statusRemedy(e.Status))
}

// maxReason is how much of a body an error contains, in bytes.
const maxReason = 200

// reason returns the beginning of a body, if it is text for a reader of a log.
func reason(res Response) string {
	if media, _, _ := strings.Cut(res.ContentType, ";"); strings.EqualFold(strings.TrimSpace(media), "text/html") {
		return ""
	}
	text := clip.Text(string(res.Body[:min(len(res.Body), maxReason+utf8.UTFMax)]), maxReason)
	if !utf8.ValidString(text) {
		return ""
	}
	return strings.TrimSpace(text)
}

// location returns the target of a redirect, for an error.
func location(res Response, u *url.URL) string {
	if res.Status/100 != 3 || res.Header.Get("Location") == "" {
		return ""
	}
	target, err := u.Parse(res.Header.Get("Location"))
	if err != nil {
		return "an unreadable address"
	}
	return clip.Text(redactedURL(target), maxShown)
}

// statusRemedy returns what a status usually means, and the remedy.
func statusRemedy(status int) string {
	switch {
	case status >= 300 && status < 400:
		return "redirects are not followed; put the final address into the URL template (https, trailing slash)"
	case status == 401 || status == 403:
		return "the handler rejected the client, or it could not verify the request: compare its access keys and allowed origins with those of the service"
	case status == 404 || status == 405:
		return "the handler has no route for POST at this address; compare the path of the URL template with the handler's"
	case status == 413:
		return "the body is too large for the handler; raise its limit"
	case status == 415 || status == 400:
		return "the handler did not understand the event; see its log"
	case status == 429:
		return "the handler is busy; 429 is not retried"
	case status == 408 || status >= 500:
		return "the handler failed; see its log"
	}
	return "only 2xx accepts an event"
}

// ValidationError is the error of a handler that failed abuse protection, which
// precedes any event (CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery",
// section 4).
type ValidationError struct {
	// URL is the address of the request, without the query.
	URL string
	// Reason names the rule and the remedy.
	Reason string
	// Status is the status of the response, 0 if there was none.
	Status int
	// Err is why there was no response, or nil.
	Err error
}

// Error returns the address and the reason.
func (e *ValidationError) Error() string {
	return fmt.Sprintf("event handler %s failed validation: %s", e.URL, e.Reason)
}

// Unwrap returns Err.
func (e *ValidationError) Unwrap() error { return e.Err }
