package emulator_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// Opcodes and header bits of RFC 6455, section 5.2.
const (
	opContinuation, opText, opBinary = 0x0, 0x1, 0x2
	opClose, opPing, opPong          = 0x8, 0x9, 0xA
	fin                              = 0x80
)

// rawFrame is a masked frame with this first byte, whatever it says.
func rawFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x11, 0x22, 0x33, 0x44}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func frames(list ...[]byte) []byte { return bytes.Join(list, nil) }

func closePayload(code int, reason string) string {
	return string(websocket.FormatCloseMessage(code, reason))
}

// echoClient is a simple client that gets back what it sends.
func echoClient(t *testing.T, srv *emulator.Server, network *emulator.MemoryListener) *client {
	return dial(t, srv, dialOptions{network: network, roles: anything, groups: []string{"g"}, query: url.Values{
		"webpubsub_mode": {"sendToGroup"}, "group": {"g"},
	}})
}

// legalFrames are unusual, but what they say is a message of want.
var legalFrames = map[string]struct {
	bytes []byte
	kind  int
	want  string
}{
	"in one frame":         {rawFrame(fin|opText, "hello"), opText, "hello"},
	"empty":                {rawFrame(fin|opText, ""), opText, ""},
	"empty binary":         {rawFrame(fin|opBinary, ""), opBinary, ""},
	"two byte length":      {rawFrame(fin|opText, strings.Repeat("x", 300)), opText, strings.Repeat("x", 300)},
	"eight byte length":    {rawFrame(fin|opBinary, strings.Repeat("x", 70_000)), opBinary, strings.Repeat("x", 70_000)},
	"the largest":          {rawFrame(fin|opBinary, strings.Repeat("x", 1<<20)), opBinary, strings.Repeat("x", 1<<20)},
	"fragments":            {frames(rawFrame(opText, "a"), rawFrame(opContinuation, "b"), rawFrame(fin|opContinuation, "c")), opText, "abc"},
	"empty fragments":      {frames(rawFrame(opText, ""), rawFrame(opContinuation, ""), rawFrame(fin|opContinuation, "")), opText, ""},
	"ping between":         {frames(rawFrame(opText, "a"), rawFrame(fin|opPing, "hi"), rawFrame(fin|opContinuation, "b")), opText, "ab"},
	"pong unasked":         {frames(rawFrame(fin|opPong, "?"), rawFrame(fin|opText, "a")), opText, "a"},
	"letter in two halves": {frames(rawFrame(opText, "\xc3"), rawFrame(fin|opContinuation, "\xa4")), opText, "ä"},
	"bytes, not letters":   {rawFrame(fin|opBinary, "\xff\x00\xc3"), opBinary, "\xff\x00\xc3"},
	"the largest in fragments": {
		frames(rawFrame(opText, strings.Repeat("x", 1<<19)), rawFrame(fin|opContinuation, strings.Repeat("y", 1<<19))),
		opText, strings.Repeat("x", 1<<19) + strings.Repeat("y", 1<<19),
	},
}

func TestLegalFrames(t *testing.T) {
	network := emulator.NewMemoryListener()
	srv := emulator.StartT(t, emulator.Options{Listener: network})
	for name, tt := range legalFrames {
		t.Run(name, func(t *testing.T) {
			c := echoClient(t, srv, network)
			go func() { _, _ = c.ws.NetConn().Write(tt.bytes) }()
			kind, got, err := c.next()
			if err != nil || kind != tt.kind || got != tt.want {
				t.Errorf("got kind %d, %d bytes, %v; want kind %d, %d bytes", kind, len(got), err, tt.kind, len(tt.want))
			}
		})
	}
}

// brokenFrames break RFC 6455; the connection is closed with the code.
var brokenFrames = map[string]struct {
	bytes []byte
	code  int
}{
	"bad UTF-8":               {rawFrame(fin|opText, "a\xff"), 1007},
	"bad UTF-8 in fragments":  {frames(rawFrame(opText, "a\xc3"), rawFrame(fin|opContinuation, "b")), 1007},
	"half a letter":           {rawFrame(fin|opText, "\xc3"), 1007},
	"a surrogate":             {rawFrame(fin|opText, "\xed\xa0\x80"), 1007},
	"too large":               {rawFrame(fin|opBinary, strings.Repeat("x", 1<<20+1)), 1009},
	"too large in fragments":  {frames(rawFrame(opText, strings.Repeat("x", 1<<19)), rawFrame(fin|opContinuation, strings.Repeat("y", 1<<19+1))), 1009},
	"promises too much":       {frames([]byte{fin | opBinary, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, make([]byte, 1<<20+1)), 1009},
	"impossible length":       {[]byte{fin | opBinary, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1009},
	"reserved bit 1":          {rawFrame(fin|0x40|opText, "a"), 1002},
	"reserved bit 2":          {rawFrame(fin|0x20|opText, "a"), 1002},
	"reserved bit 3":          {rawFrame(fin|0x10|opText, "a"), 1002},
	"reserved opcode 3":       {rawFrame(fin|0x3, "a"), 1002},
	"reserved opcode 7":       {rawFrame(fin|0x7, "a"), 1002},
	"reserved control opcode": {rawFrame(fin|0xB, "a"), 1002},
	"not masked":              {[]byte{fin | opText, 1, 'a'}, 1002},
	"long ping":               {rawFrame(fin|opPing, strings.Repeat("x", 126)), 1002},
	"ping in fragments":       {rawFrame(opPing, "a"), 1002},
	"continuation of nothing": {rawFrame(fin|opContinuation, "a"), 1002},
	"message in a message":    {frames(rawFrame(opText, "a"), rawFrame(fin|opText, "b")), 1002},
	"close code 999":          {rawFrame(fin|opClose, "\x03\xe7"), 1002},
	"close code 1004":         {rawFrame(fin|opClose, "\x03\xec"), 1002},
	"close code 1005":         {rawFrame(fin|opClose, "\x03\xed"), 1002},
	"close code 1006":         {rawFrame(fin|opClose, "\x03\xee"), 1002},
	"close code 2999":         {rawFrame(fin|opClose, "\x0b\xb7"), 1002},
	"close code 65535":        {rawFrame(fin|opClose, "\xff\xff"), 1002},
	"close reason":            {rawFrame(fin|opClose, closePayload(1000, "\xff")), 1002},
	"long close":              {rawFrame(fin|opClose, closePayload(1000, strings.Repeat("x", 124))), 1002},
	"close":                   {rawFrame(fin|opClose, closePayload(1000, "bye")), 1000},
	"close 4999":              {rawFrame(fin|opClose, closePayload(4999, "bye")), 4999},
	"close without a code":    {rawFrame(fin|opClose, ""), 1005},
	"close with half a code":  {rawFrame(fin|opClose, "\x03"), 1002},
}

// Each abuse ends the one connection, properly, and no other. A reliable one
// cannot be recovered after it.
func TestBrokenFrames(t *testing.T) {
	network := emulator.NewMemoryListener()
	srv := emulator.StartT(t, emulator.Options{Listener: network})
	witness, _ := dialJSON(t, srv, dialOptions{network: network})
	o := dialOptions{network: network, subprotocol: reliableProtocol}
	for name, tt := range brokenFrames {
		t.Run("simple/"+name, func(t *testing.T) {
			expectCode(t, echoClient(t, srv, network), tt.bytes, tt.code)
		})
		t.Run("json/"+name, func(t *testing.T) {
			c, hello := dialJSON(t, srv, o)
			code := tt.code
			if tt.bytes[0] == fin|opBinary && !strings.Contains(name, "too") && name != "impossible length" {
				code = websocket.CloseUnsupportedData
			}
			expectCode(t, c, tt.bytes, code)
			if code == 4999 {
				return // the client's own wish, after which it may come back
			}
			waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID)
			dial(t, srv, o.again(hello)).expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
		})
	}
	witness.expectNothingElse()
}

func expectCode(t *testing.T, c *client, raw []byte, code int) {
	t.Helper()
	go func() { _, _ = c.ws.NetConn().Write(raw) }()
	_, _, err := c.next()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		t.Errorf("got %v, want close %d", err, code)
	}
}

// On a JSON endpoint the frames carry objects, in one piece or many.
func TestFragmentedJSON(t *testing.T) {
	network := emulator.NewMemoryListener()
	srv := emulator.StartT(t, emulator.Options{Listener: network})
	c, _ := dialJSON(t, srv, dialOptions{network: network})
	pong := ""
	c.ws.SetPongHandler(func(data string) error { pong = data; return nil })
	_, _ = c.ws.NetConn().Write(frames(
		rawFrame(opText, `{"type":`), rawFrame(fin|opPing, "1"), rawFrame(opContinuation, `"pi`),
		rawFrame(fin|opPing, "2"), rawFrame(fin|opContinuation, `ng"}`),
	))
	c.expect(`{"type":"pong"}`)
	// One pong may answer several pings (RFC 6455, section 5.5.3).
	if pong != "2" {
		t.Errorf("the ping that was answered first is %q", pong)
	}
	_, _ = c.ws.NetConn().Write(rawFrame(fin|opBinary, `{"type":"ping"}`))
	c.expectClose(websocket.CloseUnsupportedData, "The JSON subprotocol requires text messages.")
}

// FuzzClientBytes sends anything to a WebSocket that stands. The emulator must
// survive, write legal frames only, and close with a code that it knows.
func FuzzClientBytes(f *testing.F) {
	for _, tt := range legalFrames {
		if len(tt.bytes) < 1<<10 {
			f.Add(tt.bytes, byte(0))
		}
	}
	for _, tt := range brokenFrames {
		if len(tt.bytes) < 1<<10 {
			f.Add(tt.bytes, byte(1))
		}
	}
	for i, json := range []string{
		`{"type":"sendToGroup","group":"g","ackId":1,"data":{"a":[1]},"metadata":{"k":"v"}}`,
		`{"type":"sendToGroup","group":"g","stream":{"streamId":"s"}}`,
		`{"type":"setGroupState","group":"g","state":{"k":"v"}}`,
		`{"type":"invoke","invocationId":"1","target":"event","event":"e"}`,
		`{"type":"sequenceAck","sequenceId":18446744073709551615}`,
	} {
		f.Add(rawFrame(fin|opText, json), byte(1+i%2))
	}
	f.Add(rawFrame(fin|opBinary, "\x0a\x0e\x0a\x05group\x1a\x05\x0a\x03xzy"), byte(3))

	network := emulator.NewMemoryListener()
	srv, err := emulator.Start(emulator.Options{Listener: network})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = srv.Close() })
	protocols := []string{"", jsonProtocol, reliableProtocol, "protobuf.webpubsub.azure.v1", "protobuf.reliable.webpubsub.azure.v1"}
	f.Fuzz(func(t *testing.T, raw []byte, protocol byte) {
		var c *client
		if p := protocols[int(protocol)%len(protocols)]; p == "" {
			c = echoClient(t, srv, network)
		} else {
			c = dial(t, srv, dialOptions{network: network, subprotocol: p, roles: anything, groups: []string{"g"}})
		}
		go func() {
			_, _ = c.ws.NetConn().Write(raw)
			_ = c.ws.NetConn().(interface{ CloseWrite() error }).CloseWrite()
		}()
		for {
			_ = c.ws.SetReadDeadline(time.Now().Add(patience))
			_, _, err := c.ws.ReadMessage()
			if err == nil {
				continue
			}
			var closed *websocket.CloseError
			if !errors.As(err, &closed) {
				t.Fatalf("ended with %v", err)
			}
			return
		}
	})
}
