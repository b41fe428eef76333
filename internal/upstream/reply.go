package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"example.com/webpubsub"
)

// Message returns what the client gets for a 2xx answer to a user event
// (reference, "User events"). The zero Message means nothing. An empty body
// with metadata is an empty text, and a body without content type is binary.
// The error says why the answer counts as a failure of the handler.
func (r Response) Message() (webpubsub.Message, error) {
	if len(r.Body) == 0 {
		if len(r.Metadata) == 0 {
			return webpubsub.Message{}, nil
		}
		m := webpubsub.Text("")
		m.Metadata = r.Metadata
		return m, nil
	}
	m, err := webpubsub.FromHTTP(r.ContentType, r.Body)
	if err != nil {
		return webpubsub.Message{}, fmt.Errorf("the answer has content type %q: %w", clip(r.ContentType), err)
	}
	// Either would end up in a frame that clients cannot read.
	switch {
	case m.Type == webpubsub.TypeJSON && !json.Valid(m.Data):
		return webpubsub.Message{}, errors.New("the answer says application/json and its body is not JSON: quote a plain string, or answer text/plain")
	case m.Type == webpubsub.TypeText && !utf8.Valid(m.Data):
		return webpubsub.Message{}, errors.New("the answer says text/plain and its body is not UTF-8: answer application/octet-stream")
	}
	m.Metadata = r.Metadata
	return m, nil
}
