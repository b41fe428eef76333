package mqtt_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"example.com/webpubsub/internal/mqtt"
)

// golden are packets and their bytes, put together by hand from the tables of
// the specifications.
var golden = []struct {
	version mqtt.Version
	packet  mqtt.Packet
	hex     string
}{
	{mqtt.V311, &mqtt.Connect{Version: mqtt.V311, CleanStart: true, KeepAlive: 60, ClientID: "a"}, "10 0d 0004 4d515454 04 02 003c 0001 61"},
	{mqtt.V311, &mqtt.Connect{
		Version: mqtt.V311, KeepAlive: 10, ClientID: "a", Username: new("u"), Password: []byte("p"),
		Will: &mqtt.Will{Topic: "w", Payload: []byte("x"), QoS: 1, Retain: true},
	}, "10 19 0004 4d515454 04 ec 000a 0001 61 0001 77 0001 78 0001 75 0001 70"},
	{mqtt.V5, &mqtt.Connect{
		Version: mqtt.V5, ClientID: "", Password: []byte{},
		Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 30}, {ID: mqtt.ReceiveMaximum, Int: 2}, {ID: mqtt.UserProperty, Data: "k", Value: "v"}},
		Will:       &mqtt.Will{Topic: "w", Payload: []byte{}, Properties: mqtt.Properties{{ID: mqtt.WillDelay, Int: 5}}},
	}, "10 29 0004 4d515454 05 44 0000 0f 11 0000001e 21 0002 26 0001 6b 0001 76 0000 05 18 00000005 0001 77 0000 0000"},
	{mqtt.V311, &mqtt.Connack{SessionPresent: true, Code: mqtt.V311NotAuthorized}, "20 02 01 05"},
	{mqtt.V5, &mqtt.Connack{Code: mqtt.Banned, Properties: mqtt.Properties{{ID: mqtt.ReasonString, Data: "no"}}}, "20 08 00 8a 05 1f 0002 6e6f"},
	{mqtt.V311, &mqtt.Publish{Topic: "t", Payload: []byte("hi")}, "30 05 0001 74 6869"},
	{mqtt.V311, &mqtt.Publish{Topic: "t", QoS: 2, Dup: true, Retain: true, PacketID: 258, Payload: []byte{}}, "3d 05 0001 74 0102"},
	{mqtt.V5, &mqtt.Publish{
		Topic: "t", QoS: 1, PacketID: 7, Payload: []byte("hi"),
		Properties: mqtt.Properties{
			{ID: mqtt.PayloadFormat, Int: 1},
			{ID: mqtt.MessageExpiry, Int: 9},
			{ID: mqtt.CorrelationData, Data: "\x00\xff"},
			{ID: mqtt.SubscriptionID, Int: 128},
			{ID: mqtt.SubscriptionID, Int: 2},
		},
	}, "32 19 0001 74 0007 11 01 01 02 00000009 09 0002 00ff 0b 8001 0b 02 6869"},
	{mqtt.V5, &mqtt.Publish{Properties: mqtt.Properties{{ID: mqtt.TopicAlias, Int: 1}}, Payload: []byte{}}, "30 06 0000 03 23 0001"},
	{mqtt.V311, &mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 1}, "40 02 0001"},
	{mqtt.V5, &mqtt.Ack{Kind: mqtt.TypePubrec, PacketID: 1, Code: mqtt.NotAuthorized}, "50 03 0001 87"},
	{mqtt.V5, &mqtt.Ack{Kind: mqtt.TypePubrel, PacketID: 1}, "62 02 0001"},
	{mqtt.V5, &mqtt.Ack{Kind: mqtt.TypePubcomp, PacketID: 1, Code: mqtt.PacketIdentifierNotFound, Properties: mqtt.Properties{{ID: mqtt.ReasonString, Data: "r"}}}, "70 08 0001 92 04 1f 0001 72"},
	{mqtt.V311, &mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Filter{{Topic: "a", QoS: 1}, {Topic: "b"}}}, "82 0a 0001 0001 61 01 0001 62 00"},
	{mqtt.V5, &mqtt.Subscribe{
		PacketID: 1, Properties: mqtt.Properties{{ID: mqtt.SubscriptionID, Int: 3}},
		Filters: []mqtt.Filter{{Topic: "a", QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}},
	}, "82 09 0001 02 0b 03 0001 61 2e"},
	{mqtt.V311, &mqtt.Suback{PacketID: 1, Codes: []mqtt.Code{1, 0x80}}, "90 04 0001 01 80"},
	{mqtt.V5, &mqtt.Suback{PacketID: 1, Codes: []mqtt.Code{2}}, "90 04 0001 00 02"},
	{mqtt.V311, &mqtt.Unsubscribe{PacketID: 1, Filters: []string{"a"}}, "a2 05 0001 0001 61"},
	{mqtt.V311, &mqtt.Unsuback{PacketID: 1}, "b0 02 0001"},
	{mqtt.V5, &mqtt.Unsuback{PacketID: 1, Codes: []mqtt.Code{mqtt.NoSubscriptionExisted}}, "b0 04 0001 00 11"},
	{mqtt.V311, mqtt.Ping{Kind: mqtt.TypePingreq}, "c0 00"},
	{mqtt.V5, mqtt.Ping{Kind: mqtt.TypePingresp}, "d0 00"},
	{mqtt.V311, &mqtt.Disconnect{}, "e0 00"},
	{mqtt.V5, &mqtt.Disconnect{Code: mqtt.DisconnectWithWill}, "e0 01 04"},
	{mqtt.V5, &mqtt.Disconnect{Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 1}}}, "e0 07 00 05 11 00000001"},
	{mqtt.V5, &mqtt.Auth{Code: 0x18, Properties: mqtt.Properties{{ID: mqtt.AuthenticationMethod, Data: "m"}}}, "f0 06 18 04 15 0001 6d"},
}

func raw(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		want := raw(t, g.hex)
		if got := g.version.Append(nil, g.packet); !bytes.Equal(got, want) {
			t.Errorf("%+v\nis   %x\nwant %x", g.packet, got, want)
			continue
		}
		r := mqtt.NewReader(bytes.NewReader(want), 1000)
		r.Version = g.version
		got, err := r.Next()
		if err != nil || !reflect.DeepEqual(got, g.packet) {
			t.Errorf("%x\nis   %+v (%v)\nwant %+v", want, got, err, g.packet)
		}
	}
}

// Packets come joined and in pieces, as WebSocket messages may cut them.
func TestReaderStream(t *testing.T) {
	var stream []byte
	for _, g := range golden {
		if g.version == mqtt.V5 {
			stream = append(stream, raw(t, g.hex)...)
		}
	}
	r := mqtt.NewReader(iotest.OneByteReader(bytes.NewReader(stream)), 1000)
	for _, g := range golden {
		if g.version != mqtt.V5 {
			continue
		}
		if got, err := r.Next(); err != nil || !reflect.DeepEqual(got, g.packet) {
			t.Fatalf("got %+v (%v), want %+v", got, err, g.packet)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestBroken(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		version mqtt.Version
		hex     string
		code    mqtt.Code
	}{
		{"type 0", mqtt.V5, "00 00", mqtt.MalformedPacket},
		{"AUTH in 3.1.1", mqtt.V311, "f0 00", mqtt.MalformedPacket},
		{"flags of PUBREL", mqtt.V5, "60 02 0001", mqtt.MalformedPacket},
		{"flags of UNSUBSCRIBE", mqtt.V5, "a0 06 0001 00 0001 61", mqtt.MalformedPacket},
		{"flags of DISCONNECT", mqtt.V5, "e1 00", mqtt.MalformedPacket},
		{"flags of SUBSCRIBE", mqtt.V5, "80 07 0001 00 0001 61 00", mqtt.MalformedPacket},
		{"long remaining length", mqtt.V5, "30 ff ff ff ff 00", mqtt.MalformedPacket},
		{"too large", mqtt.V5, "30 e9 07", mqtt.PacketTooLarge},
		{"remaining length in more bytes than it needs", mqtt.V5, "c0 80 00", mqtt.MalformedPacket},
		{"property length in more bytes than it needs", mqtt.V5, "30 05 0001 74 80 00", mqtt.MalformedPacket},
		{"protocol name", mqtt.V5, "10 0f 0006 4d514973 6470 03 02 003c 0001 61", mqtt.UnsupportedProtocolVersion},
		{"protocol level", mqtt.V5, "10 0d 0004 4d515454 06 02 003c 0001 61", mqtt.UnsupportedProtocolVersion},
		{"reserved flag", mqtt.V5, "10 0d 0004 4d515454 04 03 003c 0001 61", mqtt.MalformedPacket},
		{"will QoS 3", mqtt.V5, "10 13 0004 4d515454 04 1c 003c 0001 61 0001 77 0001 78", mqtt.MalformedPacket},
		{"will flags without will", mqtt.V5, "10 0d 0004 4d515454 04 20 003c 0001 61", mqtt.MalformedPacket},
		{"password alone in 3.1.1", mqtt.V5, "10 10 0004 4d515454 04 40 003c 0001 61 0001 70", mqtt.MalformedPacket},
		{"short", mqtt.V5, "10 0a 0004 4d515454 04 02 003c", mqtt.MalformedPacket},
		{"trailing bytes", mqtt.V311, "c0 01 00", mqtt.MalformedPacket},
		{"code in 3.1.1", mqtt.V311, "40 03 0001 00", mqtt.MalformedPacket},
		{"QoS 3", mqtt.V5, "36 07 0001 74 0001 00 00", mqtt.MalformedPacket},
		{"duplicate of QoS 0", mqtt.V5, "38 04 0001 74 00", mqtt.MalformedPacket},
		{"packet id 0", mqtt.V5, "32 06 0001 74 0000 00", mqtt.ProtocolError},
		{"no topic", mqtt.V5, "30 03 0000 00", mqtt.ProtocolError},
		{"wildcard topic", mqtt.V5, "30 04 0001 23 00", mqtt.TopicNameInvalid},
		{"U+0000", mqtt.V5, "30 04 0001 00 00", mqtt.MalformedPacket},
		{"surrogate", mqtt.V5, "30 06 0003 eda080 00", mqtt.MalformedPacket},
		{"not UTF-8", mqtt.V5, "30 04 0001 ff 00", mqtt.MalformedPacket},
		{"unknown property", mqtt.V5, "30 06 0001 74 02 04 00", mqtt.MalformedPacket},
		{"property beyond the table", mqtt.V5, "30 07 0001 74 03 8101 00", mqtt.MalformedPacket},
		{"property of another packet", mqtt.V5, "30 09 0001 74 05 11 00000001", mqtt.ProtocolError},
		{"property twice", mqtt.V5, "30 08 0001 74 04 01 00 01 00", mqtt.ProtocolError},
		{"flag property of 2", mqtt.V5, "30 06 0001 74 02 01 02", mqtt.ProtocolError},
		{"receive maximum 0", mqtt.V5, "10 11 0004 4d515454 05 02 003c 03 21 0000 0001 61", mqtt.ProtocolError},
		{"property list too long", mqtt.V5, "30 04 0001 74 05", mqtt.MalformedPacket},
		{"no filter", mqtt.V5, "82 03 0001 00", mqtt.ProtocolError},
		{"no filter to end", mqtt.V5, "a2 03 0001 00", mqtt.ProtocolError},
		{"subscription QoS 3", mqtt.V5, "82 07 0001 00 0001 61 03", mqtt.ProtocolError},
		{"retain handling 3", mqtt.V5, "82 07 0001 00 0001 61 30", mqtt.ProtocolError},
		{"reserved subscription options", mqtt.V5, "82 07 0001 00 0001 61 40", mqtt.MalformedPacket},
		{"no local of a shared subscription", mqtt.V5, "82 10 0001 00 000a 247368617265 2f672f74 05", mqtt.ProtocolError},
		{"no local in 3.1.1", mqtt.V311, "82 06 0001 0001 61 04", mqtt.MalformedPacket},
		{"subscription QoS 3 in 3.1.1", mqtt.V311, "82 06 0001 0001 61 03", mqtt.MalformedPacket},
		{"response topic with a wildcard", mqtt.V5, "30 08 0001 74 04 08 0001 23", mqtt.ProtocolError},
		{"empty response topic", mqtt.V5, "30 07 0001 74 03 08 0000", mqtt.ProtocolError},
		{"response topic of a will", mqtt.V5, "10 19 0004 4d515454 05 04 003c 00 0001 61 04 08 0001 2b 0001 77 0001 78", mqtt.ProtocolError},
		{"authentication data without a method", mqtt.V5, "10 12 0004 4d515454 05 02 003c 04 16 0001 78 0001 61", mqtt.ProtocolError},
		{"code that PUBACK does not have", mqtt.V5, "40 03 0001 92", mqtt.ProtocolError},
		{"code that PUBREL does not have", mqtt.V5, "62 03 0001 80", mqtt.ProtocolError},
		{"code that DISCONNECT does not have", mqtt.V5, "e0 01 01", mqtt.ProtocolError},
		{"code that AUTH does not have", mqtt.V5, "f0 01 01", mqtt.ProtocolError},
		{"CONNACK flags", mqtt.V5, "20 03 02 00 00", mqtt.MalformedPacket},
	} {
		r := mqtt.NewReader(bytes.NewReader(raw(t, tt.hex)), 1000)
		r.Version = tt.version
		p, err := r.Next()
		var broken *mqtt.Error
		if !errors.As(err, &broken) || broken.Code != tt.code {
			t.Errorf("%s: got %+v, %v, want code 0x%02x", tt.rule, p, err, byte(tt.code))
		}
	}
	if _, err := mqtt.NewReader(strings.NewReader("\x30\x05ab"), 1000).Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("a packet that breaks off: %v", err)
	}
}

func TestCodes(t *testing.T) {
	for v5, v3 := range map[mqtt.Code]mqtt.Code{
		mqtt.UnsupportedProtocolVersion: 1, mqtt.ClientIdentifierNotValid: 2, mqtt.BadUserNameOrPassword: 4,
		mqtt.NotAuthorized: 5, mqtt.Banned: 5, mqtt.ServerBusy: 3,
		mqtt.UnspecifiedError: 0, mqtt.RetainNotSupported: 0, mqtt.MalformedPacket: 0, // MQTT 3.1.1 has none
	} {
		got, ok := v5.Connack(mqtt.V311)
		if got != v3 || ok != (v3 != 0) || got.Rejects(mqtt.V311) != ok || !v5.Rejects(mqtt.V5) {
			t.Errorf("0x%02x is %d in MQTT 3.1.1, want %d", byte(v5), got, v3)
		}
		if got, ok := v5.Connack(mqtt.V5); got != v5 || !ok {
			t.Errorf("0x%02x became 0x%02x", byte(v5), byte(got))
		}
	}
	for _, c := range []mqtt.Code{0, 4, 0x8d, 0xa2} {
		if c.Rejects(mqtt.V5) {
			t.Errorf("0x%02x refuses no connection", byte(c))
		}
	}
}

// The limit is that of the property Maximum Packet Size, which counts the fixed
// header too. Packets of one to four bytes more used to be accepted.
func TestMaximumPacketSize(t *testing.T) {
	for _, size := range []int{100, 129, 130, 5000} {
		p := &mqtt.Publish{Topic: "t"}
		for len(mqtt.V311.Append(nil, p)) < size {
			p.Payload = append(p.Payload, 'x')
		}
		b := mqtt.V311.Append(nil, p)
		if got, err := mqtt.NewReader(bytes.NewReader(b), len(b)).Next(); err != nil {
			t.Errorf("%d bytes of %d: %v, %v", len(b), len(b), got, err)
		}
		var broken *mqtt.Error
		if got, err := mqtt.NewReader(bytes.NewReader(b), len(b)-1).Next(); !errors.As(err, &broken) || broken.Code != mqtt.PacketTooLarge {
			t.Errorf("%d bytes of %d: %v, %v", len(b), len(b)-1, got, err)
		}
	}
}

// An application's texts become properties, and a client must close the
// connection where one is not UTF-8, or has U+0000.
func TestTextsAreLegal(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	for text, want := range map[string]string{
		"a\x00b": "a\ufffdb",
		"\xff":   "\ufffd",
		long:     long[:65_534],
	} {
		var sent mqtt.Connack
		sent.Properties.AddData(mqtt.ReasonString, text)
		sent.Properties.AddUser(text, text)
		r := mqtt.NewReader(bytes.NewReader(mqtt.V5.Append(nil, &sent)), 1<<20)
		r.Version = mqtt.V5
		got, err := r.Next()
		if err != nil {
			t.Errorf("%.20q: %v", text, err)
			continue
		}
		p := got.(*mqtt.Connack).Properties
		if reason, _ := p.Data(mqtt.ReasonString); reason != want || p[1].Data != want || p[1].Value != want {
			t.Errorf("%.20q became %.20q, %.20q, %.20q", text, reason, p[1].Data, p[1].Value)
		}
	}
}

func TestBrief(t *testing.T) {
	var all, rest mqtt.Properties
	all.AddData(mqtt.ReasonString, "why")
	all.AddUser("k", "v")
	all.AddInt(mqtt.ServerKeepAlive, 9)
	rest.AddInt(mqtt.ServerKeepAlive, 9)
	for _, tt := range []struct{ packet, brief mqtt.Packet }{
		{&mqtt.Connack{Code: 0x80, Properties: all}, &mqtt.Connack{Code: 0x80, Properties: rest}},
		{&mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 1, Properties: all}, &mqtt.Ack{Kind: mqtt.TypePuback, PacketID: 1, Properties: rest}},
		{&mqtt.Suback{PacketID: 1, Properties: all}, &mqtt.Suback{PacketID: 1, Properties: rest}},
		{&mqtt.Unsuback{PacketID: 1, Properties: all}, &mqtt.Unsuback{PacketID: 1, Properties: rest}},
		{&mqtt.Disconnect{Code: 0x80, Properties: all}, &mqtt.Disconnect{Code: 0x80, Properties: rest}},
		{&mqtt.Publish{Topic: "t", Properties: all}, &mqtt.Publish{Topic: "t", Properties: all}},
	} {
		if got := mqtt.Brief(tt.packet); !reflect.DeepEqual(got, tt.brief) {
			t.Errorf("%+v\nis   %+v\nwant %+v", tt.packet, got, tt.brief)
		}
	}
	if len(all) != 3 || all[0].ID != mqtt.ReasonString {
		t.Errorf("the packet's own properties became %+v", all)
	}
}

func TestValidTopicName(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a/b": true, "/": true, " ": true, "$SYS/x": true, "é": true, strings.Repeat("x", 65_535): true,
		"": false, "c++": false, "a#b": false, "\x00": false, "\xff": false, strings.Repeat("x", 65_536): false,
	} {
		if mqtt.ValidTopicName(s) != want {
			t.Errorf("%.20q: %v", s, !want)
		}
	}
}

// FuzzReader wants no panic, and that what was understood is written so that it
// is understood the same way.
func FuzzReader(f *testing.F) {
	for _, g := range golden {
		f.Add(byte(g.version), raw(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, version byte, data []byte) {
		v := mqtt.V311
		if version == 5 {
			v = mqtt.V5
		}
		r := mqtt.NewReader(bytes.NewReader(data), 1<<16)
		r.Version = v
		for {
			p, err := r.Next()
			if err != nil {
				return
			}
			again := mqtt.NewReader(bytes.NewReader(r.Version.Append(nil, p)), 1<<17)
			again.Version = r.Version
			if q, err := again.Next(); err != nil || !reflect.DeepEqual(p, q) {
				t.Fatalf("%+v\nbecame %+v (%v)", p, q, err)
			}
		}
	})
}
