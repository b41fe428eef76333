package upstream

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/wire"
)

// Message returns what the client gets for a 2xx response to a user event
// (reference, "User events"). The zero Message means no reply. An empty body
// with metadata is an empty text, and a body without content type is binary.
// The error is why the response is a failure of the handler. An unreadable content
// type is one, and so are text and JSON that are not UTF-8 and application/x-protobuf
// that is not a google.protobuf.Any. Microsoft's emulator sends the first as binary,
// the others as they are, and clients fail to read them.
func (r Response) Message() (webpubsub.Message, error) { return r.message(false) }

// SimpleMessage is [Response.Message] for a client without a subprotocol: JSON
// need not be valid, since the client gets the text as it is.
func (r Response) SimpleMessage() (webpubsub.Message, error) { return r.message(true) }

func (r Response) message(simple bool) (webpubsub.Message, error) {
	if len(r.Body) == 0 {
		if len(r.Metadata) == 0 {
			return webpubsub.Message{}, nil
		}
		m := webpubsub.Text("")
		m.Metadata = r.Metadata
		return m, nil
	}
	m, err := payload.FromHTTP(r.ContentType, r.Body)
	if err != nil {
		return webpubsub.Message{}, fmt.Errorf("the response has the content type %q: %w", clip.Text(r.ContentType, maxShown), err)
	}
	if err := names.Metadata(r.Metadata); err != nil {
		return webpubsub.Message{}, fmt.Errorf("the response has %w", err)
	}
	// Each of these would break the frame that the client gets, and with it the
	// connection.
	switch {
	case m.Type == webpubsub.DataTypeText && !utf8.Valid(m.Data):
		return webpubsub.Message{}, errors.New("the response has the content type text/plain and its body is not UTF-8: respond with application/octet-stream")
	case m.Type == webpubsub.DataTypeJSON && !utf8.Valid(m.Data):
		return webpubsub.Message{}, errors.New("the response has the content type application/json and its body is not UTF-8: encode it in UTF-8")
	case m.Type == webpubsub.DataTypeJSON && !simple, m.Type == webpubsub.DataTypeProtobuf:
		if err := wire.CheckPayload(m); err != nil {
			return webpubsub.Message{}, fmt.Errorf("the response has the content type %s, but %w", clip.Text(r.ContentType, maxShown), err)
		}
	}
	m.Metadata = r.Metadata
	return m, nil
}
