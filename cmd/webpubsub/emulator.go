package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/names"
)

// runEmulator runs the emulator until it is interrupted.
func runEmulator(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("emulator", flag.ContinueOnError)
	addr := fs.String("addr", emulator.DefaultAddr, "`address` to listen on; port 0 is a free one, which the connection string and -ready-file contain")
	key := fs.String("key", emulator.DefaultAccessKey, "access `key`")
	hub := fs.String("hub", "chat", "`name` of the hub that -upstream and -anonymous apply to")
	upstream := fs.String("upstream", "", "event handler `URL`, in which {hub} and {event} are replaced (default: no event handler)")
	audience := fs.String("audience", "", "`audience` of the managed identity token that is sent to the event handler (default: no token)")
	anonymous := fs.Bool("anonymous", false, "let clients connect to the hub without an access token")
	hubs := fs.String("hubs", "", hubsUsage)
	var set emulatorSettings
	set.flags(fs)
	var sec security
	sec.flags(fs)
	var ctl controlFlags
	ctl.flags(fs)
	var sim simulation
	sim.flags(fs)
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	if err := set.apply(e, fs, addr, key, &sec); err != nil {
		return err
	}
	h := emulator.HubSettings{AllowAnonymous: *anonymous}
	if *upstream != "" {
		handler := allEvents(*upstream)
		handler.Audience = *audience
		h.EventHandlers = []emulator.EventHandler{handler}
	} else if *audience != "" {
		return usagef("-audience requires -upstream")
	}
	byFlags := map[string]emulator.HubSettings{*hub: h}
	if *upstream == "" && !*anonymous && set.has(*hub) {
		byFlags = nil // the settings decide
	}
	log := &lines{w: e.out, hub: *hub, hubsFile: *hubs, more: func() map[string]emulator.HubSettings { return set.reread(e) }}
	options, err := sec.apply(emulator.Options{
		Addr: *addr, AccessKey: *key, Hubs: byFlags, HubsFile: *hubs, Settings: set.read, Observe: log.entry,
	})
	if err == nil {
		options, err = ctl.apply(sim.apply(options))
	}
	if err != nil {
		return err
	}
	srv, err := emulator.Start(options)
	if err != nil {
		return explainListen(err, "-addr")
	}
	defer srv.Close()
	hint, err := sec.finish(srv)
	if err != nil {
		return err
	}
	hint += sim.hint() + publicKeyWarning(*addr, *key)
	if *audience != "" || *hubs != "" || set.file != "" {
		hint = fmt.Sprintf("Managed identity, for event handlers that verify tokens:\n\n  authority host     %s\n  tenant %s, principal %s\n\n", srv.AuthorityHost(), emulator.TenantID, emulator.PrincipalID) + hint
	}
	log.printf("Web PubSub emulator on %s (from %s)\n\n  connection string  %s\n  dashboard          %s\n\n%sPress Ctrl-C to stop.\n\n", srv.URL(), set.addrFrom, srv.ConnectionString(), srv.DashboardURL(), hint)
	remove, err := ctl.ready(srv)
	if err != nil {
		return err
	}
	defer remove()
	<-ctx.Done()
	return srv.Close()
}

// publicKeyWarning warns of an emulator that other machines can use.
func publicKeyWarning(addr, key string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || names.Loopback(host) || key != emulator.DefaultAccessKey {
		return ""
	}
	return "Warning: the emulator is reachable from other machines with the default access key, which is public: set -key.\n"
}

const hubsUsage = "JSON `file` with hub settings (event handlers, anonymous clients, keep-alive); takes precedence over the other flags and is reloaded when it changes"

func allEvents(url string) emulator.EventHandler {
	return emulator.EventHandler{URL: url, UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"}}
}

// explainListen adds the flag that changes the address to an error of a listener.
func explainListen(err error, flagName string) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" {
		return err
	}
	switch remedy := "choose another address with " + flagName; {
	case op.Addr == nil: // the address was none
		return usagef("cannot listen: %w; %s", op.Err, remedy)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: it is in use; stop the program that listens there, or %s", op.Addr, remedy)
	default:
		return fmt.Errorf("cannot listen on %s: %w; %s", op.Addr, op.Err, remedy)
	}
}

// lines prints the journal, one line for each entry.
type lines struct {
	hub, hubsFile string                                 // settings of hubs: that of -hub, and those of the file
	more          func() map[string]emulator.HubSettings // nil: no others

	mu   sync.Mutex
	w    io.Writer
	seen map[string]bool // hubs, in lower case
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format, args...)
}

func (l *lines) entry(e emulator.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := e.Time.Format(time.TimeOnly)
	if hub := strings.ToLower(e.Hub); hub != "" && !l.seen[hub] {
		if l.seen == nil {
			l.seen = make(map[string]bool)
		}
		l.seen[hub] = true
		// Every valid name is a hub, so a mistyped one works, and reaches no client.
		if !l.configured(hub) {
			fmt.Fprintf(l.w, "%s  hub %s is used for the first time; it has no settings\n", at, printable(e.Hub))
		}
	}
	fmt.Fprintf(l.w, "%s  %s\n", at, printable(e.String()))
}

// configured reports whether a hub has settings. Files are read for each new hub,
// since they can change.
func (l *lines) configured(hub string) bool {
	if strings.EqualFold(hub, l.hub) {
		return true
	}
	var all []map[string]emulator.HubSettings
	if f, err := os.Open(l.hubsFile); err == nil {
		defer f.Close()
		if hubs, err := emulator.ReadHubs(f); err == nil {
			all = append(all, hubs)
		}
	}
	if l.more != nil {
		all = append(all, l.more())
	}
	for _, hubs := range all {
		for name := range hubs {
			if strings.EqualFold(hub, name) {
				return true
			}
		}
	}
	return false
}
