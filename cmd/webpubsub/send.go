package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/service"
)

// sendTimeout bounds a send.
const sendTimeout = 30 * time.Second

// maxMessage is the largest message that the service accepts, in bytes.
const maxMessage = 1 << 20

// target is where a message is sent to.
type target struct {
	Type string `json:"type"` // all, user, group or connection
	Name string `json:"name,omitempty"`
}

func (t target) String() string {
	if t.Type == "all" {
		return "all connections"
	}
	return fmt.Sprintf("%s %q", t.Type, t.Name)
}

// check rejects a name that the REST API cannot address, and offers the filter that
// selects the same connections.
func (t target) check() error {
	err := names.RoutableInPath(t.Name)
	if err == nil {
		return nil
	}
	var same webpubsub.Filter
	switch t.Type {
	case "user":
		same = webpubsub.FilterUsers(t.Name)
	case "group":
		same = webpubsub.FilterGroup(t.Name)
	default:
		return usagef("-%s: %w", t.Type, err)
	}
	return usagef("-%s: %w; in place of it, use -filter %q", t.Type, err, same)
}

// runSend sends one message.
func runSend(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("send", flag.ContinueOnError)
	var c connection
	c.flags(fs)
	user := fs.String("user", "", "send to the connections of the user with this `ID`")
	group := fs.String("group", "", "send to this `group`")
	connection := fs.String("connection", "", "send to the connection with this `ID`")
	filter := fs.String("filter", "", "OData filter `expression`; only matching connections receive the message")
	var excluded list
	fs.Var(&excluded, "exclude", "`ID` of a connection that does not receive the message; may be repeated")
	ttl := fs.Duration("ttl", 0, "how long the service tries to deliver the message, in whole seconds up to 5m (default: no limit)")
	kind := choiceFlag(fs, "type", "data type of the message", "text", "json", "binary")
	file := fs.String("file", "", "read the message from this `file`")
	output := choiceFlag(fs, "o", "output format", "text", "json")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub send [flags] <message>
       webpubsub send [flags] -             (reads the message from standard input)
       webpubsub send [flags] -file <file>

The message is sent to all connections of the hub, or to those that -user, -group or
-connection selects. A line feed at the end of a text is removed if the text comes
from a file or from standard input.

`)
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	to := target{Type: "all"}
	for _, t := range []target{{"user", *user}, {"group", *group}, {"connection", *connection}} {
		switch {
		case t.Name == "":
		case to.Name != "":
			return usagef("-user, -group and -connection are mutually exclusive")
		default:
			to = t
		}
	}
	if err := to.check(); err != nil {
		return err
	}
	if to.Type == "connection" && (*filter != "" || len(excluded) > 0) {
		return usagef("-filter and -exclude do not apply to a single connection")
	}
	if *ttl < 0 || *ttl > 5*time.Minute || *ttl%time.Second != 0 {
		return usagef("-ttl is %v: it must be whole seconds, at most 5m", *ttl)
	}
	m, err := e.message(fs, kind.value, *file)
	if err != nil {
		return err
	}
	client, err := c.client(fs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var resp *http.Response
	ctx = policy.WithCaptureResponse(ctx, &resp)
	o := &webpubsub.SendOptions{Filter: webpubsub.Filter(*filter), Excluded: excluded, TTL: *ttl}
	if err := sendTo(ctx, client, to, m, o); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no response from %s within %v: is the service running?", client.Endpoint(), sendTimeout)
		}
		return c.explain(err)
	}
	if output.value == "json" {
		return printJSON(e.out, struct {
			Status   int    `json:"status"`
			Endpoint string `json:"endpoint"`
			Hub      string `json:"hub"`
			Target   target `json:"target"`
			DataType string `json:"dataType"`
			Bytes    int    `json:"bytes"`
		}{resp.StatusCode, client.Endpoint(), c.hub, to, kind.value, len(m.Data)})
	}
	fmt.Fprintf(e.out, "%d %s: sent %d bytes of %s to %s of hub %q at %s\n",
		resp.StatusCode, http.StatusText(resp.StatusCode), len(m.Data), kind.value, to, c.hub, client.Endpoint())
	_, err = fmt.Fprintln(e.out, "The service has accepted the message. It does not report whether a client receives it.")
	return err
}

func sendTo(ctx context.Context, c *service.Client, to target, m webpubsub.Message, o *webpubsub.SendOptions) error {
	switch to.Type {
	case "user":
		return c.SendToUser(ctx, to.Name, m, o)
	case "group":
		return c.SendToGroup(ctx, to.Name, m, o)
	case "connection":
		return c.SendToConnection(ctx, to.Name, m, o)
	}
	return c.SendToAll(ctx, m, o)
}

// message returns the message of the command line, of standard input or of a file.
func (e *env) message(fs *flag.FlagSet, kind, file string) (webpubsub.Message, error) {
	var data []byte
	switch {
	case file != "" && fs.NArg() > 0:
		return webpubsub.Message{}, usagef("give either a message or -file")
	case file == "" && fs.NArg() != 1:
		return webpubsub.Message{}, usagef("send needs one message, after the flags, in quotes if it contains blanks")
	case file == "" && fs.Arg(0) != "-":
		data = []byte(fs.Arg(0))
	default:
		var err error
		if data, err = e.read(cmp.Or(file, "-")); err != nil {
			return webpubsub.Message{}, err
		}
		if kind == "text" {
			data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
		}
	}
	return message(kind, data)
}

// message returns a message of a data type: text, json or binary.
func message(kind string, data []byte) (webpubsub.Message, error) {
	switch kind {
	case "json":
		if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
			return webpubsub.Message{}, usagef("the message is not one JSON value: %w", err)
		}
		return webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: data}, nil
	case "binary":
		return webpubsub.Binary(data), nil
	}
	if !utf8.Valid(data) {
		return webpubsub.Message{}, usagef("the message is not text in UTF-8: send it with -type binary")
	}
	return webpubsub.Text(string(data)), nil
}

// read returns the content of a file, or of standard input if its name is "-".
func (e *env) read(name string) ([]byte, error) {
	from := e.in
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, usageError{err}
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxMessage {
		return nil, usagef("%s has more than %d bytes: the service accepts no larger message", name, maxMessage)
	}
	return data, nil
}
