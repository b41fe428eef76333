package upstream_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/payload"
	"example.com/webpubsub/internal/upstream"
)

func TestResponseMessage(t *testing.T) {
	meta := map[string]string{"trace": "1"}
	for _, tt := range []struct {
		name, contentType, body string
		metadata                map[string]string
		want                    webpubsub.Message
		err                     string
	}{
		{name: "nothing"},
		{name: "nothing of some type", contentType: "application/json"},
		{name: "metadata alone", metadata: meta, want: webpubsub.Message{Type: webpubsub.DataTypeText, Data: []byte{}, Metadata: meta}},
		{name: "text", contentType: "text/plain; charset=utf-8", body: "hi", want: webpubsub.Text("hi")},
		{name: "text with metadata", contentType: "text/plain", body: "hi", metadata: meta, want: webpubsub.Text("hi").WithMetadata("trace", "1")},
		{name: "JSON", contentType: "Application/JSON", body: `{"a": 1}`, want: webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte(`{"a": 1}`)}},
		{name: "binary", contentType: "application/octet-stream", body: "\xff", want: webpubsub.Binary([]byte("\xff"))},
		{name: "no content type", body: "\xff", want: webpubsub.Binary([]byte("\xff"))},
		{name: "protobuf", contentType: "application/x-protobuf", body: "\n\x01a", want: webpubsub.Protobuf([]byte("\n\x01a"))},
		{name: "protobuf that is no Any", contentType: "application/x-protobuf", body: "\n", err: "google.protobuf.Any"},
		{name: "JSON null", contentType: "application/json", body: "null", want: webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("null")}},
		{name: "deep JSON", contentType: "application/json", body: strings.Repeat("[", 65) + strings.Repeat("]", 65), err: "more deeply than 64"},
		{name: "JSON that is not UTF-8", contentType: "application/json", body: "\"\xff\"", err: "not UTF-8"},
		{name: "metadata that no client may send", contentType: "text/plain", body: "x", metadata: map[string]string{"a": "\xff"}, err: "printable ASCII"},
		{name: "content type that is none", contentType: "text", body: "x", err: "content type"},
		{name: "XML", contentType: "application/xml", body: "<a/>", err: "application/xml"},
		{name: "JSON that is none", contentType: "application/json", body: "hi", err: "not one JSON value"},
		{name: "text that is none", contentType: "text/plain", body: "\xff", err: "not UTF-8"},
	} {
		r := upstream.Response{Status: 200, ContentType: tt.contentType, Body: []byte(tt.body), Metadata: tt.metadata}
		got, err := r.Message()
		switch {
		case tt.err == "" && (err != nil || !reflect.DeepEqual(got, tt.want)):
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !got.IsZero()):
			t.Errorf("%s: %+v, %v, want an error with %q", tt.name, got, err, tt.err)
		}
	}
	_, err := upstream.Response{ContentType: "image/png", Body: []byte("x")}.Message()
	if !errors.Is(err, payload.ErrContentType) {
		t.Errorf("image/png: %v, want it to wrap ErrContentType", err)
	}
}

// A simple client has no frame that broken JSON could break: it gets the text as
// the service sends it, a byte order mark included.
func TestResponseMessageToSimpleClient(t *testing.T) {
	for _, body := range []string{"\ufeff{\"a\":1}", "  ", "not JSON", "null"} {
		m, err := upstream.Response{ContentType: "application/json", Body: []byte(body)}.SimpleMessage()
		if err != nil || string(m.Data) != body {
			t.Errorf("%q has become %q, %v", body, m.Data, err)
		}
	}
	if _, err := (upstream.Response{ContentType: "application/json", Body: []byte("\xff")}).SimpleMessage(); err == nil {
		t.Error("a text frame would not be UTF-8")
	}
}

// FuzzMessage: what an answer becomes can be put into a client's frame.
func FuzzMessage(f *testing.F) {
	f.Add("text/plain; charset=utf-8", []byte("hi"))
	f.Add("application/json", []byte(`{"a":1}`))
	f.Add("", []byte{0})
	f.Add("application/x-protobuf", []byte{8, 1})
	f.Add("text/plain", []byte{0xff})
	f.Add("a/b;", []byte("x"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := upstream.Response{Status: http.StatusOK, ContentType: contentType, Body: body}.Message()
		if err != nil {
			return
		}
		switch {
		case m.IsZero() != (len(body) == 0):
			t.Errorf("%d bytes became %+v", len(body), m)
		case m.Type == webpubsub.DataTypeJSON && !json.Valid(m.Data), m.Type == webpubsub.DataTypeText && !utf8.Valid(m.Data):
			t.Errorf("%q of type %q passed", body, contentType)
		}
	})
}
