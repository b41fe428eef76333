package handler

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// reply is an answer on its way out: small enough to be remembered and sent
// again.
type reply struct {
	status      int
	contentType string
	state       string
	header      []headerField
	body        []byte
	// refusal is set where the handler itself said no.
	refusal *refusal
}

type headerField struct{ key, value string }

func (r *reply) add(key, value string) { r.header = append(r.header, headerField{key, value}) }

func (r *reply) addState(s *ConnectionState) {
	if s.changed {
		r.state = s.encoded()
	}
}

// size is about how many bytes it takes to remember the reply.
func (r *reply) size() int {
	n := 256 + len(r.state) + len(r.body)
	for _, f := range r.header {
		n += len(f.key) + len(f.value)
	}
	return n
}

// clone returns a copy that shares no memory with what the callback returned: a
// callback may use its buffer again, and a short text may be part of a long one.
func (r *reply) clone() reply {
	out := *r
	out.body = bytes.Clone(r.body)
	out.header = slices.Clone(r.header)
	for i, f := range out.header {
		out.header[i] = headerField{strings.Clone(f.key), strings.Clone(f.value)}
	}
	return out
}

func (r *reply) write(w http.ResponseWriter) {
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
		// Nobody is left to tell when the connection has gone.
		_, _ = w.Write(r.body)
	}
}

// refused is the answer to a refusal. A stranger learns nothing from a 401.
func refused(no *refusal) reply {
	text := no.rule
	if no.status == http.StatusUnauthorized {
		text = http.StatusText(no.status)
	}
	return reply{status: no.status, contentType: contentTypeText, body: []byte(text), refusal: no}
}

// rejected is the answer to a callback's error. Only a [RejectError] chooses
// what it says.
func rejected(err error) reply {
	out := reply{
		status:      http.StatusInternalServerError,
		contentType: contentTypeText,
		body:        []byte(http.StatusText(http.StatusInternalServerError)),
	}
	var rejection *RejectError
	if errors.As(err, &rejection) {
		out.status = rejection.status()
		out.contentType, out.body = "", nil
		if rejection.Reason != "" {
			out.contentType, out.body = contentTypeText, []byte(rejection.Reason)
		}
	}
	return out
}
