package emulator_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

// agreedFrames are frames of a JSON client with what both emulators give: "ack" for an
// acknowledgement of success, "pong", or "1007" for the end of the connection.
var agreedFrames = []struct{ rule, frame, want string }{
	{"smallest ack ID", `{"type":"joinGroup","group":"g","ackId":0}`, "ack"},
	{"largest ack ID", `{"type":"joinGroup","group":"g","ackId":18446744073709551615}`, "ack"},
	{"larger ack ID", `{"type":"joinGroup","group":"g","ackId":18446744073709551616}`, "1007"},
	{"ack ID with a fraction", `{"type":"joinGroup","group":"g","ackId":1.0}`, "1007"},
	{"ack ID with an exponent", `{"type":"joinGroup","group":"g","ackId":1e0}`, "1007"},
	{"negative zero", `{"type":"joinGroup","group":"g","ackId":-0}`, "1007"},
	{"ack ID as a string", `{"type":"joinGroup","group":"g","ackId":"1"}`, "1007"},
	{"ack ID as a boolean", `{"type":"joinGroup","group":"g","ackId":true}`, "1007"},

	{"case of a member's name", `{"Type":"ping"}`, "1007"},
	{"case of another member's name", `{"type":"joinGroup","Group":"g","ackId":1}`, "1007"},
	{"case of the type", `{"type":"PING"}`, "pong"},
	{"case of the data type", `{"type":"sendToGroup","group":"g","dataType":"TEXT","data":"x","ackId":1}`, "ack"},
	{"unknown members", `{"type":"ping","x":{"y":[1]}}`, "pong"},
	{"unknown type", `{"type":"x"}`, "1007"},
	{"no object", `[]`, "1007"},

	{"shortest time to live", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":0,"ackId":1}`, "ack"},
	{"longest time to live", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":300,"ackId":1}`, "ack"},
	{"longer", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":301,"ackId":1}`, "1007"},
	{"negative", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":-1,"ackId":1}`, "1007"},
	{"no integer", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":1.5,"ackId":1}`, "1007"},
	{"as a string", `{"type":"sendToGroup","group":"g","data":1,"ttlSeconds":"1","ackId":1}`, "1007"},

	{"longest key of metadata", withMetadata(256, 1), "ack"},
	{"longer key of metadata", withMetadata(257, 1), "1007"},
	{"longest value of metadata", withMetadata(1, 1024), "ack"},
	{"longer value of metadata", withMetadata(1, 1025), "1007"},
	{"most metadata", withMetadata(2, 1022, 1022, 1022, 1022, 1022, 1022, 1022, 1022), "ack"},
	{"more metadata", withMetadata(2, 1022, 1022, 1022, 1022, 1022, 1022, 1022, 1023), "1007"},

	{"longest group", `{"type":"joinGroup","ackId":1,"group":"` + strings.Repeat("g", 1024) + `"}`, "ack"},
	{"longer group", `{"type":"joinGroup","ackId":1,"group":"` + strings.Repeat("g", 1025) + `"}`, "1007"},
	{"empty group", `{"type":"joinGroup","ackId":1,"group":""}`, "1007"},
	{"blank group", `{"type":"joinGroup","ackId":1,"group":" \t"}`, "1007"},
	{"longest event", `{"type":"event","ackId":1,"data":1,"event":"` + strings.Repeat("e", 128) + `"}`, "ack"},
	{"longer event", `{"type":"event","ackId":1,"data":1,"event":"` + strings.Repeat("e", 129) + `"}`, "1007"},
}

// withMetadata is a message with a key of that length for each value.
func withMetadata(key int, values ...int) string {
	members := make([]string, len(values))
	for i, n := range values {
		members[i] = fmt.Sprintf(`"%s%c":"%s"`, strings.Repeat("k", key-1), 'a'+i, strings.Repeat("v", n))
	}
	return `{"type":"sendToGroup","group":"g","data":1,"ackId":1,"metadata":{` + strings.Join(members, ",") + `}}`
}

func TestAgreedFrames(t *testing.T) {
	handlers, _ := upstream(t, nil)
	srv := startWith(t, handlers)
	for _, tt := range agreedFrames {
		t.Run(tt.rule, func(t *testing.T) {
			c, _ := dialJSON(t, srv, dialOptions{roles: anything})
			c.send(tt.frame)
			if tt.want == "1007" {
				if _, _, err := c.next(); !websocket.IsCloseError(err, websocket.CloseInvalidFramePayloadData) {
					t.Errorf("%v", err)
				}
				return
			}
			got := c.recv()
			if tt.want == "ack" && !strings.Contains(got, `"success":true`) || tt.want == "pong" && got != `{"type":"pong"}` {
				t.Errorf("got %s", got)
			}
			_ = c.ws.Close()
		})
	}
}

// A payload arrives byte for byte.
func TestAgreedPayloads(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{roles: anything, groups: []string{"g"}})
	for _, payload := range []string{`1.0e+3`, `{ "b" : 1 , "a" : [ ] }`, `"\u00e9\/é"`, `123456789012345678901234567890`, `{"a":1,"a":2}`} {
		c.send(`{"type":"sendToGroup","group":"g","dataType":"json","data":` + payload + `}`)
		c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"json","data":` + payload + `}`)
	}
}

// The window of recovery begins anew each time that the network is lost.
func TestAgreedWindowRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
		for range 3 {
			_ = c.ws.NetConn().Close()
			advance(29 * time.Second)
			c = dial(t, srv, recovery(hello))
		}
		c.expectNothingElse()
		_ = c.ws.NetConn().Close()
		advance(31 * time.Second)
		expectNotRecovered(t, srv, hello)
	})
}
