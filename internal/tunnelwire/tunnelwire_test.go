package tunnelwire_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub/internal/tunnelwire"
)

// frame puts a frame together from its parts as they are on the wire.
func frame(header string, text, content string) []byte {
	return append(append([]byte(header), text...), content...)
}

// golden are frames of the service, as the tests of the public client end have
// them.
var golden = []struct {
	name    string
	frame   []byte
	message tunnelwire.Message
}{
	{
		"Connected",
		frame("\x59\x00\x00\x00\x93\x0a\xd9\x54", `{"Type":10,"ConnectionId":"a","UserId":"b","ReconnectionToken":"c","TracingId":null}`, "\xc0"),
		&tunnelwire.Connected{ConnectionID: "a", UserID: new("b"), ReconnectionToken: new("c")},
	},
	{
		"ServiceStatus",
		frame("\x2e\x00\x00\x00\x93\x05\xd9\x29", `{"Type":5,"Message":"a","TracingId":null}`, "\xc0"),
		&tunnelwire.Status{Message: "a"},
	},
	{
		"Reconnect",
		frame("\x4c\x00\x00\x00\x93\x06\xd9\x47", `{"Type":6,"TargetId":"a","Endpoint":"b","Message":"c","TracingId":null}`, "\xc0"),
		&tunnelwire.Reconnect{Redirect: tunnelwire.Redirect{Target: "a", Endpoint: "b", Message: "c"}},
	},
	{
		"Close",
		frame("\x2e\x00\x00\x00\x93\x07\xd9\x29", `{"Type":7,"Message":"a","TracingId":null}`, "\xc0"),
		&tunnelwire.Close{Message: "a"},
	},
	{
		"Rebalance",
		frame("\x4c\x00\x00\x00\x93\x08\xd9\x47", `{"Type":8,"TargetId":"a","Endpoint":"b","Message":"c","TracingId":null}`, "\xc0"),
		&tunnelwire.Rebalance{Redirect: tunnelwire.Redirect{Target: "a", Endpoint: "b", Message: "c"}},
	},
	{
		"Request",
		frame("\x8a\x00\x00\x00\x93\x01\xd9\x7f", `{"Type":1,"AckId":1,"HttpMethod":"HEAD","Url":"a","Headers":{"a":["b"]},"LocalRouting":true,"ChannelName":"a","TracingId":null}`, "\xc4\x05Hello"),
		&tunnelwire.Request{AckID: 1, Method: "HEAD", URL: "a", Header: http.Header{"a": {"b"}}, LocalRouting: true, ChannelName: "a", Body: []byte("Hello")},
	},
	{
		"Response",
		frame("\x92\x00\x00\x00\x93\x02\xd9\x87", `{"Type":2,"AckId":1,"StatusCode":200,"Headers":{"a":["b"]},"LocalRouting":true,"ChannelName":"a","NotCompleted":false,"TracingId":null}`, "\xc4\x05Hello"),
		&tunnelwire.Response{AckID: 1, StatusCode: 200, Header: http.Header{"a": {"b"}}, LocalRouting: true, ChannelName: "a", Body: []byte("Hello")},
	},
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		if got, err := tunnelwire.Append(nil, g.message); err != nil || !bytes.Equal(got, g.frame) {
			t.Errorf("%s:\n%q (%v), want\n%q", g.name, got, err, g.frame)
		}
		if got, err := tunnelwire.Decode(g.frame); err != nil || !reflect.DeepEqual(got, g.message) {
			t.Errorf("%s: %+v (%v), want %+v", g.name, got, err, g.message)
		}
	}
}

// Other clients write the members in another order, leave some out, and use
// longer forms of MessagePack than are needed.
func TestOtherForms(t *testing.T) {
	withLength := func(s string) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(s))), s...)
	}
	const text = `{"AckId":7,"LocalRouting":false,"ChannelName":"","HttpMethod":"GET","Url":"https://host/api","Extra":[1],"Type":1}`
	want := &tunnelwire.Request{AckID: 7, Method: "GET", URL: "https://host/api"}
	size := string([]byte{byte(len(text))})
	for name, f := range map[string][]byte{
		"JavaScript":        withLength("\x93\x01\xd9" + size + text + "\xc0"),
		"str16 and int32":   withLength("\x93\xd2\x00\x00\x00\x01\xda\x00" + size + text + "\xc0"),
		"array32 and str32": withLength("\xdd\x00\x00\x00\x03\x01\xdb\x00\x00\x00" + size + text + "\xc0"),
		"bytes behind":      append(withLength("\x93\x01\xd9"+size+text+"\xc0"), "more"...),
	} {
		if got, err := tunnelwire.Decode(f); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v)", name, got, err)
		}
	}
	got, err := tunnelwire.Decode(withLength("\x93\x0a\xd9\x3b" + `{"ConnectionId":"a","UserId":null,"ReconnectionToken":null}` + "\xc0"))
	if err != nil || !reflect.DeepEqual(got, &tunnelwire.Connected{ConnectionID: "a"}) {
		t.Errorf("%+v (%v)", got, err)
	}
	for _, kind := range []byte{0, 3, 4, 9, 11, 127} {
		got, err := tunnelwire.Decode(withLength("\x93" + string(rune(kind)) + "\xa5nojsn\xc0"))
		if err != nil || !reflect.DeepEqual(got, &tunnelwire.Unknown{Type: int(kind)}) {
			t.Errorf("type %d: %+v (%v)", kind, got, err)
		}
	}
}

func TestLargeBody(t *testing.T) {
	for _, size := range []int{0, 255, 256, 65535, 65536, 1 << 20} {
		m := &tunnelwire.Response{AckID: 1, StatusCode: 200, Header: http.Header{}, Body: bytes.Repeat([]byte{'x'}, size)}
		b, err := tunnelwire.Append([]byte("before"), m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tunnelwire.Decode(b[len("before"):]); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	for name, f := range map[string]string{
		"empty":               "",
		"no length":           "\x01\x00",
		"too short":           "\x05\x00\x00\x00\x93\x05",
		"huge length":         "\xff\xff\xff\xff\x93\x05",
		"no array":            "\x01\x00\x00\x00\x05",
		"two parts":           "\x03\x00\x00\x00\x92\x05\xc0",
		"type is a text":      "\x04\x00\x00\x00\x93\xa1a\xc0",
		"JSON is a number":    "\x04\x00\x00\x00\x93\x05\x01\xc0",
		"JSON is broken":      "\x05\x00\x00\x00\x93\x05\xa1{\xc0",
		"content is a text":   "\x07\x00\x00\x00\x93\x05\xa2{}\xa1x",
		"content is too long": "\x08\x00\x00\x00\x93\x05\xa2{}\xc4\x09x",
		"bytes in the frame":  "\x07\x00\x00\x00\x93\x05\xa2{}\xc0\xc0",
		"huge content":        "\x0a\x00\x00\x00\x93\x05\xa2{}\xc6\xff\xff\xff\xff",
		"huge array":          "\x05\x00\x00\x00\xdd\xff\xff\xff\xff",
	} {
		if got, err := tunnelwire.Decode([]byte(f)); err == nil || got != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else if !strings.HasPrefix(err.Error(), "tunnel: malformed frame: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndToEnd(t *testing.T) {
	h := http.Header{
		"connection": {"close, X-One", "x-two"}, "X-One": {"1"}, "X-Two": {"2"}, "X-Three": {"3"},
		"Transfer-Encoding": {"chunked"}, "content-length": {"5"}, "Upgrade": {"h2c"}, "Te": {"trailers"},
		"ce-signature": {"a", "b"}, "Set-Cookie": {"c", "d"},
	}
	want := http.Header{"X-Three": {"3"}, "ce-signature": {"a", "b"}, "Set-Cookie": {"c", "d"}}
	if got := tunnelwire.EndToEnd(h); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(h) != 10 {
		t.Error("the header itself was changed")
	}
}

// FuzzDecode wants no panic, and that what was read is written so that it is
// read the same way.
func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		f.Add(g.frame)
	}
	f.Add([]byte("\x0a\x00\x00\x00\x93\x05\xa2{}\xc6\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := tunnelwire.Decode(b)
		if err != nil {
			return
		}
		if _, ok := m.(*tunnelwire.Unknown); ok {
			return
		}
		again, err := tunnelwire.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tunnelwire.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *tunnelwire.Request:
			if m.Header == nil {
				m.Header = http.Header{}
			}
		case *tunnelwire.Response:
			if m.Header == nil {
				m.Header = http.Header{}
			}
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("%+v\nbecame %+v", m, got)
		}
	})
}
