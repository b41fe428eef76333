package webpubsub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"example.com/webpubsub"
)

func ExampleJSON() {
	m, err := webpubsub.JSON(map[string]string{"text": "a < b"})
	if err != nil {
		fmt.Println(err)
		return
	}
	m = m.WithMetadata("trace", "1")
	fmt.Println(m.Type, m, m.Metadata)
	var v struct{ Text string }
	fmt.Println(m.Decode(&v), v.Text)
	// Output:
	// json {"text":"a < b"} map[trace:1]
	// <nil> a < b
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

func TestMessageErrors(t *testing.T) {
	m, err := webpubsub.JSON(func() {})
	var unsupported *json.UnsupportedTypeError
	if !errors.As(err, &unsupported) || !m.IsZero() {
		t.Errorf("a function was encoded as %v, error %v", m, err)
	}
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !errors.As(err, &unsupported) {
				t.Errorf("MustJSON of a function panicked with %v", err)
			}
		}()
		webpubsub.MustJSON(func() {})
	}()
	if err := webpubsub.Text("1").Decode(new(int)); err == nil {
		t.Error("text was decoded as JSON")
	}
	if err := (webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte("{")}).Decode(new(any)); err == nil {
		t.Error("broken JSON was decoded")
	}
}

func TestZeroMessage(t *testing.T) {
	if !(webpubsub.Message{}).IsZero() {
		t.Error("the zero message is not zero")
	}
	for _, m := range []webpubsub.Message{webpubsub.Text(""), webpubsub.Binary(nil), webpubsub.MustJSON(nil), webpubsub.Text("").WithMetadata("a", "b")} {
		if m.IsZero() {
			t.Errorf("%#v is zero", m)
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
		`{"a":1}`:                     webpubsub.MustJSON(json.RawMessage(`{ "a": 1 }`)),
		"binary message of 2 bytes":   webpubsub.Binary([]byte{1, 2}),
		"protobuf message of 1 bytes": webpubsub.Protobuf([]byte{1}),
	} {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
