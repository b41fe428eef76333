package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/webapp"
)

// devTunnel is what dev has when it learns that the hub is in Azure.
type devTunnel struct {
	listener net.Listener
	base     string // URL of the listener
	program  string // -app
	log      *lines
}

// runDevTunnel serves an application on this machine for a hub in Azure, whose
// events come through a tunnel, until it is interrupted.
func runDevTunnel(ctx context.Context, e *env, fs *flag.FlagSet, c *connection, d devTunnel) error {
	t, err := c.tunnel(fs, e, d.log)
	if err != nil {
		return err
	}
	var handler http.Handler
	ended := make(chan error, 3) // the server's end, the program's and the tunnel's
	if d.program == "" {
		handler, err = remoteInProcess(e, c)
	} else {
		var p *child
		if p, err = startChild(ctx, e, d.program, remoteSettings(c)); err == nil {
			defer p.stop()
			go func() { ended <- p.wait() }()
			handler = p
		}
	}
	if err != nil {
		return err
	}
	stop := serveFunctions(d.listener, handler, ended)
	label := "negotiate  " + d.base + "/api/negotiate?userId=alice"
	if hasPage(ctx, d.base) {
		label = "page       " + d.base + "/api/index"
	}
	hint := ""
	if host, _, err := net.SplitHostPort(d.listener.Addr().String()); err == nil && !names.Loopback(host) {
		hint = "Warning: other machines can reach negotiate, which accepts any user ID.\n"
	}
	d.log.printf("The hub %s of %s, with the application on this machine.\n\n  %s\n\n%s%sPress Ctrl-C to stop.\n\n",
		c.hub, c.where(), label, tunnelHint(c.where(), c.hub, "/api/events"), hint)

	tunnelCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	tunneled := make(chan error, 1)
	go func() { tunneled <- t.Serve(tunnelCtx, d.log.requests(handler)) }()
	select {
	case err = <-ended:
		err = fmt.Errorf("the application has ended: %w", err)
		cancel()
		<-tunneled
	case err = <-tunneled:
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = nil // interrupted before the tunnel was open
		}
		err = c.explain(err)
	}
	return errors.Join(err, stop())
}

// remoteInProcess returns the application that this command was built with.
func remoteInProcess(e *env, c *connection) (http.Handler, error) {
	a, err := e.newApp(webapp.Config{
		ConnectionString: c.connectionString,
		ServiceURI:       c.endpoint,
		Credential:       c.credential,
		Hub:              c.hub,
		AllowUserIDQuery: true,
		TrustTunnel:      true,
		Logger:           slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Getenv:           e.getenv,
	})
	if err != nil {
		return nil, err
	}
	return a.Handler(), nil
}

// remoteSettings returns the settings of an application in another process. It
// cannot know that an event came through the tunnel, and verifies it: by the key of
// the connection string, or as configured in the environment.
func remoteSettings(c *connection) []string {
	settings := []string{"WebPubSubHub=" + c.hub, "WebPubSubAllowUserIdQuery=true", "WebPubSubTrustPlatformAuth=false"}
	if c.credential != nil {
		return append(settings, "WebPubSubConnectionString=", "WebPubSubConnectionString__serviceUri="+c.endpoint)
	}
	return append(settings, "WebPubSubConnectionString="+c.connectionString)
}
