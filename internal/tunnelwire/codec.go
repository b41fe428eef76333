package tunnelwire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/tinylib/msgp/msgp"
)

// Append appends the frame of a message to b, in the form that the service
// writes. It fails if the frame has 2 GiB or more.
func Append(b []byte, m Message) ([]byte, error) {
	text, content, err := encode(m)
	if err != nil {
		return b, fmt.Errorf("tunnel: %w", err)
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = msgp.AppendArrayHeader(b, 3)
	b = msgp.AppendInt(b, m.kind())
	b = msgp.AppendString(b, string(text))
	if content == nil {
		b = msgp.AppendNil(b)
	} else {
		b = msgp.AppendBytes(b, content)
	}
	size := len(b) - start - 4
	if size > math.MaxInt32 {
		return b[:start], fmt.Errorf("tunnel: a frame of %d bytes is too large", size)
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(size))
	return b, nil
}

// Decode reads the frame in one WebSocket message. What follows the frame is
// ignored. The body of the result shares memory with b.
func Decode(b []byte) (Message, error) {
	m, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("tunnel: malformed frame: %w", err)
	}
	return m, nil
}

func decode(b []byte) (Message, error) {
	if len(b) < 4 {
		return nil, errors.New("it has no length")
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, fmt.Errorf("its length is %d, but %d bytes follow", n, len(b))
	}
	b = b[:n]
	parts, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil {
		return nil, err
	}
	if parts != 3 {
		return nil, fmt.Errorf("it has %d parts, not 3", parts)
	}
	kind, b, err := msgp.ReadIntBytes(b)
	if err != nil {
		return nil, err
	}
	text, b, err := msgp.ReadStringZC(b)
	if err != nil {
		return nil, err
	}
	var content []byte
	if msgp.NextType(b) == msgp.NilType {
		b, err = msgp.ReadNilBytes(b)
	} else {
		content, b, err = msgp.ReadBytesZC(b)
	}
	if err != nil {
		return nil, err
	}
	if len(b) > 0 {
		return nil, errors.New("it is longer than its parts")
	}
	return decodeJSON(kind, text, content)
}

// The forms in JSON. The members have the order in which the service writes
// them, and TracingId, a number that means nothing here, is null.

type jsonRequest struct {
	Type         int
	AckID        int64  `json:"AckId"`
	Method       string `json:"HttpMethod"`
	URL          string `json:"Url"`
	Headers      http.Header
	LocalRouting bool
	ChannelName  string
	TracingID    *struct{} `json:"TracingId"`
}

type jsonResponse struct {
	Type         int
	AckID        int64 `json:"AckId"`
	StatusCode   int
	Headers      http.Header
	LocalRouting bool
	ChannelName  string
	NotCompleted bool
	TracingID    *struct{} `json:"TracingId"`
}

type jsonMessage struct {
	Type      int
	Message   string
	TracingID *struct{} `json:"TracingId"`
}

type jsonRedirect struct {
	Type      int
	TargetID  string `json:"TargetId"`
	Endpoint  string
	Message   string
	TracingID *struct{} `json:"TracingId"`
}

type jsonConnected struct {
	Type              int
	ConnectionID      string    `json:"ConnectionId"`
	UserID            *string   `json:"UserId"`
	ReconnectionToken *string   `json:"ReconnectionToken"`
	TracingID         *struct{} `json:"TracingId"`
}

func encode(m Message) (text, content []byte, err error) {
	var v any
	kind := m.kind()
	switch m := m.(type) {
	case *Request:
		v = jsonRequest{kind, m.AckID, m.Method, m.URL, headers(m.Header), m.LocalRouting, m.ChannelName, nil}
		content = m.Body
	case *Response:
		v = jsonResponse{kind, m.AckID, m.StatusCode, headers(m.Header), m.LocalRouting, m.ChannelName, m.NotCompleted, nil}
		content = m.Body
	case *Status:
		v = jsonMessage{kind, m.Message, nil}
	case *Close:
		v = jsonMessage{kind, m.Message, nil}
	case *Reconnect:
		v = jsonRedirect{kind, m.Target, m.Endpoint, m.Message, nil}
	case *Rebalance:
		v = jsonRedirect{kind, m.Target, m.Endpoint, m.Message, nil}
	case *Connected:
		v = jsonConnected{kind, m.ConnectionID, m.UserID, m.ReconnectionToken, nil}
	default:
		return nil, nil, fmt.Errorf("a message of type %d cannot be written", kind)
	}
	text, err = json.Marshal(v)
	return text, content, err
}

func headers(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return h
}

func decodeJSON(kind int, text, content []byte) (Message, error) {
	read := func(v any) error {
		if err := json.Unmarshal(text, v); err != nil {
			return fmt.Errorf("type %d: %w", kind, err)
		}
		return nil
	}
	switch kind {
	case typeRequest:
		var v jsonRequest
		err := read(&v)
		return &Request{v.AckID, v.Method, v.URL, v.Headers, v.LocalRouting, v.ChannelName, content}, err
	case typeResponse:
		var v jsonResponse
		err := read(&v)
		return &Response{v.AckID, v.StatusCode, v.Headers, v.LocalRouting, v.ChannelName, v.NotCompleted, content}, err
	case typeStatus, typeClose:
		var v jsonMessage
		if err := read(&v); err != nil || kind == typeStatus {
			return &Status{v.Message}, err
		}
		return &Close{v.Message}, nil
	case typeReconnect, typeRebalance:
		var v jsonRedirect
		err := read(&v)
		to := Redirect{v.TargetID, v.Endpoint, v.Message}
		if kind == typeReconnect {
			return &Reconnect{to}, err
		}
		return &Rebalance{to}, err
	case typeConnected:
		var v jsonConnected
		err := read(&v)
		return &Connected{v.ConnectionID, v.UserID, v.ReconnectionToken}, err
	}
	return &Unknown{kind}, nil
}
