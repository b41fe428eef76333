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

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

// runDev runs the emulator and an application that are configured for each other,
// until it is interrupted.
func runDev(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("dev", flag.ContinueOnError)
	var f emulatorFlags
	f.flags(fs)
	functions := fs.String("functions-addr", "localhost:7071", "address of the functions")
	program := fs.String("app", "", "run this `program` in place of the sample application: the path of its main package, which is built, or of an executable")
	var remote connection
	remote.flags(fs)
	hub := &remote.hub
	for name, usage := range map[string]string{
		"connection-string": "start no emulator, and receive the events of a hub in Azure through a tunnel: the connection `string` of its resource; the environment variable is ignored",
		"endpoint":          "in place of -connection-string, the `URL` of a resource to sign in to with the credential that DefaultAzureCredential finds; the environment variable is ignored",
		"hub":               "`name` of the hub of the application",
	} {
		fs.Lookup(name).Usage = usage
	}
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}

	// The functions listen first, because the emulator needs their address.
	l, err := net.Listen("tcp", *functions)
	if err != nil {
		return explainListen(err, "-functions-addr")
	}
	defer l.Close()
	base := "http://" + listenHost(*functions, l.Addr())
	log := &lines{w: e.out, hub: *hub, hubsFile: f.hubs}
	if isSet(fs, "connection-string") || isSet(fs, "endpoint") {
		return runDevTunnel(ctx, e, fs, &remote, devTunnel{listener: l, base: base, program: *program, log: log})
	}
	options, err := f.options(e, fs, log)
	if err != nil {
		return err
	}
	options.Hubs = map[string]emulator.HubSettings{*hub: {EventHandlers: []emulator.EventHandler{allEvents(base + "/api/events")}}}
	if *program == "" {
		options.ControlLinks = []emulator.Link{{Title: "Sample application", URL: base + "/api/index"}}
	}
	options.AllowOrigins = append(options.AllowOrigins, base)
	srv, hint, err := f.start(options)
	if err != nil {
		return err
	}
	defer srv.Close()

	var handler http.Handler
	ended := make(chan error, 2) // the server's end, and the program's
	if *program == "" {
		handler, err = inProcess(e, srv, *hub, f.control.publicURL)
	} else {
		var c *child
		if c, err = startChild(ctx, e, *program, childSettings(srv.ConnectionString(), *hub, f.security.tls)); err == nil {
			defer c.stop()
			go func() { ended <- c.wait() }()
			handler = c
		}
	}
	if err != nil {
		return err
	}
	stop := serveFunctions(l, handler, ended)
	label, invitation := "negotiate          "+base+"/api/negotiate?userId=alice", ""
	if hasPage(ctx, base) {
		label, invitation = "page               "+base+"/api/index", "Open the page in two windows. "
	}
	log.printf(`The emulator and the application are running.

  %s
  connection string  %s
  dashboard          %s

%s%sEvents are logged below. Press Ctrl-C to stop.

`, label, srv.ConnectionString(), srv.DashboardURL(), hint, invitation)
	remove, err := f.control.ready(srv)
	if err != nil {
		return errors.Join(err, stop())
	}
	defer remove()
	select {
	case err = <-ended:
		err = fmt.Errorf("the application has ended: %w", err)
	case <-ctx.Done():
		// The emulator is closed first: it closes the connections of clients, so that
		// the functions have no requests in flight.
		if err = srv.Close(); err != nil {
			err = fmt.Errorf("stop: %w", err)
		}
	}
	return errors.Join(err, stop())
}

// serveFunctions serves the application. The returned function stops it, after open
// requests have been served.
func serveFunctions(l net.Listener, h http.Handler, ended chan<- error) (stop func() error) {
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		ended <- web.Serve(l)
	}()
	return func() error {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := web.Shutdown(grace)
		<-served
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		return nil
	}
}

// inProcess returns the application that this command was built with.
// The client URLs that it negotiates are those of publicURL, if that is not empty.
func inProcess(e *env, srv *emulator.Server, hub, publicURL string) (http.Handler, error) {
	o := &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: srv.Client()}}
	cs, err := connstr.Parse(srv.ConnectionString())
	if err != nil {
		return nil, err
	}
	if publicURL != "" {
		cs.Endpoint, o.ReverseProxyEndpoint = publicURL, srv.URL()
	}
	a, err := e.newApp(webapp.Config{
		ConnectionString: cs.String(),
		Hub:              hub,
		AllowUserIDQuery: true,
		ClientOptions:    o,
		Logger:           slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Getenv:           e.getenv,
	})
	if err != nil {
		return nil, err
	}
	return a.Handler(), nil
}

// hasPage reports whether the application has a page.
func hasPage(ctx context.Context, base string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, base+"/api/index", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
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
