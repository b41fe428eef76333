package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/service"
)

// protocols are the values of -protocol, the default first.
var protocols = []struct {
	name     string
	protocol client.Protocol
}{
	{"json.reliable", client.ReliableJSON},
	{"json", client.JSON},
	{"protobuf.reliable", client.ReliableProtobuf},
	{"protobuf", client.Protobuf},
}

// clientFlags are the flags of the commands that connect a client.
type clientFlags struct {
	connection
	user          string
	protocol      *choice
	groups, roles list
	output        *choice
}

func (f *clientFlags) flags(fs *flag.FlagSet) {
	f.connection.flags(fs)
	fs.StringVar(&f.user, "user", "", "user `ID` to connect as (default: anonymous)")
	var allowed []string
	for _, p := range protocols {
		allowed = append(allowed, p.name)
	}
	f.protocol = choiceFlag(fs, "protocol", "subprotocol", allowed...)
	fs.Var(&f.groups, "group", "`group` to join; may be repeated")
	fs.Var(&f.roles, "role", "`role` of the client in addition to those that the command needs; may be repeated")
	f.output = choiceFlag(fs, "o", "format of the messages; json prints one JSON object in each line", "text", "json")
}

// runListen connects a client and prints the messages that it receives until it is
// interrupted.
func runListen(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("listen", flag.ContinueOnError)
	var f clientFlags
	f.flags(fs)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub listen [flags] [url]

Connects a client and prints received messages on standard output, and what happens
to the connection on standard error, until it is interrupted. The URL is a client
access URL; if it is omitted, one is generated.

`)
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	s, err := f.connect(ctx, e, fs, webpubsub.RoleJoinLeaveAnyGroup)
	if err != nil || s == nil {
		return err
	}
	defer s.stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.ended:
		return err
	}
}

// session is a connected client.
type session struct {
	*client.Client
	*printer
	ended <-chan error // receives why the client gave up
	stop  func()
}

// connect starts a client with these roles and joins the groups. The session is
// nil if the context has ended.
func (f *clientFlags) connect(ctx context.Context, e *env, fs *flag.FlagSet, roles ...string) (*session, error) {
	if err := checkGroups(f.groups); err != nil {
		return nil, err
	}
	credential, err := f.credential(e, fs, append(roles, f.roles...))
	if err != nil {
		return nil, err
	}
	// A user at the terminal can repeat a call that fails.
	o := client.Options{MessageRetry: client.RetryOptions{MaxRetries: -1}}
	for _, p := range protocols {
		if p.name == f.protocol.value {
			o.Protocol = p.protocol
		}
	}
	c, err := client.New(credential, o)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	s := &session{Client: c, printer: &printer{out: e.out, err: e.err, json: f.output.value == "json"}, ended: ended}
	s.register(c, ended)
	s.stop = func() {
		// The context has ended with the interrupt, and closing takes its time.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.Stop(ctx)
	}
	if err := c.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, f.explainConnect(err)
	}
	for _, group := range f.groups {
		if err := c.JoinGroup(ctx, group, nil); err != nil {
			s.stop()
			if ctx.Err() != nil {
				return nil, nil
			}
			return nil, err
		}
		s.status("joined group %s", group)
	}
	return s, nil
}

func (f *clientFlags) credential(e *env, fs *flag.FlagSet, roles []string) (client.Credential, error) {
	e.warnGrants("", f.roles, nil)
	for _, err := range names.Unaddressable(f.user, nil, f.groups) {
		e.warn("%v; messages of other clients are received, but REST calls cannot address the name", err)
	}
	switch fs.NArg() {
	case 0:
	case 1:
		if f.user != "" || len(f.roles) > 0 {
			return nil, usagef("-user and -role have no effect with a URL, whose token contains both")
		}
		return client.URL(fs.Arg(0)), nil
	default:
		return nil, usagef("%s takes one URL, after the flags; put it in quotes, since it contains & or ?", fs.Name())
	}
	hub, err := f.client(fs)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		t, err := hub.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{
			UserID: f.user, Roles: roles, Expiry: 5 * time.Minute,
		})
		return t.URL, err
	}, nil
}

// explainConnect returns an error of Start in one line.
func (f *clientFlags) explainConnect(err error) error {
	var h *client.HandshakeError
	if !errors.As(err, &h) {
		return f.explain(err)
	}
	text := printable(err.Error())
	if h.StatusCode != http.StatusNotFound {
		// A client gets the status of an event handler that rejects it, but in place of
		// the reason a fixed text.
		text += "; if the event handler rejected the connect event, its reason is in the event handler's log, and in the output and the dashboard of the emulator"
	}
	return errors.New(text)
}
