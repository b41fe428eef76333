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
	var f emulatorFlags
	f.flags(fs)
	hub := fs.String("hub", "chat", "`name` of the hub that -upstream, -event-listener and -anonymous apply to")
	upstream := fs.String("upstream", "", "event handler `URL`, in which {hub} and {event} are replaced (default: no event handler)")
	audience := fs.String("audience", "", "`audience` of the managed identity token that is sent to the event handler (default: no token)")
	listener := fs.String("event-listener", "", "copy all events of the hub to this `target`: a file of JSON lines, - for the standard output, or a URL (default: no copies). -hubs and -settings have more, such as Azure Event Hubs")
	anonymous := fs.Bool("anonymous", false, "let clients connect to the hub without an access token")
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	h := emulator.HubSettings{AllowAnonymous: *anonymous}
	if *upstream != "" {
		handler := allEvents(*upstream)
		handler.Audience = *audience
		h.EventHandlers = []emulator.EventHandler{handler}
	} else if *audience != "" {
		return usagef("-audience requires -upstream")
	}
	if *listener != "" {
		h.EventListeners = []emulator.EventListener{copyTo(*listener)}
	}
	log := &lines{w: e.out, hub: *hub, hubsFile: f.hubs}
	options, err := f.options(e, fs, log)
	if err != nil {
		return err
	}
	if *upstream != "" || *listener != "" || *anonymous || !f.settings.has(*hub) { // else the settings decide
		options.Hubs = map[string]emulator.HubSettings{*hub: h}
	}
	srv, hint, err := f.start(options)
	if err != nil {
		return err
	}
	defer srv.Close()
	if *audience != "" || f.hubs != "" || f.settings.file != "" {
		hint = fmt.Sprintf("Managed identity, for event handlers that verify tokens:\n\n  authority host     %s\n  tenant %s, principal %s\n\n", srv.AuthorityHost(), emulator.TenantID, emulator.PrincipalID) + hint
	}
	log.printf("Web PubSub emulator on %s (from %s)\n\n  connection string  %s\n  dashboard          %s\n\n%sPress Ctrl-C to stop.\n\n", srv.URL(), f.settings.addrFrom, srv.ConnectionString(), srv.DashboardURL(), hint)
	remove, err := f.control.ready(srv)
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
