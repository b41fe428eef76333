package journal

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"unicode/utf8"

	"example.com/webpubsub/internal/upstream"
	"example.com/webpubsub/internal/wire"
)

// MaxPayload is how much is kept of one payload, in bytes.
const MaxPayload = 64 << 10

// DetailState is what is kept of the detail of an entry.
type DetailState string

// The states.
const (
	DetailKept    DetailState = "kept"
	DetailDropped DetailState = "dropped" // to make room for newer ones
	DetailNone    DetailState = "none"
)

// CauseKind is what a [Cause] is.
type CauseKind string

// The kinds of causes.
const (
	CauseHandshake CauseKind = "handshake"
	CauseFrame     CauseKind = "frame"
	CauseREST      CauseKind = "rest"
	CauseControl   CauseKind = "control"
	CauseReplay    CauseKind = "replay"
)

// Cause is what one or several entries follow from: a handshake, a frame of a
// client, a call. A nil Cause is one that is not recorded: its methods do nothing.
type Cause struct {
	ID   uint64
	Kind CauseKind

	journal  *Journal
	recorded atomic.Bool // frame or request was set

	// Guarded by the journal's lock.
	frame   *Frame
	request *Exchange
	size    int
	entries int // that are kept and have this cause
}

// SetFrame records the frame of a client.
func (c *Cause) SetFrame(f Frame) {
	if c != nil {
		c.set(func() { c.frame = &f })
	}
}

// SetRequest records a handshake or a call. Call it again when there is a response.
func (c *Cause) SetRequest(x Exchange) {
	if c != nil {
		c.set(func() { c.request = &x })
	}
}

func (c *Cause) set(record func()) {
	j := c.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	record()
	before := c.size
	c.size = 0
	if c.frame != nil {
		c.size += c.frame.Raw.size()
	}
	if c.request != nil {
		c.size += c.request.size()
	}
	c.recorded.Store(true)
	if c.entries > 0 {
		j.detailBytes += c.size - before
		j.strip()
	}
}

// Detail is what an entry is about, beyond its fields and its cause. Any part may
// be missing.
type Detail struct {
	// Upstream is the request to the event handler and its response.
	Upstream *Exchange
	// Event is what Upstream carried, to be replayed.
	Event *upstream.Event
	// Message is the message that was sent, and Protocols those of its receivers.
	Message   *Payload
	Data      *wire.Data
	Protocols []wire.Protocol
	// Imported is the content of an entry that was imported, as the control API shows
	// it.
	Imported []byte
}

func (d *Detail) size() int {
	if d == nil {
		return 0
	}
	n := 500 + len(d.Imported) // the structures
	if d.Upstream != nil {
		n += d.Upstream.size()
	}
	if d.Message != nil {
		n += d.Message.size()
	}
	return n
}

// Frame is a message that a client sent.
type Frame struct {
	// Type is the type in the client protocol or of the MQTT packet.
	Type string `json:"type"`
	// Protocol is that of the client, see [ProtocolName].
	Protocol string `json:"protocol"`
	// MQTTVersion is 3.1.1 or 5.0; empty for other protocols.
	MQTTVersion string  `json:"mqttVersion,omitempty"`
	Raw         Payload `json:"raw"`
}

// Exchange is an HTTP request and its response, without secrets.
type Exchange struct {
	Method          string              `json:"method"`
	URL             string              `json:"url"`
	RequestHeaders  map[string][]string `json:"requestHeaders"`
	RequestBody     *Payload            `json:"requestBody,omitempty"`
	Status          int                 `json:"status,omitempty"` // 0: there was no response
	ResponseHeaders map[string][]string `json:"responseHeaders,omitempty"`
	ResponseBody    *Payload            `json:"responseBody,omitempty"`
	Error           string              `json:"error,omitempty"`
	DurationMs      float64             `json:"durationMs,omitempty"`
}

// NewExchange returns the beginning of an exchange, the head of a request.
func NewExchange(r *http.Request) Exchange {
	return Exchange{Method: r.Method, URL: RedactURL(r.URL.RequestURI()), RequestHeaders: RedactHeader(r.Header)}
}

func (x *Exchange) size() int {
	n := len(x.URL) + len(x.Error)
	for _, h := range []map[string][]string{x.RequestHeaders, x.ResponseHeaders} {
		for name, values := range h {
			n += len(name) + 50
			for _, v := range values {
				n += len(v)
			}
		}
	}
	for _, p := range []*Payload{x.RequestBody, x.ResponseBody} {
		if p != nil {
			n += p.size()
		}
	}
	return n
}

// Payload is the beginning of some bytes. In JSON it is text if it is UTF-8, else
// base64.
type Payload struct {
	Data        []byte // at most MaxPayload
	Bytes       int    // of the whole
	ContentType string
}

// NewPayload keeps the beginning of data, which must not change any more.
func NewPayload(data []byte, contentType string) Payload {
	p := Payload{Data: data, Bytes: len(data), ContentType: contentType}
	if len(data) > MaxPayload {
		p.Data = append([]byte(nil), data[:MaxPayload]...) // the rest is not kept
	}
	return p
}

// Truncated reports whether not all of it was kept.
func (p Payload) Truncated() bool { return len(p.Data) < p.Bytes }

func (p Payload) size() int { return len(p.Data) + len(p.ContentType) + 100 }

type payloadJSON struct {
	Encoding    string `json:"encoding"`
	Data        string `json:"data"`
	Bytes       int    `json:"bytes"`
	Truncated   bool   `json:"truncated"`
	ContentType string `json:"contentType,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (p Payload) MarshalJSON() ([]byte, error) {
	out := payloadJSON{Encoding: "utf8", Bytes: p.Bytes, Truncated: p.Truncated(), ContentType: p.ContentType}
	data := p.Data
	if out.Truncated { // the cut may be within a character
		for i := 0; i < utf8.UTFMax && len(data) > 0 && !utf8.Valid(data); i++ {
			data = data[:len(data)-1]
		}
	}
	if out.Data = string(data); !utf8.Valid(data) {
		out.Encoding, out.Data = "base64", base64.StdEncoding.EncodeToString(p.Data)
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *Payload) UnmarshalJSON(b []byte) error {
	var in payloadJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	data := []byte(in.Data)
	switch in.Encoding {
	case "utf8":
	case "base64":
		var err error
		if data, err = base64.StdEncoding.DecodeString(in.Data); err != nil {
			return fmt.Errorf("data is not base64: %w", err)
		}
	default:
		return fmt.Errorf("encoding %q is neither utf8 nor base64", in.Encoding)
	}
	if len(data) > MaxPayload {
		data = data[:MaxPayload]
	}
	if in.Bytes < len(data) {
		return errors.New("bytes is less than what data has")
	}
	*p = Payload{Data: data, Bytes: in.Bytes, ContentType: in.ContentType}
	return nil
}

// ProtocolName is what the control API calls the protocol of a client.
func ProtocolName(subprotocol string) string {
	p, known := wire.Lookup(subprotocol)
	switch {
	case known:
		return [...]string{wire.JSON: "json", wire.ReliableJSON: "jsonReliable", wire.Protobuf: "protobuf", wire.ReliableProtobuf: "protobufReliable"}[p]
	case subprotocol == "mqtt":
		return "mqtt"
	}
	return "simple"
}
