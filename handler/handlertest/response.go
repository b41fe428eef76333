package handlertest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
)

// Response is the response of a handler. Its methods return what the service reads
// from it.
type Response struct {
	// Status, Header and Body are those of the HTTP response.
	Status int
	Header http.Header
	Body   []byte
}

// Do passes a request to a handler, without a network, and returns the response.
func Do(h http.Handler, r *http.Request) *Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return &Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
}

// OK reports whether the response is a success: the connection was accepted, or the
// event was handled.
func (r *Response) OK() bool { return r.Status >= 200 && r.Status < 300 }

// Message returns the reply to a user event. It returns the zero Message if there is
// no reply or the event failed.
func (r *Response) Message() webpubsub.Message {
	metadata := names.MetadataFrom(r.Header, true)
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

// Accepted is the body of a response that accepts a connection. A nil field is not
// in the body: the connection has the value of the client's access token.
type Accepted struct {
	UserID      *string                      `json:"userId"`
	Groups      []string                     `json:"groups"`
	Roles       []string                     `json:"roles"`
	Subprotocol *string                      `json:"subprotocol"`
	MQTT        *handler.MQTTConnectResponse `json:"mqtt"`
}

// Accepted returns the body of the response to a connect event. It is zero if the
// connection was rejected, or accepted without a body.
func (r *Response) Accepted() Accepted {
	var a Accepted
	if r.OK() && len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &a); err != nil {
			return Accepted{}
		}
	}
	return a
}

// State returns the new state of the connection, and false if the response does not
// change it.
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
