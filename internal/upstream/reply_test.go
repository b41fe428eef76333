package upstream_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub"
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
		{name: "metadata alone", metadata: meta, want: webpubsub.Message{Type: webpubsub.TypeText, Data: []byte{}, Metadata: meta}},
		{name: "text", contentType: "text/plain; charset=utf-8", body: "hi", want: webpubsub.Text("hi")},
		{name: "text with metadata", contentType: "text/plain", body: "hi", metadata: meta, want: webpubsub.Text("hi").WithMetadata("trace", "1")},
		{name: "JSON", contentType: "Application/JSON", body: `{"a": 1}`, want: webpubsub.Message{Type: webpubsub.TypeJSON, Data: []byte(`{"a": 1}`)}},
		{name: "binary", contentType: "application/octet-stream", body: "\xff", want: webpubsub.Binary([]byte("\xff"))},
		{name: "no content type", body: "\xff", want: webpubsub.Binary([]byte("\xff"))},
		{name: "protobuf", contentType: "application/x-protobuf", body: "\n", want: webpubsub.Protobuf([]byte("\n"))},
		{name: "XML", contentType: "application/xml", body: "<a/>", err: "application/xml"},
		{name: "JSON that is none", contentType: "application/json", body: "hi", err: "not JSON"},
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
	if !errors.Is(err, webpubsub.ErrContentType) {
		t.Errorf("image/png: %v, want it to wrap ErrContentType", err)
	}
}
