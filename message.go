package webpubsub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// DataType says how a payload is encoded. The values are the service's own
// names, as they stand in the dataType field of the JSON subprotocol.
type DataType string

// The four data types of the service.
const (
	TypeText     DataType = "text"
	TypeJSON     DataType = "json"
	TypeBinary   DataType = "binary"
	TypeProtobuf DataType = "protobuf"
)

// Content types of the four data types, in REST bodies and upstream events.
const (
	contentText     = "text/plain"
	contentJSON     = "application/json"
	contentBinary   = "application/octet-stream"
	contentProtobuf = "application/x-protobuf"
)

// ContentType returns the MIME type that carries the data type over HTTP, for
// example "application/json". An unknown data type counts as binary.
func (t DataType) ContentType() string {
	switch t {
	case TypeText:
		return contentText
	case TypeJSON:
		return contentJSON
	case TypeProtobuf:
		return contentProtobuf
	default:
		return contentBinary
	}
}

// Message is one payload with its data type: what a client sends, what a
// handler replies, what the service client delivers. Make one with [Text],
// [JSON], [Binary] or [Protobuf]. The zero Message means "nothing": a handler
// that returns it sends no reply.
type Message struct {
	// Type is how Data is to be read.
	Type DataType
	// Data is the payload: UTF-8 text, one JSON value, any bytes, or an encoded
	// google.protobuf.Any.
	Data []byte
	// Metadata travels beside the payload. Keys are HTTP tokens of at most 256
	// bytes, values are ASCII of at most 1,024 bytes, 8 KiB in all. Keys that
	// pass through HTTP headers arrive in lower case.
	Metadata map[string]string

	err error
}

// Text returns a text message.
func Text(s string) Message { return Message{Type: TypeText, Data: []byte(s)} }

// JSON returns a message that holds v encoded as JSON; of a [json.RawMessage]
// only insignificant white space is lost. Where v cannot be encoded,
// [Message.Err] says why, and sending the message fails with that error.
func JSON(v any) Message {
	data, err := marshal(v)
	if err != nil {
		err = fmt.Errorf("webpubsub: message is not JSON: %w", err)
	}
	return Message{Type: TypeJSON, Data: data, err: err}
}

// marshal encodes without HTML escaping: a payload is not HTML, and the
// receiver should get the characters that the sender wrote.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Binary returns a binary message. The bytes are not copied.
func Binary(b []byte) Message { return Message{Type: TypeBinary, Data: b} }

// Protobuf returns a message that holds an encoded google.protobuf.Any. The
// bytes are not copied.
func Protobuf(encodedAny []byte) Message { return Message{Type: TypeProtobuf, Data: encodedAny} }

// ErrContentType is the error of [FromHTTP] for a content type that is none of
// the four that the service knows.
var ErrContentType = errors.New("webpubsub: the content type must be text/plain, application/json, application/octet-stream or application/x-protobuf")

// FromHTTP returns the message that an HTTP body stands for. Parameters of the
// content type are ignored; an empty content type means binary, as it does in
// the service. It fails with [ErrContentType] for any other type.
func FromHTTP(contentType string, body []byte) (Message, error) {
	if contentType == "" {
		return Binary(body), nil
	}
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case contentText:
		return Message{Type: TypeText, Data: body}, nil
	case contentJSON:
		return Message{Type: TypeJSON, Data: body}, nil
	case contentBinary:
		return Binary(body), nil
	case contentProtobuf:
		return Protobuf(body), nil
	}
	return Message{}, ErrContentType
}

// WithMetadata returns a copy of m that carries one metadata entry more.
func (m Message) WithMetadata(key, value string) Message {
	m.Metadata = maps.Clone(m.Metadata)
	if m.Metadata == nil {
		m.Metadata = make(map[string]string)
	}
	m.Metadata[key] = value
	return m
}

// IsZero reports whether m is the zero Message, which stands for "nothing".
func (m Message) IsZero() bool {
	return m.Type == "" && m.Data == nil && m.Metadata == nil && m.err == nil
}

// Err returns why the message could not be built, or nil.
func (m Message) Err() error { return m.err }

// Check returns why the service would not deliver the message as it is, or nil:
// it could not be built, its type is none of the four, its text is not UTF-8, or
// its data is not one JSON value. Sends and replies are checked so, since the
// service refuses them without telling why. A message without type and data
// passes: it stands for "nothing".
func (m Message) Check() error {
	if m.err != nil {
		return m.err
	}
	switch m.Type {
	case TypeText:
		if !utf8.Valid(m.Data) {
			return errors.New("the text is not UTF-8: send it as webpubsub.Binary")
		}
	case TypeJSON:
		if !utf8.Valid(m.Data) || !json.Valid(m.Data) {
			return errors.New("the data is not one JSON value in UTF-8: make the message with webpubsub.JSON")
		}
	case TypeBinary, TypeProtobuf:
	default:
		if m.Type != "" || len(m.Data) > 0 {
			return fmt.Errorf("unknown data type %q: make the message with webpubsub.Text, JSON, Binary or Protobuf", m.Type)
		}
	}
	return nil
}

// Decode stores the JSON payload in v, as [json.Unmarshal] does. Only a JSON
// message can be decoded.
func (m Message) Decode(v any) error {
	if m.err != nil {
		return m.err
	}
	if m.Type != TypeJSON {
		return fmt.Errorf("webpubsub: cannot decode a %s message as JSON: have the sender use the data type json", m.Type)
	}
	if err := json.Unmarshal(m.Data, v); err != nil {
		return fmt.Errorf("webpubsub: decode message: %w", err)
	}
	return nil
}

// String returns the payload of a text or JSON message as it is, and a short
// description of any other.
func (m Message) String() string {
	switch m.Type {
	case TypeText, TypeJSON:
		return string(m.Data)
	case "":
		return ""
	default:
		return fmt.Sprintf("%s message of %d bytes", m.Type, len(m.Data))
	}
}
