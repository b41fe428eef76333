package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"example.com/webpubsub/internal/emulator/access"
)

// apiError is an error response of the REST API. The service has two forms: a
// plain one, and a longer one where a parameter breaks a rule.
type apiError struct {
	status        int
	code, message string
	target        string
	validation    bool   // the longer form
	contentType   string // default: application/json; charset=utf-8
	hidden        string // for the journal in place of the message; not sent
	challenge     string // of a 401
}

func (e *apiError) Error() string { return e.message }

func (e *apiError) why() string {
	if e.hidden != "" {
		return e.hidden
	}
	return e.message
}

const codeBadRequest = "Error.BadRequest"

func notFound(code, target, message string) *apiError {
	return &apiError{status: http.StatusNotFound, code: code, target: target, message: message}
}

func badRequest(target, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: codeBadRequest, target: target, message: message}
}

// invalid is the error for a parameter or a field that breaks a rule. JSON
// clients see the whole body as the message because of its content type, which
// the official tests count on.
func invalid(target, message string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, code: codeBadRequest, target: target, message: message,
		validation: true, contentType: "application/problem+json; charset=utf-8",
	}
}

// unauthorized has no body: what is wrong with a token is for the operator.
func unauthorized(e *access.Unauthorized) *apiError {
	return &apiError{status: http.StatusUnauthorized, hidden: e.Reason, challenge: "Bearer" + e.Challenge}
}

func asAPIError(err error) *apiError {
	var e *apiError
	if errors.As(err, &e) {
		return e
	}
	return &apiError{status: http.StatusInternalServerError, code: "Error.InternalServerError", message: err.Error()}
}

// plainError and validationError are the two bodies. The order of the fields is
// the service's.
type plainError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Target  *string `json:"target"`
	Details any     `json:"details"`
	Inner   any     `json:"inner"`
}

type validationError struct {
	Code       string              `json:"code"`
	Message    string              `json:"message"`
	Target     string              `json:"target"`
	Errors     map[string][]string `json:"errors"`
	Type       any                 `json:"type"`
	Title      string              `json:"title"`
	Status     int                 `json:"status"`
	Detail     any                 `json:"detail"`
	Instance   any                 `json:"instance"`
	Extensions struct{}            `json:"extensions"`
}

func (e *apiError) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if e.challenge != "" {
		h.Set("WWW-Authenticate", e.challenge)
	}
	if e.code == "" {
		w.WriteHeader(e.status)
		return
	}
	var body any
	if e.validation {
		h.Del("Api-Supported-Versions") // the service leaves it out here
		body = validationError{
			Code: e.code, Message: e.message, Target: e.target,
			Errors: map[string][]string{e.target: {e.message}},
			Title:  "One or more validation errors occurred.", Status: e.status,
		}
	} else {
		p := plainError{Code: e.code, Message: e.message}
		if e.target != "" {
			p.Target = &e.target
		}
		body = p
	}
	data := encodeJSON(body)
	h.Set("X-Ms-Error-Code", e.code)
	h.Set("Content-Type", "application/json; charset=utf-8")
	if e.contentType != "" {
		h.Set("Content-Type", e.contentType)
	}
	h.Set("Content-Length", strconv.Itoa(len(data))) // also of a HEAD, which has no body
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data)
	}
}

// encodeJSON writes compact JSON without HTML escapes, as the service does.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the values are our own structs and always encode
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
