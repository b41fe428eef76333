package handler

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// response is an HTTP response that has not been written yet, and that
// deduplication can keep.
type response struct {
	status      int
	contentType string
	state       string
	header      []headerField
	body        []byte
	// rejection is set if the handler itself rejected the request.
	rejection *rejection
}

type headerField struct{ key, value string }

// add adds a header; key must be in the canonical form of net/http.
func (r *response) add(key, value string) { r.header = append(r.header, headerField{key, value}) }

// size is the approximate memory that the response needs.
func (r *response) size() int {
	n := 256 + len(r.contentType) + len(r.state) + len(r.body)
	for _, f := range r.header {
		n += len(f.key) + len(f.value)
	}
	return n
}

// clone returns a copy that shares no memory with what the callback returned: a
// callback may reuse its buffer, and a short string may be part of a long one.
func (r *response) clone() response {
	out := *r
	out.contentType = strings.Clone(r.contentType)
	out.body = bytes.Clone(r.body)
	out.header = slices.Clone(r.header)
	for i, f := range out.header {
		out.header[i] = headerField{strings.Clone(f.key), strings.Clone(f.value)}
	}
	return out
}

func (r *response) write(w http.ResponseWriter) {
	h := w.Header()
	if r.contentType != "" {
		h[headerContentType] = []string{r.contentType}
	}
	if r.state != "" {
		h[headerState] = []string{r.state}
	}
	for _, f := range r.header {
		h[f.key] = append(h[f.key], f.value)
	}
	w.WriteHeader(r.status)
	if len(r.body) > 0 {
		// An error means that the connection is closed.
		_, _ = w.Write(r.body)
	}
}

// rejectionResponse is the response to a request that the handler rejected. The
// body of a 401 contains no details, because the caller is not authenticated.
func rejectionResponse(rej *rejection) response {
	text := rej.reason
	if rej.status == http.StatusUnauthorized {
		text = http.StatusText(rej.status)
	}
	return response{status: rej.status, contentType: contentTypeText, body: []byte(text), rejection: rej}
}

// failureResponse is the response if a callback returned an error. Only a
// [RejectError] chooses its content.
func failureResponse(err error) response {
	out := response{
		status:      http.StatusInternalServerError,
		contentType: contentTypeText,
		body:        []byte(http.StatusText(http.StatusInternalServerError)),
	}
	var rejected *RejectError
	if errors.As(err, &rejected) {
		out.status = rejected.status()
		out.contentType, out.body = "", nil
		if rejected.Reason != "" {
			out.contentType, out.body = contentTypeText, []byte(rejected.Reason)
		}
	}
	return out
}
