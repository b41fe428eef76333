package rest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/wire"
)

// payload reads the body of a send. An empty content type means binary.
func (c *call) payload() (webpubsub.Message, error) {
	body, err := c.readBody()
	if err != nil {
		return webpubsub.Message{}, err
	}
	contentType := c.r.Header.Get("Content-Type")
	m, err := payload.FromHTTP(contentType, body)
	if err == nil && contentType != "" {
		var params map[string]string
		if _, params, err = mime.ParseMediaType(contentType); err == nil {
			m.Data, err = toUTF8(m, params["charset"])
		}
	}
	if err != nil {
		return m, unsupportedType("The content type must be text/plain, application/json, application/octet-stream or application/x-protobuf.",
			"the content type "+contentType+" is none that the service takes: use one of the four without parameters, or with a charset of utf-8, utf-16 or iso-8859-1")
	}
	if err := wire.CheckPayload(m); err != nil {
		e := badRequest("Request", err.Error())
		if m.Type == webpubsub.DataTypeJSON {
			e.message, e.hidden = "The request body is not a valid JSON.", err.Error()
		}
		return m, e
	}
	if m.Metadata, err = metadata(c.r.Header); err != nil {
		return m, badRequest("Request", err.Error())
	}
	return m, nil
}

func unsupportedType(message, why string) *apiError {
	return &apiError{status: http.StatusUnsupportedMediaType, code: codeBadRequest, target: "Request", message: message, hidden: why}
}

// toUTF8 brings text and JSON into the encoding that WebSocket clients get. The
// charsets are those of .NET that have distinct names; invalid bytes become U+FFFD, as
// in .NET.
func toUTF8(m webpubsub.Message, charset string) ([]byte, error) {
	if m.Type != webpubsub.DataTypeText && m.Type != webpubsub.DataTypeJSON {
		return m.Data, nil
	}
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii":
		if m.Type == webpubsub.DataTypeJSON {
			return m.Data, nil // rejected later if it is not valid
		}
		return []byte(strings.ToValidUTF8(string(m.Data), "\uFFFD")), nil
	case "iso-8859-1", "latin1":
		out := make([]byte, 0, len(m.Data))
		for _, b := range m.Data {
			out = utf8.AppendRune(out, rune(b))
		}
		return out, nil
	case "utf-16", "utf-16le":
		return fromUTF16(m.Data, binary.LittleEndian), nil
	case "utf-16be":
		return fromUTF16(m.Data, binary.BigEndian), nil
	}
	return nil, payload.ErrContentType
}

func fromUTF16(data []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}

// readBody reads a body of a length that the caller must have declared.
func (c *call) readBody() ([]byte, error) {
	n := c.r.ContentLength
	if n < 0 || n > transport.MaxMessage || n == 0 && c.r.Header.Get("Content-Length") == "" {
		// A client that is still sending when the connection closes sees a reset
		// in place of the answer, so what it sends is read over, within reason.
		_, _ = io.Copy(io.Discard, io.LimitReader(c.r.Body, 16*transport.MaxMessage))
		e := badRequest("Request", "Invalid Content-Length header.")
		e.hidden = "Invalid Content-Length header: declare the length of the body, which is at most 1 MiB"
		return nil, e
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, transport.MaxMessage))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := badRequest("Request", "The request body came too slowly.")
		e.status, e.hidden = http.StatusRequestTimeout, fmt.Sprintf("the request body did not come within %v", transport.BodyTimeout)
		return nil, e
	case err != nil:
		return nil, badRequest("Request", "The request body ended early.")
	}
	return body, nil
}

// metadata reads the metadata of a send from its headers. Of several values, in
// lines or separated by commas, the last one counts.
func metadata(h http.Header) (map[string]string, error) {
	m := names.MetadataFrom(h, true)
	return m, names.Metadata(m)
}
