package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/names"
)

// runEmulator serves the emulator alone until it is interrupted.
func runEmulator(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("emulator", flag.ContinueOnError)
	addr := fs.String("addr", emulator.DefaultAddr, "address to listen on")
	key := fs.String("key", emulator.DefaultAccessKey, "access key")
	hub := fs.String("hub", "chat", "hub that the event handler belongs to")
	upstream := fs.String("upstream", "", "URL of the event handler, with {event} and {hub} if you like; none by default")
	audience := fs.String("audience", "", "send the event handler a managed identity token for this audience; none by default")
	anonymous := fs.Bool("anonymous", false, "let clients of the hub connect without an access token")
	hubs := fs.String("hubs", "", hubsUsage)
	var sec security
	sec.flags(fs)
	if err := parseFlags(e, fs, args); err != nil {
		return helpIsFine(err)
	}
	h := emulator.Hub{AllowAnonymous: *anonymous}
	if *upstream != "" {
		handler := allEvents(*upstream)
		handler.Audience = *audience
		h.EventHandlers = []emulator.EventHandler{handler}
	} else if *audience != "" {
		return errors.New("-audience is about the event handler of -upstream, which is missing")
	}
	log := &lines{w: e.out}
	srv, err := emulator.New(sec.apply(emulator.Options{
		Addr: *addr, AccessKey: *key, Hubs: map[string]emulator.Hub{*hub: h}, HubsFile: *hubs, Observe: log.entry, Dashboard: true,
	}))
	if err != nil {
		return explainListen(err, "-addr")
	}
	defer srv.Close()
	hint, err := sec.finish(srv)
	if err != nil {
		return err
	}
	hint += exposed(*addr, *key)
	if *audience != "" || *hubs != "" {
		hint = fmt.Sprintf("Its managed identity, for handlers that verify tokens:\n\n  authority host     %s\n  tenant %s, principal %s\n\n", srv.AuthorityHost(), emulator.TenantID, emulator.PrincipalID) + hint
	}
	log.printf("Web PubSub emulator on %s\n\n  connection string  %s\n  dashboard          %s\n\n%sCtrl-C stops.\n\n", srv.URL(), srv.ConnectionString(), srv.DashboardURL(), hint)
	<-ctx.Done()
	return srv.Close()
}

// exposed warns of an emulator that others can use.
func exposed(addr, key string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || names.Loopback(host) || key != emulator.DefaultAccessKey {
		return ""
	}
	return "Other machines reach it too, and its access key is public: choose another one with -key.\n"
}

const hubsUsage = "JSON `file` with settings of hubs (event handlers, anonymous clients, keep-alive), which go before those of the flags; it is read again when it changes"

func allEvents(url string) emulator.EventHandler {
	return emulator.EventHandler{URL: url, UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}}
}

func helpIsFine(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// explainListen names the flag that moves a listener elsewhere.
func explainListen(err error, flagName string) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" {
		return err
	}
	switch remedy := "choose another address with " + flagName; {
	case op.Addr == nil: // the address was none
		return fmt.Errorf("cannot listen: %w; %s", op.Err, remedy)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: it is in use; stop the program that listens there, or %s", op.Addr, remedy)
	default:
		return fmt.Errorf("cannot listen on %s: %w; %s", op.Addr, op.Err, remedy)
	}
}

// lines prints the journal, one line for each thing that happens.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format, args...)
}

func (l *lines) entry(e emulator.Entry) {
	l.printf("%s  %s\n", e.Time.Format(time.TimeOnly), printable(e.String()))
}

// printable keeps what came over the network from writing to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (0x7f <= r && r < 0xa0) {
			return '·'
		}
		return r
	}, s)
}
