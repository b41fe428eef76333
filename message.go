package webpubsub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
)

// DataType is the encoding of a payload. The values are the names that the
// service uses in the dataType field of the JSON subprotocol.
type DataType string

// The data types of the service.
const (
	DataTypeText     DataType = "text"
	DataTypeJSON     DataType = "json"
	DataTypeBinary   DataType = "binary"
	DataTypeProtobuf DataType = "protobuf"
)

// Message is a payload with its data type: a message that a client publishes,
// that an event handler replies with, or that the service client sends. Create
// one with [Text], [JSON], [Binary] or [Protobuf]. The zero Message is no
// message: an event handler that replies with it sends no reply.
type Message struct {
	// Type is the encoding of Data.
	Type DataType
	// Data is the payload: UTF-8 text, one JSON value, any bytes, or an encoded
	// google.protobuf.Any.
	Data []byte
	// Metadata is sent with the payload. Keys are HTTP tokens of at most 256
	// bytes, values are printable ASCII of at most 1,024 bytes, 8 KiB in total.
	// Keys that are sent as HTTP headers are received in lower case.
	Metadata map[string]string
}

// Text returns a text message.
func Text(s string) Message { return Message{Type: DataTypeText, Data: []byte(s)} }

// JSON returns a message that contains the JSON encoding of v, without HTML
// escaping. It returns an error if v cannot be encoded, see [json.Marshal].
func JSON(v any) (Message, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	// A payload is not HTML: the receiver gets the characters of the sender.
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return Message{}, fmt.Errorf("webpubsub: encode message: %w", err)
	}
	return Message{Type: DataTypeJSON, Data: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// MustJSON is like [JSON] but panics if v cannot be encoded. It is for values
// whose type can always be encoded, such as a struct of strings and numbers.
func MustJSON(v any) Message {
	m, err := JSON(v)
	if err != nil {
		panic(err)
	}
	return m
}

// Binary returns a binary message. It does not copy b.
func Binary(b []byte) Message { return Message{Type: DataTypeBinary, Data: b} }

// Protobuf returns a message that contains an encoded google.protobuf.Any. It
// does not copy encodedAny.
func Protobuf(encodedAny []byte) Message { return Message{Type: DataTypeProtobuf, Data: encodedAny} }

// WithMetadata returns a copy of m with the metadata value for key set.
func (m Message) WithMetadata(key, value string) Message {
	m.Metadata = maps.Clone(m.Metadata)
	if m.Metadata == nil {
		m.Metadata = make(map[string]string)
	}
	m.Metadata[key] = value
	return m
}

// IsZero reports whether m is the zero Message.
func (m Message) IsZero() bool { return m.Type == "" && m.Data == nil && m.Metadata == nil }

// Decode parses the payload of a JSON message and stores it in v, see
// [json.Unmarshal]. It returns an error if the message has another data type.
func (m Message) Decode(v any) error {
	if m.Type != DataTypeJSON {
		return fmt.Errorf("webpubsub: cannot decode a %s message as JSON: send it with data type json", m.Type)
	}
	if err := json.Unmarshal(m.Data, v); err != nil {
		return fmt.Errorf("webpubsub: decode message: %w", err)
	}
	return nil
}

// String returns the payload of a text or JSON message, and a description of the
// payload of any other message.
func (m Message) String() string {
	switch m.Type {
	case DataTypeText, DataTypeJSON:
		return string(m.Data)
	case "":
		return ""
	default:
		return fmt.Sprintf("%s message of %d bytes", m.Type, len(m.Data))
	}
}
