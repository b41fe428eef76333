package webpubsub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/webpubsub"
)

func ExampleJSON() {
	m := webpubsub.JSON(map[string]string{"text": "a < b"}).WithMetadata("trace", "1")
	fmt.Println(m.Type, m, m.Type.ContentType(), m.Metadata)
	var v struct{ Text string }
	fmt.Println(m.Decode(&v), v.Text)
	// Output:
	// json {"text":"a < b"} application/json map[trace:1]
	// <nil> a < b
}

func ExampleFromHTTP() {
	m, err := webpubsub.FromHTTP("text/plain; charset=utf-8", []byte("hello"))
	fmt.Println(m.Type, m, err)
	_, err = webpubsub.FromHTTP("image/png", nil)
	fmt.Println(errors.Is(err, webpubsub.ErrContentType))
	// Output:
	// text hello <nil>
	// true
}

func ExampleRoleJoinLeaveGroup() {
	fmt.Println(webpubsub.RoleJoinLeaveGroup("news"))
	fmt.Println(webpubsub.RoleSendToGroup("news"))
	fmt.Println(webpubsub.RoleJoinLeaveGroups("room.*"))
	fmt.Println(webpubsub.RoleSendToGroups("room.*"))
	// Output:
	// webpubsub.joinLeaveGroup.news
	// webpubsub.sendToGroup.news
	// webpubsub.joinLeaveGroups.room.*
	// webpubsub.sendToGroups.room.*
}

func TestFromHTTP(t *testing.T) {
	for contentType, want := range map[string]webpubsub.DataType{
		"":                                webpubsub.TypeBinary,
		"application/octet-stream":        webpubsub.TypeBinary,
		"TEXT/Plain":                      webpubsub.TypeText,
		"application/json; charset=utf-8": webpubsub.TypeJSON,
		"application/json; damaged;;=":    webpubsub.TypeJSON,
		"application/x-protobuf":          webpubsub.TypeProtobuf,
	} {
		m, err := webpubsub.FromHTTP(contentType, []byte("{}"))
		if err != nil || m.Type != want || string(m.Data) != "{}" {
			t.Errorf("%q: got %v %v, want %s", contentType, m, err, want)
		}
	}
	for _, contentType := range []string{"text/html", "application/jsonx", "/", "application/cloudevents+json"} {
		if _, err := webpubsub.FromHTTP(contentType, nil); !errors.Is(err, webpubsub.ErrContentType) {
			t.Errorf("%q: got %v, want ErrContentType", contentType, err)
		}
	}
}

func TestMessageErrors(t *testing.T) {
	m := webpubsub.JSON(func() {})
	if m.Err() == nil || m.Decode(new(any)) == nil {
		t.Error("a function was encoded as JSON")
	}
	if err := webpubsub.Text("1").Decode(new(int)); err == nil {
		t.Error("text was decoded as JSON")
	}
	if err := (webpubsub.Message{Type: webpubsub.TypeJSON, Data: []byte("{")}).Decode(new(any)); err == nil {
		t.Error("broken JSON was decoded")
	}
}

func TestCheck(t *testing.T) {
	message := func(kind webpubsub.DataType, data string) webpubsub.Message {
		return webpubsub.Message{Type: kind, Data: []byte(data)}
	}
	for _, m := range []webpubsub.Message{
		{},
		webpubsub.Text(""), webpubsub.Text("ä"), webpubsub.JSON(nil), webpubsub.Binary([]byte{0xff}), webpubsub.Protobuf(nil),
		webpubsub.Message{}.WithMetadata("a", "b"),
	} {
		if err := m.Check(); err != nil {
			t.Errorf("%q %q: %v", m.Type, m.Data, err)
		}
	}
	for want, m := range map[string]webpubsub.Message{
		"make the message with webpubsub.JSON": message(webpubsub.TypeJSON, "{"),
		"in UTF-8":                             message(webpubsub.TypeJSON, "\"\xff\""),
		"send it as webpubsub.Binary":          webpubsub.Text("\xff"),
		`unknown data type "xml"`:              message("xml", ""),
		`unknown data type ""`:                 message("", "a"),
		"message is not JSON":                  webpubsub.JSON(func() {}),
	} {
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %q: got %v, want %q", m.Type, m.Data, err, want)
		}
	}
}

func TestZeroMessage(t *testing.T) {
	if !(webpubsub.Message{}).IsZero() {
		t.Error("the zero message is not nothing")
	}
	for _, m := range []webpubsub.Message{webpubsub.Text(""), webpubsub.Binary(nil), webpubsub.JSON(nil), webpubsub.Text("").WithMetadata("a", "b")} {
		if m.IsZero() {
			t.Errorf("%#v counts as nothing", m)
		}
	}
}

func TestWithMetadataCopies(t *testing.T) {
	a := webpubsub.Text("x").WithMetadata("k", "1")
	b := a.WithMetadata("k", "2")
	if a.Metadata["k"] != "1" || b.Metadata["k"] != "2" {
		t.Errorf("got %v and %v", a.Metadata, b.Metadata)
	}
}

func TestMessageString(t *testing.T) {
	for want, m := range map[string]webpubsub.Message{
		"":                            {},
		"hi":                          webpubsub.Text("hi"),
		`{"a":1}`:                     webpubsub.JSON(json.RawMessage(`{ "a": 1 }`)),
		"binary message of 2 bytes":   webpubsub.Binary([]byte{1, 2}),
		"protobuf message of 1 bytes": webpubsub.Protobuf([]byte{1}),
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
