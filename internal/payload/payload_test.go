package payload_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/payload"
)

func TestFromHTTP(t *testing.T) {
	for contentType, want := range map[string]webpubsub.DataType{
		"":                                webpubsub.DataTypeBinary,
		"application/octet-stream":        webpubsub.DataTypeBinary,
		"TEXT/Plain":                      webpubsub.DataTypeText,
		"application/json; charset=utf-8": webpubsub.DataTypeJSON,
		"application/json; damaged;;=":    webpubsub.DataTypeJSON,
		"application/x-protobuf":          webpubsub.DataTypeProtobuf,
	} {
		m, err := payload.FromHTTP(contentType, []byte("{}"))
		if err != nil || m.Type != want || string(m.Data) != "{}" {
			t.Errorf("%q: got %v %v, want %s", contentType, m, err, want)
		}
	}
	for _, contentType := range []string{"text/html", "application/jsonx", "/", "application/cloudevents+json"} {
		if _, err := payload.FromHTTP(contentType, nil); !errors.Is(err, payload.ErrContentType) {
			t.Errorf("%q: got %v, want ErrContentType", contentType, err)
		}
	}
}

func TestContentType(t *testing.T) {
	for _, m := range []webpubsub.Message{webpubsub.Text("a"), webpubsub.MustJSON(1), webpubsub.Binary(nil), webpubsub.Protobuf(nil)} {
		if got, err := payload.FromHTTP(payload.ContentType(m.Type), nil); err != nil || got.Type != m.Type {
			t.Errorf("%s: %v, %v", m.Type, got, err)
		}
	}
	if got := payload.ContentType("unknown"); got != "application/octet-stream" {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	message := func(kind webpubsub.DataType, data string) webpubsub.Message {
		return webpubsub.Message{Type: kind, Data: []byte(data)}
	}
	for _, m := range []webpubsub.Message{
		{},
		webpubsub.Text(""), webpubsub.Text("ä"), webpubsub.MustJSON(nil), webpubsub.Binary([]byte{0xff}), webpubsub.Protobuf(nil),
		webpubsub.Message{}.WithMetadata("a", "b"),
	} {
		if err := payload.Check(m); err != nil {
			t.Errorf("%q %q: %v", m.Type, m.Data, err)
		}
	}
	for want, m := range map[string]webpubsub.Message{
		"create the message with webpubsub.JSON": message(webpubsub.DataTypeJSON, "{"),
		"in UTF-8":                               message(webpubsub.DataTypeJSON, "\"\xff\""),
		"send it as webpubsub.Binary":            webpubsub.Text("\xff"),
		`unknown data type "xml"`:                message("xml", ""),
		`unknown data type ""`:                   message("", "a"),
	} {
		if err := payload.Check(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %q: got %v, want %q", m.Type, m.Data, err, want)
		}
	}
}
