package wire_test

import (
	"fmt"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/wire"
)

// One message for many connections: encoded once, numbered for each.
func ExampleProtocol_EncodeData() {
	p, _ := wire.Lookup("json.reliable.webpubsub.azure.v1")
	e, err := p.EncodeData(wire.Data{From: wire.FromServer, Message: webpubsub.Text("hello")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, next := range []uint64{1, 730} {
		fmt.Printf("%s\n", e.Append(nil, next))
	}
	// Output:
	// {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hello"}
	// {"sequenceId":730,"type":"message","from":"server","dataType":"text","data":"hello"}
}

func ExampleProtocol_DecodeUpstream() {
	for _, frame := range []string{
		`{"type":"joinGroup","group":"room","ackId":1}`,
		`{"type":"joinGroup","GROUP":"room","ackId":1}`,
	} {
		switch u, err := wire.JSON.DecodeUpstream([]byte(frame)); u := u.(type) {
		case wire.JoinGroup:
			fmt.Println("join", u.Group)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// join room
	// wire: invalid frame: joinGroup: group is missing
}

func ExampleProtocol_AppendUpstream() {
	id := uint64(1)
	frame, err := wire.JSON.AppendUpstream(nil, wire.SendToGroup{
		Group:   "room",
		AckID:   &id,
		Message: webpubsub.MustJSON([]string{"hello", "world"}),
	})
	fmt.Printf("%s %v\n", frame, err)
	// Output:
	// {"type":"sendToGroup","group":"room","ackId":1,"noEcho":false,"dataType":"json","data":["hello","world"]} <nil>
}

func ExampleProtocol_DecodeDownstream() {
	d, err := wire.JSON.DecodeDownstream([]byte(
		`{"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"no"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	ack := d.(wire.Ack)
	fmt.Println(ack.AckID, ack.Error)
	// Output: 1 Forbidden: no
}
