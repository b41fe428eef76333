package handlertest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/payload"
)

// Response is what a handler answered, and what the service makes of it.
type Response struct {
	// Status, Header and Body are the answer as it is on the wire.
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request to a handler, without a network, and returns its answer.
func Do(h http.Handler, r *http.Request) *Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return &Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
}

// OK reports whether the answer is a success: the connection was accepted, the
// event was handled.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Message returns the reply to a user event as the service reads it. The zero
// Message means that the client gets nothing: there is no reply, or the event
// failed.
func (r *Response) Message() webpubsub.Message {
	const prefix = "X-Webpubsub-Metadata-"
	var metadata map[string]string
	for k, v := range r.Header {
		if name, ok := strings.CutPrefix(k, prefix); ok && len(v) > 0 {
			if metadata == nil {
				metadata = make(map[string]string)
			}
			metadata[strings.ToLower(name)] = v[len(v)-1]
		}
	}
	if !r.OK() || len(r.Body) == 0 && metadata == nil {
		return webpubsub.Message{}
	}
	m := webpubsub.Text("")
	if len(r.Body) > 0 {
		var err error
		if m, err = payload.FromHTTP(r.Header.Get("Content-Type"), r.Body); err != nil {
			m = webpubsub.Binary(r.Body)
		}
	}
	m.Metadata = metadata
	return m
}

// Accepted is the body of an answer that accepts a connection. What is nil was
// left out, which keeps what the client's token says.
type Accepted struct {
	UserID      *string                   `json:"userId"`
	Groups      []string                  `json:"groups"`
	Roles       []string                  `json:"roles"`
	Subprotocol *string                   `json:"subprotocol"`
	MQTT        *handler.MQTTConnectReply `json:"mqtt"`
}

// Accepted returns what the answer to a connect event changes. It is zero where
// the connection was refused, or accepted without a change.
func (r *Response) Accepted() Accepted {
	var a Accepted
	if r.OK() && len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &a); err != nil {
			return Accepted{}
		}
	}
	return a
}

// State returns the connection state that the service keeps from now on, and
// false where the answer leaves it as it was.
func (r *Response) State() (map[string]json.RawMessage, bool) {
	values, ok := r.Header["Ce-Connectionstate"]
	if !ok || len(values) == 0 || !r.OK() {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(values[len(values)-1])
	if err != nil {
		return nil, false
	}
	var state map[string]json.RawMessage
	if err := json.Unmarshal(b, &state); err != nil || state == nil {
		return nil, false
	}
	return state, true
}
