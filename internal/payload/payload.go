// Package payload implements the rules for the payload of a [webpubsub.Message] that
// is sent over HTTP: in REST calls, in events and in the replies to them.
package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"example.com/webpubsub"
)

// Content types of the four data types.
const (
	contentText     = "text/plain"
	contentJSON     = "application/json"
	contentBinary   = "application/octet-stream"
	contentProtobuf = "application/x-protobuf"
)

// ErrContentType is the error of [FromHTTP] for an unsupported content type.
var ErrContentType = errors.New("the content type must be text/plain, application/json, application/octet-stream or application/x-protobuf")

// ContentType returns the content type of a data type. An unknown data type is
// binary.
func ContentType(t webpubsub.DataType) string {
	switch t {
	case webpubsub.DataTypeText:
		return contentText
	case webpubsub.DataTypeJSON:
		return contentJSON
	case webpubsub.DataTypeProtobuf:
		return contentProtobuf
	default:
		return contentBinary
	}
}

// FromHTTP returns the message with the given content type and body. Parameters
// of the content type are ignored. No content type means binary, as in the
// service.
func FromHTTP(contentType string, body []byte) (webpubsub.Message, error) {
	if contentType == "" {
		return webpubsub.Binary(body), nil
	}
	media, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case contentText:
		return webpubsub.Message{Type: webpubsub.DataTypeText, Data: body}, nil
	case contentJSON:
		return webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: body}, nil
	case contentBinary:
		return webpubsub.Binary(body), nil
	case contentProtobuf:
		return webpubsub.Protobuf(body), nil
	}
	return webpubsub.Message{}, ErrContentType
}

// Check reports why the service would drop the message without an error, or nil:
// its type is unknown, its text is not UTF-8, or its data is not one JSON value.
// The zero Message is valid.
func Check(m webpubsub.Message) error {
	switch m.Type {
	case webpubsub.DataTypeText:
		if !utf8.Valid(m.Data) {
			return errors.New("the text is not UTF-8: send it as webpubsub.Binary")
		}
	case webpubsub.DataTypeJSON:
		if !utf8.Valid(m.Data) || !json.Valid(m.Data) {
			return errors.New("the data is not one JSON value in UTF-8: create the message with webpubsub.JSON")
		}
	case webpubsub.DataTypeBinary, webpubsub.DataTypeProtobuf:
	default:
		if m.Type != "" || len(m.Data) > 0 {
			return fmt.Errorf("unknown data type %q: create the message with webpubsub.Text, JSON, Binary or Protobuf", m.Type)
		}
	}
	return nil
}
