package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
)

// printer prints messages on standard output and everything else on standard
// error.
type printer struct {
	mu       sync.Mutex
	out, err io.Writer
	json     bool
}

// received is a message as it is printed.
type received struct {
	Time       time.Time          `json:"time"`
	From       string             `json:"from"` // group, server, or reply to an invocation
	Group      string             `json:"group,omitempty"`
	FromUserID string             `json:"fromUserId,omitempty"`
	Event      string             `json:"event,omitempty"` // that was invoked
	DataType   webpubsub.DataType `json:"dataType,omitempty"`
	Data       any                `json:"data"`
	TypeURL    string             `json:"typeUrl,omitempty"` // of protobuf
	Metadata   map[string]string  `json:"metadata,omitempty"`
}

// register prints the events of a client; ended receives why it gave up.
func (p *printer) register(c *client.Client, ended chan<- error) {
	c.OnConnected(func(_ context.Context, v client.ConnectedEvent) {
		p.status("connected as connection %s%s", v.ConnectionID, prefixIfSet(" of user ", v.UserID))
	})
	c.OnRecovering(func(context.Context, client.RecoveringEvent) { p.status("connection interrupted, recovering") })
	c.OnRecovered(func(context.Context, client.RecoveredEvent) { p.status("connection recovered") })
	c.OnDisconnected(func(_ context.Context, v client.DisconnectedEvent) {
		lost := ""
		if v.RecoveryAttempted {
			lost = "; it could not be recovered, so messages may be lost"
		}
		p.status("disconnected, %d%s%s", v.Code, prefixIfSet(" ", v.Reason), lost)
	})
	c.OnGroupMessage(func(_ context.Context, m client.GroupMessage) {
		p.message(received{From: "group", Group: m.Group, FromUserID: m.FromUserID}, m.Message)
	})
	c.OnServerMessage(func(_ context.Context, m client.ServerMessage) { p.message(received{From: "server"}, m.Message) })
	c.OnRejoinFailed(func(_ context.Context, v client.RejoinFailedEvent) {
		p.status("no longer in group %s: %v", v.Group, v.Err)
	})
	c.OnStopped(func(_ context.Context, v client.StoppedEvent) { ended <- v.Err })
}

// status prints what happens to the connection.
func (p *printer) status(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.err, "%s  %s\n", time.Now().Format(time.TimeOnly), printable(fmt.Sprintf(format, args...)))
}

// message prints a message.
func (p *printer) message(r received, m webpubsub.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Time, r.DataType, r.Metadata = time.Now(), m.Type, m.Metadata
	var text string
	r.Data, r.TypeURL, text = decode(m)
	if p.json {
		_ = printJSON(p.out, r)
		return
	}
	from := r.From
	switch r.From {
	case "group":
		from = "group " + r.Group + prefixIfSet(", from ", r.FromUserID)
	case "reply":
		from = "reply to " + r.Event
	}
	if len(m.Metadata) > 0 {
		text += fmt.Sprintf("  %v", m.Metadata)
	}
	fmt.Fprintf(p.out, "%s  %s\n", r.Time.Format(time.TimeOnly), printable(from+": "+text))
}

// maxHex is how many bytes of binary data are shown.
const maxHex = 32

// decode returns the data of a message for JSON and for a line of text. Bytes are
// base64 in JSON. A protobuf message is decoded if its type is one of those that
// are part of protobuf.
func decode(m webpubsub.Message) (data any, typeURL, text string) {
	switch m.Type {
	case "":
		return nil, "", "(no data)"
	case webpubsub.DataTypeText:
		return string(m.Data), "", string(m.Data)
	case webpubsub.DataTypeJSON:
		if json.Valid(m.Data) {
			return json.RawMessage(m.Data), "", string(m.Data)
		}
		return string(m.Data), "", string(m.Data)
	case webpubsub.DataTypeProtobuf:
		var a anypb.Any
		if err := proto.Unmarshal(m.Data, &a); err != nil {
			break
		}
		if inner, err := a.UnmarshalNew(); err == nil {
			if b, err := protojson.Marshal(inner); err == nil {
				return json.RawMessage(b), a.TypeUrl, fmt.Sprintf("%s %s", a.TypeUrl, b)
			}
		}
		return a.Value, a.TypeUrl, a.TypeUrl + " " + describeBytes(a.Value)
	}
	return m.Data, "", describeBytes(m.Data)
}

func describeBytes(b []byte) string {
	if utf8.Valid(b) && len(b) > 0 && printable(string(b)) == string(b) {
		return fmt.Sprintf("(%d bytes) %s", len(b), b)
	}
	if len(b) > maxHex {
		return fmt.Sprintf("(%d bytes) %x…", len(b), b[:maxHex])
	}
	return fmt.Sprintf("(%d bytes) %x", len(b), b)
}

func prefixIfSet(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
