package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// runDev serves the emulator and the functions, wired to each other, until it
// is interrupted.
func runDev(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("dev", flag.ContinueOnError)
	addr := fs.String("addr", emulator.DefaultAddr, "address of the emulator")
	functions := fs.String("functions-addr", "localhost:7071", "address of the functions")
	hub := fs.String("hub", "chat", "hub of the chat")
	key := fs.String("key", emulator.DefaultAccessKey, "access key of the emulator")
	hubs := fs.String("hubs", "", hubsUsage)
	var sec security
	sec.flags(fs)
	if err := parseFlags(e, fs, args); err != nil {
		return helpIsFine(err)
	}

	// The functions listen first, so that the emulator knows where to find them.
	l, err := net.Listen("tcp", *functions)
	if err != nil {
		return explainListen(err, "-functions-addr")
	}
	defer l.Close()
	base := "http://" + listenHost(*functions, l.Addr())
	log := &lines{w: e.out}
	srv, err := emulator.New(sec.apply(emulator.Options{
		Addr: *addr, AccessKey: *key, HubsFile: *hubs, Observe: log.entry, Dashboard: true,
		Hubs: map[string]emulator.Hub{*hub: {EventHandlers: []emulator.EventHandler{allEvents(base + "/api/events")}}},
	}))
	if err != nil {
		return explainListen(err, "-addr")
	}
	defer srv.Close()
	hint, err := sec.finish(srv)
	if err != nil {
		return err
	}
	hint += publicKeyWarning(*addr, *key)
	chat, err := app.New(app.Config{
		ConnectionString: srv.ConnectionString(),
		Hub:              *hub,
		AllowUserIDQuery: true,
		ClientOptions:    &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: srv.Client()}},
		Logger:           slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	web := &http.Server{Handler: chat.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(l) }()

	log.printf(`Web PubSub is running on this machine.

  chat page          %s/api/index
  connection string  %s
  dashboard          %s

%sOpen the page in two windows. What happens is listed below; Ctrl-C stops.

`, base, srv.ConnectionString(), srv.DashboardURL(), hint)
	select {
	case err = <-ended:
	case <-ctx.Done():
		// The emulator goes first: it cuts the clients, so that the functions have
		// nothing left to wait for.
		err = srv.Close()
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = errors.Join(err, web.Shutdown(grace))
		<-ended
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// listenHost is the name that the address was given by, with the port that was
// found.
func listenHost(addr string, l net.Addr) string {
	name, _, err := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(l.String())
	if ip := net.ParseIP(name); err != nil || name == "" || (ip != nil && ip.IsUnspecified()) {
		name = "localhost"
	}
	return net.JoinHostPort(name, port)
}
