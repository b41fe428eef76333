package control

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/filter"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/wire"
)

type sendRequest struct {
	DataType   string          `json:"dataType"`
	Data       json.RawMessage `json:"data"`
	TTLSeconds int             `json:"ttlSeconds"`
	Filter     string          `json:"filter"`
	Excluded   []string        `json:"excluded"`
}

// send sends a message as the service does for a REST call.
func (c *call) send() error {
	var in sendRequest
	if err := c.decode(&in, false); err != nil {
		return err
	}
	name, err := c.hubName()
	if err != nil {
		return err
	}
	m := &broker.Message{Data: wire.Data{From: wire.FromServer}, Cause: c.by}
	if m.Data.Message, err = in.message(); err != nil {
		return err
	}
	if in.TTLSeconds < 0 || in.TTLSeconds > 300 {
		return invalidf("ttlSeconds must be between 0 and 300.")
	}
	if in.TTLSeconds > 0 {
		m.Expires = time.Now().Add(time.Duration(in.TTLSeconds) * time.Second)
	}
	keep, err := in.selection()
	if err != nil {
		return err
	}
	to, n := "all", 0
	if id, ok := c.args["connectionId"]; ok {
		conn, err := c.connection()
		if err != nil {
			return err
		}
		if keep != nil {
			return invalidf("A message to a connection has no filter and no excluded connections.")
		}
		to, n = id, conn.Hub.SendConn(id, m)
	} else if group, ok := c.args["group"]; ok {
		if err := names.Group(group); err != nil {
			return invalidf("%v", err)
		}
		m.Data.From, m.Data.Group = wire.FromGroup, group
		to, n = group, c.Broker.Hub(name).SendGroup(group, m, keep)
	} else if id, ok := c.args["userId"]; ok {
		to, n = id, c.Broker.Hub(name).SendUser(id, m, keep)
	} else {
		n = c.Broker.Hub(name).SendAll(m, keep)
	}
	c.Broker.Hub(name).JournalSent(to, m, n)
	if m.Err != nil {
		return invalidf("The message cannot be encoded: %v.", m.Err)
	}
	return c.answer(struct {
		Receivers int `json:"receivers"`
	}{n})
}

// message returns the message of a request.
func (in *sendRequest) message() (webpubsub.Message, error) {
	var none webpubsub.Message
	if in.Data == nil {
		return none, invalidf("data is missing.")
	}
	var text string
	isText := json.Unmarshal(in.Data, &text) == nil && in.Data[0] == '"'
	dataType := in.DataType
	if dataType == "" {
		if dataType = "json"; isText {
			dataType = "text"
		}
	}
	var m webpubsub.Message
	switch {
	case dataType == "json":
		var compact bytes.Buffer
		if err := json.Compact(&compact, in.Data); err != nil {
			return none, invalidf("data is not JSON: %v.", err)
		}
		m = webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: compact.Bytes()}
	case dataType != "text" && dataType != "binary":
		return none, invalidf("dataType must be text, json or binary.")
	case !isText:
		return none, invalidf("data must be a string if dataType is %s.", dataType)
	case dataType == "text":
		m = webpubsub.Text(text)
	default:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return none, invalidf("data must be base64 if dataType is binary: %v.", err)
		}
		m = webpubsub.Binary(b)
	}
	if len(m.Data) > transport.MaxMessage {
		return none, &apiError{413, "tooLarge", "The message has more than 1 MiB, which is the limit of the service."}
	}
	if err := wire.CheckPayload(m); err != nil {
		return none, invalidf("The message cannot be sent: %v.", err)
	}
	return m, nil
}

// selection returns the receivers of the message; nil: all connections.
func (in *sendRequest) selection() (broker.Select, error) {
	var f *filter.Filter
	if in.Filter != "" {
		var err error
		if f, err = filter.Compile(in.Filter); err != nil {
			return nil, invalidf("The filter is invalid: %v.", err)
		}
	}
	if f == nil && len(in.Excluded) == 0 {
		return nil, nil
	}
	return func(to *broker.Conn) bool {
		return !slices.Contains(in.Excluded, to.ID) && (f == nil || f.Match(broker.SubjectOf(to)))
	}, nil
}
