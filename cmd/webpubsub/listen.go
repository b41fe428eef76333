package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/service"
)

// protocolNames are the values of -protocol.
var protocolNames = map[string]client.Protocol{
	"json.reliable": client.ReliableJSON, "json": client.JSON,
	"protobuf.reliable": client.ReliableProtobuf, "protobuf": client.Protobuf,
}

// runListen connects a client and prints what arrives until it is interrupted.
func runListen(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("listen", flag.ContinueOnError)
	var conn connection
	conn.flags(e, fs)
	user := fs.String("user", "", "user id to connect as, without a URL; anonymous by default")
	protocol := fs.String("protocol", "json.reliable", "json.reliable, json, protobuf.reliable or protobuf")
	var groups list
	fs.Var(&groups, "group", "group to join; may be repeated")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), "Usage: webpubsub listen [flags] [url]   (a client access URL; without it a token is made)\n")
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return helpIsFine(err)
	}
	p, ok := protocolNames[*protocol]
	if !ok {
		return fmt.Errorf("-protocol is %q: it must be json.reliable, json, protobuf.reliable or protobuf", *protocol)
	}
	credential, err := listenCredential(fs.Args(), &conn, *user)
	if err != nil {
		return err
	}
	c, err := client.New(credential, client.Options{Protocol: p})
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	printEvents(c, &lines{w: e.out}, gone)
	if err := c.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return explainRefused(err)
	}
	// By now the interrupt has ended ctx, and the goodbye takes its time.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = c.Stop(ctx)
	}()
	for _, group := range groups {
		if err := c.JoinGroup(ctx, group); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-gone:
		return err
	}
}

func listenCredential(args []string, conn *connection, user string) (client.Credential, error) {
	switch {
	case len(args) > 1:
		return nil, errors.New("listen takes one URL, after the flags; put it in quotes, since it has a & or a ? in it")
	case len(args) == 1:
		return client.URL(args[0]), nil
	}
	hub, err := conn.client()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		t, err := hub.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{
			UserID: user, Roles: []string{webpubsub.RoleJoinLeaveAnyGroup}, Expiry: 5 * time.Minute,
		})
		return t.URL, err
	}, nil
}

// printEvents prints a line for each event; gone gets why the client gave up.
func printEvents(c *client.Client, l *lines, gone chan<- error) {
	say := func(format string, args ...any) {
		l.printf("%s  %s\n", time.Now().Format(time.TimeOnly), printable(fmt.Sprintf(format, args...)))
	}
	c.OnConnected(func(v client.Connected) {
		say("connected as connection %s%s", v.ConnectionID, ifAny(" of user ", v.UserID))
	})
	c.OnRecovering(func(client.Recovering) { say("interrupted, recovering") })
	c.OnRecovered(func(client.Recovered) { say("recovered") })
	c.OnDisconnected(func(v client.Disconnected) {
		lost := ""
		if v.RecoveryTried {
			lost = "; it could not be recovered, so messages may be lost"
		}
		say("disconnected, %d%s%s", v.Code, ifAny(" ", v.Reason), lost)
	})
	c.OnGroupMessage(func(m client.GroupMessage) {
		say("group %s%s: %s%s", m.Group, ifAny(", from ", m.FromUserID), m.Message, metadata(m.Message))
	})
	c.OnServerMessage(func(m client.ServerMessage) { say("server: %s%s", m.Message, metadata(m.Message)) })
	c.OnRejoinFailed(func(v client.RejoinFailed) { say("no longer in group %s: %v", v.Group, v.Err) })
	c.OnStopped(func(v client.Stopped) { gone <- v.Err })
}

func ifAny(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func metadata(m webpubsub.Message) string {
	if len(m.Metadata) == 0 {
		return ""
	}
	return fmt.Sprintf("  %v", m.Metadata)
}
